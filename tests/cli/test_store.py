"""`store init`, `verify`, `backup` and `restore`: a local store as a whole, by the real commands."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.program import Program
from tests.cli.stores import CANARY, FOLDER, MANY, all_of_it, copy_of, fill, name, quiet, statement, values
from tests.servers.process import ROOT

WRITER = f"""
import itertools, pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
for number in itertools.count():
    context = CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30)
    backend.perform(Set(f"new/{{number}}", f"{CANARY} {{number}}"), context)
    print(number, flush=True)
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "store"
    fill(folder)
    return folder


def test_a_store_is_made_once_and_says_where_it_is(program: Program) -> None:
    made = program("store", "init", "--json")
    again, nobody = program.at_once(("store", "init"), ("--config", "none.toml", "store", "init"))

    folder = program.home / FOLDER
    assert made.status == 0
    assert made.json == {
        "folder": str(folder),
        "key": f"the key file {folder / 'key'}",
        "next": "keep a copy of the key in another place: without it nobody can read the store or a backup of it",
    }
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert (again.status, nobody.status) == (1, 6)
    assert f"there is a store in {folder} already" in again.complaint


def test_verify_names_what_is_damaged(filled: Path, tmp_path: Path) -> None:
    program = copy_of(filled, tmp_path / "home")
    row = "(SELECT secret FROM versions WHERE version_id = '{:032}')"
    statement(
        program.home / FOLDER,
        f"UPDATE versions SET sealed = zeroblob(60) WHERE version_id = '{3:032}'",
        f"DELETE FROM versions WHERE version_id = '{4:032}'",
        f"UPDATE secrets SET head = zeroblob(60) WHERE id = {row.format(5)}",
        f"UPDATE versions SET version_id = '\x1b[31m\nred' WHERE version_id = '{6:032}'",
    )

    told, data, whole = map(
        quiet, program.at_once(("store", "verify"), ("store", "verify", "--json"), ("get", name(7)))
    )

    assert (told.status, data.status, whole.status) == (1, 1, 0)
    *lines, secrets, versions, damaged, remedy = told.text.splitlines()
    assert sorted(one for one in lines if one.startswith("secret ")) == [
        f"secret {name(3)}: version {3:032} is damaged or was exchanged",
        f"secret {name(4)}: version {4:032} is missing",
        f"secret {name(6)}: version {6:032} is missing",
        f"secret {name(6)}: version \\x1b[31m\\nred is damaged or was exchanged",
    ]
    [row_only] = [one for one in lines if one.startswith("the secret in row ")]
    assert row_only.endswith("its head is damaged or was exchanged")
    assert secrets.split() == ["secrets", str(MANY)]
    assert versions.split() == ["versions", str(MANY - 1)]
    assert damaged.split() == ["damaged", str(len(lines))] == ["damaged", "5"]
    assert "store restore FILE --replace" in remedy
    assert (data.json["secrets"], data.json["versions"], data.json["unfinished"]) == (MANY, MANY - 1, None)
    assert {"secret": name(4), "row": None, "what": f"version {4:032} is missing"} in data.json["damage"]
    assert len(data.json["damage"]) == 5


def test_what_a_damaged_store_still_has_is_taken_to_a_new_one(filled: Path, tmp_path: Path) -> None:
    program, other = copy_of(filled, tmp_path / "home"), Program(tmp_path / "other")
    row = "(SELECT secret FROM versions WHERE version_id = '{:032}')"
    statement(
        program.home / FOLDER,
        f"UPDATE versions SET sealed = zeroblob(60) WHERE version_id = '{3:032}'",
        f"UPDATE secrets SET head = zeroblob(60) WHERE id = {row.format(5)}",
    )
    key, file = tmp_path / "key", tmp_path / "export"
    key.touch(0o600)
    key.write_bytes(bytes(range(32)))

    refused = quiet(program("store", "export", str(file), "--key-file", str(key)))
    saved = quiet(program("store", "export", str(file), "--key-file", str(key), "--salvage", "--json"))
    taken = quiet(other("store", "import", str(file), "--key-file", str(key)))

    assert (refused.status, saved.status, taken.status) == (1, 1, 0)
    assert (saved.json["secrets"], saved.json["left"]) == (MANY - 2, 2)
    assert {one["secret"] for one in saved.json["damage"]} == {name(3), None}
    assert values(other.home / FOLDER) == {
        one: value for one, value in all_of_it().items() if one not in (name(3), name(5))
    }


