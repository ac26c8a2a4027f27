"""Keys that somebody else keeps: in a variable, in a file."""

import base64
import os
import stat
from pathlib import Path

import pytest

from secrets_actor.backends.local.keys.external_key import ExternalKey
from secrets_actor.backends.local.keys.private_file import objection
from secrets_actor.backends.local.keys.readers import FileReader, VariableReader
from secrets_actor.domain.errors import KeyFileError, KeySourceError

KEY = bytes(range(100, 132))
TEXT = base64.b64encode(KEY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    made = tmp_path / "store-key"
    made.touch(0o600)
    made.write_bytes(TEXT + b"\n")
    return made


def file_key(path: Path | str) -> ExternalKey:
    return ExternalKey(FileReader(str(path)))


# --- a variable -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [TEXT.decode(), KEY.hex(), f" {KEY.hex().upper()}\n"])
def test_a_variable_holds_the_key(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("STORE_KEY", text)
    source = ExternalKey(VariableReader("STORE_KEY"))

    assert source.load() == KEY
    assert source.create() == (KEY, None)
    assert (source.kind, source.makes, source.present(), source.load_next()) == ("env", False, True, None)


@pytest.mark.parametrize("text", [None, ""])
def test_a_variable_that_is_not_set_has_no_key(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    monkeypatch.delenv("STORE_KEY", raising=False)
    if text is not None:
        monkeypatch.setenv("STORE_KEY", text)
    source = ExternalKey(VariableReader("STORE_KEY"))

    assert (source.load(), source.present()) == (None, False)
    with pytest.raises(KeySourceError, match="the environment variable STORE_KEY holds nothing; set it") as caught:
        source.create()
    assert caught.value.path == "STORE_KEY"
    assert str(source.missing()) == str(caught.value)


def test_a_variable_that_changes_changes_its_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ExternalKey(VariableReader("STORE_KEY"))
    identities = []
    for text in (TEXT.decode(), KEY.hex(), TEXT.decode()):
        monkeypatch.setenv("STORE_KEY", text)
        identities.append(source.identity())

    assert identities[0] == identities[2] != identities[1]


def test_what_is_no_key_in_a_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_KEY", "hunter2")

    with pytest.raises(KeySourceError, match="the environment variable STORE_KEY holds no key: allowed are") as caught:
        ExternalKey(VariableReader("STORE_KEY")).load()
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, KeyFileError)


def test_one_place_holds_one_key_and_says_how_to_exchange_it(path: Path) -> None:
    source = file_key(path)
    with pytest.raises(KeySourceError, match="put the new one in another place, let `secrets-actor store rekey`"):
        source.replace()
    source.replaced()

    assert source.load() == KEY


@pytest.mark.parametrize("name", ["hunter2", KEY.hex(), TEXT.decode(), "correct horse"])
def test_a_name_that_may_be_a_key_is_not_shown(name: str) -> None:
    for source in (ExternalKey(VariableReader(name)), file_key(name)):
        assert "****" in str(source)
        assert name not in f"{source} {source!r} {source.missing()} {source.missing().path}"


# --- a file -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [KEY, TEXT, TEXT + b"\n", KEY.hex().encode() + b"\r\n"])
def test_a_file_holds_the_key(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    source = file_key(path)

    assert source.load() == KEY
    assert (source.kind, source.makes, str(source)) == ("file", False, f"the file {path}")


def test_a_file_is_found_from_here_and_now_and_in_the_home(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("HOME", str(path.parent))
    sources = file_key("store-key"), file_key("~/store-key")
    monkeypatch.chdir("/")

    assert [source.load() for source in sources] == [KEY, KEY]


def test_a_file_that_is_not_there_has_no_key(path: Path) -> None:
    source = file_key(path)
    identity = source.identity()
    path.unlink()

    assert (source.load(), source.identity()) == (None, None)
    assert identity is not None
    with pytest.raises(KeySourceError, match="holds nothing; make it, with mode 0600"):
        source.create()
    assert not path.exists()


@pytest.mark.parametrize(("content", "told"), [(b"", "holds no key"), (b"x" * 5000, "is too long")])
def test_a_file_with_something_else_is_refused(path: Path, content: bytes, told: str) -> None:
    path.write_bytes(content)

    with pytest.raises(KeySourceError, match=told) as caught:
        file_key(path).load()
    assert caught.value.path == str(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    for name, told in (("fifo", "not a plain file"), ("loop", "cannot be read"), ("\0", "cannot be read")):
        with pytest.raises(KeySourceError, match=told):
            file_key(tmp_path / name).load()


@pytest.mark.parametrize("bits", [0o660, 0o604, 0o444, 0o460, 0o601, 0o610])
def test_a_loose_mode_is_refused_with_the_remedy(path: Path, bits: int) -> None:
    path.chmod(bits)

    with pytest.raises(KeySourceError, match=f"mode {bits:04o}.*run: chmod 600 {path}"):
        file_key(path).load()


@pytest.mark.parametrize(("bits", "passes"), [(0o700, True), (0o555, True), (0o777, False), (0o1777, True)])
def test_a_folder_where_others_could_exchange_it_is_refused(path: Path, bits: int, passes: bool) -> None:
    path.parent.chmod(bits)
    try:
        if passes:
            assert file_key(path).load() == KEY
        else:
            with pytest.raises(KeySourceError, match=f"run: chmod go-w {path.parent}"):
                file_key(path).load()
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("bits", "roots", "given", "passes"),
    [
        (0o400, False, True, True),  # systemd on ramfs: the service's own
        (0o440, True, True, True),  # systemd on tmpfs: root's, and an access list
        (0o400, True, True, True),
        (0o600, False, True, True),
        (0o440, False, True, False),  # another group, whoever that is
        (0o440, True, False, False),  # a key file of ours is never the group's
        (0o640, True, True, True),  # Kubernetes: root's, for the group of the pod's volumes
        (0o640, False, True, False),
        (0o640, True, False, False),
        (0o644, True, True, False),
        (0o660, True, True, False),
        (0o460, True, True, False),
        (0o444, True, True, False),
        (0o450, True, True, False),
    ],
)
def test_what_systemd_makes_passes_and_no_more(bits: int, roots: bool, given: bool, passes: bool) -> None:
    found = objection(Path("/run/k"), stat.S_IFREG | bits, 0o040500, roots=roots, given=given)

    assert (found is None) == passes
    assert passes or "chmod 600 /run/k" in str(found)
    assert ("chmod 440. It is root's: one that is mounted gets its mode there" in str(found)) == (
        roots and given and not passes
    )


def test_a_credential_of_systemd_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As systemd leaves it: file and folder without the right to write, for root with the group's bit (if we may)."""
    folder = tmp_path / "app.service"
    folder.mkdir()
    (folder / "store-key").write_bytes(KEY)
    (folder / "store-key").chmod(0o440 if os.geteuid() == 0 else 0o400)
    folder.chmod(0o550)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    try:
        for given in ("$CREDENTIALS_DIRECTORY/store-key", "${CREDENTIALS_DIRECTORY}/store-key", f"{folder}/store-key"):
            source = file_key(given)
            assert source.load() == KEY
            assert given in str(source)
            assert source.identity() == file_key(folder / "store-key").identity()
    finally:
        folder.chmod(0o700)


def test_a_credential_without_systemd_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    source = file_key("$CREDENTIALS_DIRECTORY/store-key")

    assert source.identity() is None
    with pytest.raises(KeySourceError, match="CREDENTIALS_DIRECTORY is not set"):
        source.load()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/nonexistent")
    assert "LoadCredentialEncrypted=store-key" in str(source.missing())
    assert source.load() is None
