"""Records, tables and files that are not as we made them are told, and left as they are."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.domain.errors import (
    DecryptionFailed,
    StoreDamaged,
)
from secrets_actor.domain.operations import Get, List, Operation, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, files

TOKEN = "0" * 31


def tamper(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def test_exchanged_records_do_not_open(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("mine", "one", token=f"{TOKEN}1"))
    do(backend, Set("theirs", "two", token=f"{TOKEN}1"))
    tamper(
        folder,
        "CREATE TEMP TABLE copy AS SELECT id, sealed FROM versions",
        "UPDATE versions SET sealed = (SELECT sealed FROM copy WHERE copy.id <> versions.id)",
    )

    for name in ("mine", "theirs"):
        with pytest.raises(DecryptionFailed, match=name):
            do(backend, Get(name))


def test_an_older_version_does_not_pass_for_a_newer_one(folder: Path, backend: LocalBackend) -> None:
    do(backend, Set("a", "old", token=f"{TOKEN}1"))
    do(backend, Set("a", "new", token=f"{TOKEN}2"))
    tamper(folder, "UPDATE versions SET sealed = (SELECT sealed FROM versions v WHERE v.id = 1)")

    with pytest.raises(DecryptionFailed):
        do(backend, Get("a"))


@pytest.mark.parametrize(
    ("statement", "operation"),
    [
        ("UPDATE secrets SET created_at = 'never'", Get("a")),
        ("UPDATE secrets SET changed_at = 1000000000000000000", Get("a")),
        ("UPDATE secrets SET name = x'ff'", List()),
        ("UPDATE secrets SET description = cast(x'ff' AS TEXT)", List()),
        ("UPDATE versions SET version_id = x'00'", Get("a")),
        ("DELETE FROM meta", List()),
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