def test_a_backup_while_others_write_has_all_that_was_acknowledged_and_comes_back(filled: Path, tmp_path: Path) -> None:
    program, other = copy_of(filled, tmp_path / "home"), Program(tmp_path / "other")
    folder, there, file = program.home / FOLDER, other.home / FOLDER, tmp_path / "backup"
    command = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(20)]
        made = quiet(program("store", "backup", str(file), "--json"))
        assert writer.poll() is None
        writer.kill()
    assert made.status == 0
    assert made.json == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "key": f"not in it: the key file {folder / 'key'}",
    }
    assert file.stat().st_mode & 0o777 == 0o600
    assert CANARY.encode() not in file.read_bytes()

    again, no_key = program("store", "backup", str(file)), quiet(other("store", "restore", str(file)))
    there.mkdir(0o700, parents=True)
    (there / "key").touch(0o600)
    (there / "key").write_bytes((folder / "key").read_bytes())
    back = quiet(other("store", "restore", str(file), "--json"))

    assert (again.status, no_key.status, back.status) == (1, 6, 0)
    assert "is there already" in again.complaint
    assert "put that one there from a copy" in no_key.complaint
    found = values(there)
    assert back.json["secrets"] == len(found)
    assert all_of_it().items() <= found.items()
    assert {f"new/{int(number)}" for number in acknowledged} <= found.keys()


def test_a_store_that_holds_something_is_restored_on_request_and_a_damaged_file_is_put_aside(
    filled: Path, tmp_path: Path
) -> None:
    program, file = copy_of(filled, tmp_path / "home"), str(tmp_path / "backup")
    folder = program.home / FOLDER
    program("store", "backup", file)
    program("set", "more", stdin=CANARY.encode())

    refused = program("store", "restore", file)
    assert (refused.status, "restore with --replace" in refused.complaint) == (1, True)
    assert "more" in values(folder)
    replaced = quiet(program("store", "restore", file, "--replace"))
    assert (replaced.status, "put_aside" in replaced.text) == (0, False)
    assert values(folder) == all_of_it()

    spoilt = b"no database" * 1000
    (folder / "secrets.db").write_bytes(spoilt)
    back = quiet(program("store", "restore", file, "--replace", "--json"))
    assert back.status == 0
    assert Path(back.json["put_aside"]).read_bytes() == spoilt
    assert values(folder) == all_of_it()


def test_looking_makes_no_store_and_the_first_set_says_where_the_key_is(program: Program) -> None:
    for arguments in (("list",), ("get", "a"), ("tree",), ("doctor",), ("delete", "a"), ("delete", "a", "--force")):
        program(*arguments)
    assert program("store", "verify").status != 0
    (program.home / "to.toml").write_text('[local]\npath = "~/to"\n')
    migrated = program("store", "migrate", "--to", str(program.home / "to.toml"))
    assert (migrated.status, "there is no store in" in migrated.complaint) == (1, True), "not: all of nothing is there"
    assert not (program.home / "to").exists()
    assert not (program.home / FOLDER).exists()

    first, second = program("set", "a", stdin=b"v"), program("--json", "set", "b", stdin=b"v")

    key = program.home / FOLDER / "key"
    assert (first.status, second.status) == (0, 0)
    assert f"the key file {key}: keep a copy of the key in another place" in first.complaint
    assert second.stderr == ""


def test_a_first_set_for_scripts_says_where_the_key_is_in_json(program: Program) -> None:
    told = json.loads(program("--json", "set", "a", stdin=b"v").complaint)

    assert told["event"] == "store_made"
    assert told["folder"] == str(program.home / FOLDER)
    assert str(program.home / FOLDER / "key") in told["key"]


