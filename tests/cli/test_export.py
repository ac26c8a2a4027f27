"""`store export` and `store import`: one local store's secrets into another, by a sealed file."""

import base64
import os
import stat
from pathlib import Path

import pytest

from tests.cli.program import Program

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def other(tmp_path: Path) -> Program:
    """Another user, with a store of his own."""
    return Program(tmp_path / "other")


def private(path: Path, content: bytes) -> str:
    """A file that is open to its owner alone."""
    path.touch(0o600)
    path.write_bytes(content)
    return str(path)


@pytest.fixture
def words(tmp_path: Path) -> str:
    return private(tmp_path / "words", f"{PASSPHRASE}\n".encode())


def test_all_secrets_go_from_store_to_store(program: Program, other: Program, words: str, tmp_path: Path) -> None:
    for value in (b"hunter1", b"hunter2"):
        program("set", "db/password", "--description", "of the shop", stdin=value)
    program("set", "binary", "--binary", stdin=bytes(range(256)))
    program("delete", "binary")
    file = tmp_path / "export"

    done = program("--json", "store", "export", str(file), "--passphrase-file", words)
    assert (done.status, done.json) == (0, {"file": str(file), "secrets": 2})
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not any(clear in file.read_bytes() for clear in (b"hunter", b"password", b"shop", b"correct"))

    done = other("--json", "store", "import", str(file), "--passphrase-file", words)
    assert (done.status, done.json) == (0, {"file": str(file), "secrets": 2, "replaced": 0, "expired": 0})
    assert other("get", "db/password", "--raw").stdout == b"hunter2"
    assert other("get", "db/password", "--raw", "--stage", "AWSPREVIOUS").stdout == b"hunter1"
    assert other("restore", "binary").status == 0
    assert other("get", "binary", "--raw").stdout == bytes(range(256))
    ours, theirs = program("--json", "get", "db/password").json, other("--json", "get", "db/password").json
    assert {**theirs, "age": 0} == {**ours, "age": 0}


@pytest.mark.slow
def test_nothing_is_overwritten_unless_asked_for(program: Program, other: Program, words: str, tmp_path: Path) -> None:
    file = str(tmp_path / "export")
    program("set", "app", stdin=b"hunter1")
    other("set", "app", stdin=b"hunter2")
    program("store", "export", file, "--passphrase-file", words)

    again = program("store", "export", file)  # before anybody is asked for a passphrase
    refused = other("store", "import", file, "--passphrase-file", words)

    assert (again.status, refused.status) == (1, 1)
    assert "is there already" in again.complaint
    assert "(app); nothing was imported" in refused.complaint
    assert other("get", "app", "--raw").stdout == b"hunter2"
    assert other("store", "import", file, "--passphrase-file", words, "--overwrite").status == 0
    assert other("get", "app", "--raw").stdout == b"hunter1"


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(bytes, id="raw"),
        pytest.param(lambda key: key.hex().encode(), id="hex", marks=pytest.mark.slow),
        pytest.param(base64.b64encode, id="base64", marks=pytest.mark.slow),
    ],
)
def test_a_key_in_any_form_opens(program: Program, other: Program, tmp_path: Path, form: object) -> None:
    program("set", "app", stdin=b"hunter1")
    key, file = bytes(range(100, 132)), str(tmp_path / "export")
    given, raw = private(tmp_path / "given", form(key)), private(tmp_path / "raw", key)  # type: ignore[operator]

    assert program("store", "export", file, "--key-file", given).status == 0
    assert other("store", "import", file, "--key-file", raw).status == 0

    assert other("get", "app", "--raw").stdout == b"hunter1"


@pytest.mark.slow
def test_what_does_not_open_is_told_apart(program: Program, words: str, tmp_path: Path) -> None:
    file, key = tmp_path / "export", private(tmp_path / "key", os.urandom(32))
    program("set", "app", stdin=b"hunter1")
    program("store", "export", str(file), "--key-file", key)
    damaged = tmp_path / "damaged"
    damaged.write_bytes(file.read_bytes()[:-1])
    loose = tmp_path / "loose"
    loose.write_bytes(os.urandom(32))
    loose.chmod(0o644)
    told = {
        (str(file), "--key-file", private(tmp_path / "another", os.urandom(32))): (1, "is sealed with another key"),
        (str(file), "--passphrase-file", words): (1, "is sealed with a key: give that"),
        (str(damaged), "--key-file", key): (1, "is damaged: it is cut off, changed"),
        (words, "--key-file", key): (1, "does not begin as an export does"),
        (str(tmp_path / "none"), "--key-file", key): (1, "cannot be read (No such file or directory)"),
        (str(file), "--key-file", str(loose)): (6, f"(mode 0644); run: chmod 600 {loose}"),
        (str(file), "--key-file", words): (6, "holds no key: allowed are 32 bytes as base64 or hex"),
        (str(file), "--key-file", str(tmp_path)): (6, "is not a plain file"),
        (str(file), "--key-file", os.devnull): (6, "is not a plain file"),
        (str(file), "--key-file", str(tmp_path / "none")): (6, "is not there"),
        (str(file), "--passphrase-file", private(tmp_path / "empty", b"\n")): (6, "holds an empty passphrase"),
        (str(file), "--passphrase-file", private(tmp_path / "long", b"x" * 1025)): (6, "more than 1024 bytes"),
        (str(file), "--passphrase-file", words, "--key-file", key): (2, "not both"),
        (str(file),): (2, "no terminal to ask for a passphrase"),
    }

    dones = program.at_once(*[("store", "import", *arguments) for arguments in told])

    for (status, piece), done in zip(told.values(), dones, strict=True):
        assert (done.status, piece in done.complaint) == (status, True), done.complaint
        assert "hunter" not in done.complaint + done.text


def test_a_passphrase_is_asked_for_and_a_store_that_is_not_there_is_not_made(
    program: Program, other: Program, tmp_path: Path
) -> None:
    program("set", "app", stdin=b"hunter1")
    with program.on_terminal("store", "export", str(tmp_path / "export")) as terminal:
        for prompt in ("Passphrase of the export: ", "Repeat for confirmation: "):
            terminal.wait_for(prompt)
            terminal.type(f"{PASSPHRASE}\n")
        assert terminal.wait_for_end() == 0
    with other.on_terminal("store", "import", str(tmp_path / "export")) as terminal:
        terminal.wait_for("Passphrase of the export: ")
        terminal.type(f"{PASSPHRASE}\n")
        assert terminal.wait_for_end() == 0
        assert PASSPHRASE not in terminal.transcript
    nobody = Program(tmp_path / "nobody")
    key = private(tmp_path / "key", os.urandom(32))

    done = nobody("store", "export", str(tmp_path / "nothing"), "--key-file", key)

    assert other("get", "app", "--raw").stdout == b"hunter1"
    assert done.status == 1
    assert "there is no store in" in done.complaint
    assert not (tmp_path / "nothing").exists()
    assert not (nobody.home / ".local").exists()
    remote = nobody.with_settings(SECRETS_ACTOR_BACKEND="aws_secrets_manager", AWS_REGION="us-east-1")
    assert remote("store", "export", str(tmp_path / "nothing"), "--key-file", key).status == 6
