"""Records, tables and files that are not as we made them are told, and left as they are."""

import hashlib
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import (
    DecryptionFailed,
    StoreDamaged,
)
from secrets_actor.domain.operations import Delete, Get, GetMany, List, Operation, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import WallClock, ask, do, files, key_of, tamper, within


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("UPDATE secrets SET locator = 'text'", List()),
        ("UPDATE secrets SET key = 'text'", List()),
        ("UPDATE secrets SET head = 'text'", Get("a")),
        ("UPDATE secrets SET deletion_date = 'never'", Get("a")),
        ("UPDATE secrets SET deletion_date = 1000000000000000000", Get("a")),
        ("UPDATE secrets SET deletion_date = 0", List()),
        ("UPDATE secrets SET accessed_day = 'today'", Get("a")),
        ("UPDATE secrets SET accessed_day = 100000000", List()),
        ("UPDATE secrets SET head = cast(x'ff' AS TEXT)", List()),
        ("DELETE FROM meta", List()),
        ("DELETE FROM keys", List()),
        ("UPDATE keys SET id = id + 1", List()),
        ("UPDATE keys SET master = x'00'", List()),
        ("UPDATE keys SET wrapped = 'text'", List()),
        ("UPDATE keys SET wrapped = substr(wrapped, 2)", List()),
        ("UPDATE keys SET derivation = x'00'", List()),
        ("UPDATE keys SET sum = x'00'", List()),
        ("UPDATE meta SET value = 'text' WHERE name = 'epoch'", List()),
        ("UPDATE meta SET value = 'text' WHERE name = 'header'", List()),
        ("UPDATE meta SET value = x'02' || value WHERE name = 'header'", List()),
        ("DROP TABLE versions", Get("a")),
        ("ALTER TABLE versions RENAME COLUMN sealed TO other", Get("a")),
        ("CREATE UNIQUE INDEX one_version ON versions (secret)", Set("a", "two")),
    ],
)
def test_rows_and_tables_that_we_never_make_are_told_as_damage(
    folder: Path, connect: Connect, statement: str, operation: Operation[object]
) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()
    tamper(folder, statement)

    with pytest.raises(StoreDamaged, match="damaged or not a database of ours") as caught:
        do(connect(), operation)

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE secrets SET id = id + 1",
        "UPDATE secrets SET key = key + 1",
        "UPDATE secrets SET head = x'00'",
        "UPDATE secrets SET head = substr(head, 2)",
        "UPDATE secrets SET head = zeroblob(length(head))",
        "UPDATE versions SET key = key + 1",
        "UPDATE versions SET key = 'text'",
        "UPDATE versions SET wrapped = x''",
        "UPDATE versions SET wrapped = sealed",
        "UPDATE versions SET sealed = 'text'",
        "UPDATE versions SET sealed = zeroblob(length(sealed))",
        "UPDATE versions SET version_id = x'00'",
        "UPDATE versions SET secret = secret + 1",
        "DELETE FROM versions",
    ],
)
def test_a_damaged_record_is_told_for_the_secret_it_is_of_and_for_no_other(
    folder: Path, connect: Connect, statement: str
) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    secret = do(backend, List())[0]
    tamper(folder, statement)
    do(backend, Set("b", "two"))

    for operation in (Get("a"), Get(secret.arn)):
        with pytest.raises(DecryptionFailed, match="secret a cannot be opened") as caught:
            do(connect(), operation)
        assert caught.value.__context__ is None
    assert do(connect(), Get("b")).reveal() == "two"
    batch = do(connect(), GetMany(("a", "b")))
    assert (list(batch.found), list(batch.errors)) == (["b"], ["a"])


def test_a_wrong_key_for_a_store_with_damaged_keys_is_called_damage(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()
    tamper(folder, "INSERT INTO keys SELECT id, zeroblob(16), derivation, wrapped, sum FROM keys")
    assert do(connect(), Get("a")).reveal() == "one"
    (folder / "key").write_bytes(bytes(32))

    with pytest.raises(StoreDamaged):
        do(connect(), Get("a"))


def test_a_lost_index_on_the_dates_is_in_no_reader_s_way(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    do(backend, Set("b", "one"))
    do(backend, Delete("b"))
    backend.close()
    ((page,),) = ask(folder, "SELECT rootpage FROM sqlite_master WHERE name = 'scheduled'")
    whole = (folder / "secrets.db").read_bytes()
    (folder / "secrets.db").write_bytes(whole[: (page - 1) * 4096] + b"\xa5" * 4096 + whole[page * 4096 :])

    assert do(connect(), Get("a")).reveal() == "one"
    assert [info.name for info in do(connect(), List())] == ["a"]
    with pytest.raises(StoreDamaged):
        do(connect(), Set("a", "two"))
    assert not verify(folder, key_of(folder), deadline=within().deadline).clean


def test_a_damaged_secret_that_is_due_to_go_stays_and_is_in_nobody_s_way(
    folder: Path, connect: Connect, clock: WallClock
) -> None:
    backend = connect()
    for name in "ab":
        do(backend, Set(name, "one"))
        do(backend, Delete(name))
    tamper(folder, "UPDATE secrets SET deletion_date = deletion_date - 1 WHERE id = (SELECT min(id) FROM secrets)")
    clock.advance(days=31)
    do(connect(), Set("c", "one"))
    clock.advance(hours=1)

    do(connect(), Set("c", "two"))

    with closing(sqlite3.connect(folder / "secrets.db")) as connection:
        assert connection.execute("SELECT count(*) FROM secrets").fetchone() == (2,)


def test_a_store_of_a_newer_format_is_refused_and_left_as_it_is(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()
    body = b"\x03 and what a later release puts there"
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as connection:
        newer = body + hashlib.sha256(body).digest()
        connection.execute("UPDATE meta SET value = ? WHERE name = 'header'", (newer,))
    before = files(folder)

    for operation in (Get("a"), Set("a", "two")):
        failed = connect()
        with pytest.raises(StoreDamaged, match="a newer release; upgrade this one"):
            do(failed, operation)
        failed.close()

    assert files(folder) == before


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_bytes(b"no database at all. " * 500), id="text"),
        pytest.param(lambda path: path.write_bytes(os.urandom(8192)), id="noise"),
        pytest.param(lambda path: foreign(path, "CREATE TABLE t (x)"), id="tables of another program"),
        pytest.param(lambda path: foreign(path, "PRAGMA application_id = 77", "VACUUM"), id="another application id"),
        pytest.param(
            lambda path: foreign(
                path, f"PRAGMA application_id = {schema.APPLICATION_ID}", "PRAGMA user_version = 99", "VACUUM"
            ),
            id="a newer release",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_left_as_it_is(
    folder: Path, connect: Connect, make: Callable[[Path], object]
) -> None:
    folder.mkdir(mode=0o700)
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(b"k" * 32)
    (folder / "secrets.db").touch(0o600)
    make(folder / "secrets.db")
    before = files(folder)
    backend = connect()

    for operation in (Set("a", "b"), List()):
        with pytest.raises(StoreDamaged):
            do(backend, operation)

    assert files(folder) == before


def foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_a_file_with_a_broken_page_is_told_as_damage(folder: Path, connect: Connect) -> None:
    backend = connect()
    for number in range(50):
        do(backend, Set(f"s{number}", "x" * 2000))
    backend.close()
    whole = (folder / "secrets.db").read_bytes()
    (folder / "secrets.db").write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))

    with pytest.raises(StoreDamaged, match="bring it back from a copy"):
        do(connect(), List())