@pytest.mark.parametrize("lost", ["secrets.db", "key"])
def test_a_part_of_a_store_is_damage_for_every_command(program: Program, tmp_path: Path, lost: str) -> None:
    program("set", "a", stdin=b"v")
    (program.home / FOLDER / lost).unlink()
    (tmp_path / "k").touch(0o600)
    (tmp_path / "k").write_text("0" * 64)
    commands = [
        ("get", "a"), ("list",), ("delete", "a"), ("doctor",), ("store", "init"), ("store", "verify"),
        ("store", "rekey"), ("store", "rekey", "--deep"),
        ("store", "export", str(tmp_path / "e"), "--key-file", str(tmp_path / "k")),
        ("store", "backup", str(tmp_path / "saved")), ("store", "migrate", "--to", str(tmp_path / "to.toml")),
    ]  # fmt: skip
    (tmp_path / "to.toml").write_text('[local]\npath = "~/to"\n')

    ends = [*program.at_once(*commands), program("set", "a", stdin=b"w")]

    assert [one.status for one in ends if one.status in (0, 3)] == []
    for one in ends:
        assert "from a copy" in " ".join((one.stderr + one.text).split()), one
    assert not (tmp_path / "saved").exists()
    assert [path.name for path in (program.home / FOLDER).iterdir()] == [{"key": "secrets.db"}.get(lost, "key")]


def test_an_emptied_database_stays_a_loss_after_doctor(program: Program) -> None:
    program("set", "a", stdin=b"v")
    database = program.home / FOLDER / "secrets.db"
    database.write_bytes(b"")

    told = [program("get", "a"), program("doctor"), program("get", "a"), program("store", "init")]

    assert [one.status for one in told] == [1, 1, 1, 1]
    assert "the file is empty; bring it back from a copy" in told[2].complaint
    assert database.read_bytes() == b""


def test_a_backup_does_not_come_back_without_its_key_and_leaves_nothing(program: Program, tmp_path: Path) -> None:
    program("set", "a", stdin=b"v")
    program("store", "backup", str(tmp_path / "saved"))
    other = Program(tmp_path / "other")

    done = other("store", "restore", str(tmp_path / "saved"))

    assert done.status == 6
    assert "put that one there from a copy" in done.complaint
    assert not (other.home / FOLDER).exists()


def test_a_backup_asks_for_no_key_that_others_look_after(program: Program, tmp_path: Path) -> None:
    key = {"SECRETS_ACTOR_LOCAL__KEY": json.dumps({"env": "OURS"})}
    program.with_settings(**key, OURS="ab" * 32)("set", "a", stdin=b"v")

    assert program.with_settings(**key, OURS="cd" * 32)("store", "backup", str(tmp_path / "saved")).status == 0


def test_an_import_that_makes_a_store_says_where_its_key_is(program: Program, tmp_path: Path) -> None:
    (tmp_path / "k").touch(0o600)
    (tmp_path / "k").write_text("0" * 64)
    key = ("--key-file", str(tmp_path / "k"))
    program("set", "a", stdin=b"v")
    program("store", "export", str(tmp_path / "e"), *key)
    other = Program(tmp_path / "other")
    never = other.with_settings(SECRETS_ACTOR_LOCAL__MAKE="never")

    assert "there is no store in" in never("store", "import", str(tmp_path / "e"), *key).complaint
    first = other("store", "import", str(tmp_path / "e"), *key)
    second = other("store", "import", str(tmp_path / "e"), *key, "--overwrite")

    assert first.status == second.status == 0
    assert f"the key file {other.home / FOLDER / 'key'}: keep a copy" in first.complaint
    assert second.stderr == ""


def test_a_list_of_what_is_scheduled_for_deletion_alone_is_not_called_empty(program: Program) -> None:
    program("set", "a", stdin=b"v")
    program("delete", "a")

    assert "no live secrets, and 1 scheduled for deletion: see 'secrets-actor list --inc" in program("list").text
    assert program("--json", "list").json == []


def on_terminal(program: Program, *arguments: str, times: int = 1, words: str = f"{CANARY} of five words") -> str:
    """What is to be seen of a command for which a passphrase is typed so many times; it must end well."""
    with program.on_terminal(*arguments, "--ask-passphrase") as terminal:
        for _ in range(times):
            terminal.wait_for("assphrase" if _ == 0 else "epeat", 1)
            terminal.type(f"{words}\n")
        status = terminal.wait_for_end()
        assert CANARY not in terminal.transcript
        return f"{status}: {terminal.transcript}"


@pytest.mark.slow
def test_a_store_under_a_typed_passphrase_is_used_by_every_command(program: Program, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("of the secret")
    first = on_terminal(program, "set", "a", "--value-file", str(tmp_path / "value"), times=2)
    assert first.startswith("0: "), first
    assert [path.name for path in (program.home / FOLDER).iterdir()] == ["secrets.db"]

    for arguments, seen in (
        (("get", "a", "--raw"), "of the secret"),
        (("list",), "a "),
        (("doctor",), "the key fits; 1 live secrets"),
        (("store", "verify"), "damaged   0"),
        (("delete", "a"), "gone_on"),
        (("restore", "a"), "restored"),
    ):
        ended = on_terminal(program, *arguments)
        assert ended.startswith("0: "), ended
        assert seen in ended
    assert "(another passphrase)" in on_terminal(program, "get", "a", words=f"other {CANARY}")


@pytest.mark.slow
def test_a_migration_asks_for_the_passphrase_of_each_side(program: Program, tmp_path: Path) -> None:
    (tmp_path / "value").write_text("of the secret")
    on_terminal(program, "set", "a", "--value-file", str(tmp_path / "value"), times=2)
    for side in ("by_file", "by_words"):
        (tmp_path / f"{side}.toml").write_text(f'[local]\npath = "~/{side}"\n')
    by_file, by_words = (str(tmp_path / f"{side}.toml") for side in ("by_file", "by_words"))

    assert "--ask-passphrase" in program("store", "migrate", "--to", by_file).complaint
    ended = on_terminal(program, "store", "migrate", "--to", by_file)
    assert ended.startswith("0: "), ended
    assert "passphrase of the source" in ended
    assert "its key is in the key file" in ended
    assert program("--config", by_file, "get", "a", "--raw").text == "of the secret"

    with program.on_terminal("store", "migrate", "--from", by_file, "--to", by_words, "--to-passphrase") as terminal:
        for seen in ("passphrase of the target", "epeat"):
            terminal.wait_for(seen, 1)
            terminal.type(f"other {CANARY}\n")
        assert terminal.wait_for_end() == 0, terminal.transcript
    assert "of the secret" in on_terminal(program, "--config", by_words, "get", "a", "--raw", words=f"other {CANARY}")

    (tmp_path / "aws.toml").write_text('backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\n')
    told = program("store", "migrate", "--to", str(tmp_path / "aws.toml"), "--to-passphrase").complaint
    assert "--to-passphrase is for a local store, and the target is none" in told


def test_a_wrong_key_says_what_the_store_is_sealed_with(program: Program, tmp_path: Path) -> None:
    (tmp_path / "words").touch(0o600)
    (tmp_path / "words").write_text(CANARY)
    by_words = {"SECRETS_ACTOR_LOCAL__KEY": json.dumps({"passphrase": {"file": str(tmp_path / "words")}})}
    program.with_settings(**by_words)("set", "a", stdin=b"v")

    told = program("get", "a").complaint
    assert "this store is sealed with a passphrase" in told
    assert "--ask-passphrase" in told
    assert "this store is sealed with a passphrase" in " ".join(program("doctor").text.split())

    other = Program(tmp_path / "other")
    other("set", "a", stdin=b"v")
    told = other.with_settings(**by_words)("get", "a").complaint
    assert "this store is sealed with a key, and not with a passphrase" in told
    (other.home / FOLDER / "key").write_bytes(bytes(32))
    assert "sealed with (another key of 32 bytes); put the right key back" in other("get", "a").complaint


def test_a_passphrase_that_nobody_can_be_asked_for_is_told(program: Program) -> None:
    for arguments in (("get", "a"), ("set", "a"), ("list",)):
        done = program(*arguments, "--ask-passphrase")
        assert done.status == 2
        assert "no terminal to ask for a passphrase" in done.complaint
