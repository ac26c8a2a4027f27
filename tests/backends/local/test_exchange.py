"""Somebody who can write to the file exchanges what is in it: nothing of one place passes in another."""

import shutil
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.keys.external_key import ExternalKey
from secrets_actor.backends.local.keys.readers import FileReader
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import DecryptionFailed, SecretNotFound, StoreDamaged, WrongKey
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import ask, do, key_of, tamper, within

OLD, NEW, OTHER = (f"{number:032d}" for number in (1, 2, 3))
SECRET: Final = "(SELECT secret FROM versions WHERE version_id = '{}')"
MINE, THEIRS = SECRET.format(OLD), SECRET.format(OTHER)


@pytest.fixture
def two(folder: Path, connect: Connect) -> Path:
    """`mine` with an old and a new version, and `theirs`."""
    backend = connect()
    do(backend, Set("mine", "old", token=OLD))
    do(backend, Set("mine", "new", token=NEW))
    do(backend, Set("theirs", "other", token=OTHER))
    backend.close()
    return folder


def swap(table: str, names: str, one: str, other: str) -> tuple[str, ...]:
    """Exchange columns of the rows with these ids."""
    return (
        f"CREATE TEMP TABLE pair AS SELECT * FROM {table} WHERE id IN ({one}, {other})",
        *(
            f"UPDATE {table} SET {name} = (SELECT {name} FROM pair WHERE pair.id <> {table}.id)"
            " WHERE id IN (SELECT id FROM pair)"
            for name in names.split()
        ),
    )


def assert_noticed(folder: Path, connect: Connect, *names: str) -> None:
    """Neither secret gives another value than its own; those of *names* give none; verify tells."""
    for name, value in (("mine", "new"), ("theirs", "other")):
        if name in names:
            with pytest.raises((DecryptionFailed, StoreDamaged)):
                do(connect(), Get(name))
        else:
            assert do(connect(), Get(name)).reveal() == value
    assert not verify(folder, key_of(folder), deadline=within().deadline).clean


@pytest.mark.parametrize("names", ["head", "head key"])
def test_heads_do_not_open_in_another_secret_s_row(two: Path, connect: Connect, names: str) -> None:
    tamper(two, *swap("secrets", names, MINE, THEIRS))

    assert_noticed(two, connect, "mine", "theirs")
    with pytest.raises(DecryptionFailed):
        do(connect(), List())


def test_a_secret_is_not_found_under_another_name(two: Path, connect: Connect) -> None:
    mine, theirs = (ask(two, f"SELECT hex(locator) FROM secrets WHERE id = {of}")[0][0] for of in (MINE, THEIRS))
    tamper(
        two,
        f"UPDATE secrets SET locator = x'00' WHERE id = {MINE}",
        f"UPDATE secrets SET locator = x'{mine}' WHERE id = {THEIRS}",
        f"UPDATE secrets SET locator = x'{theirs}' WHERE locator = x'00'",
    )

    assert_noticed(two, connect, "mine", "theirs")


def test_heads_and_ids_together_do_not_open_under_another_name(two: Path, connect: Connect) -> None:
    mine, theirs = (ask(two, f"SELECT {of}")[0][0] for of in (MINE, THEIRS))
    locator = ask(two, f"SELECT locator FROM secrets WHERE id = {mine}")[0][0].hex()
    tamper(
        two,
        f"DELETE FROM secrets WHERE id = {mine}",
        f"UPDATE secrets SET locator = x'{locator}' WHERE id = {theirs}",
    )

    with pytest.raises(DecryptionFailed):
        do(connect(), Get("mine"))


@pytest.mark.parametrize("names", ["sealed", "wrapped", "wrapped sealed", "wrapped sealed key"])
@pytest.mark.parametrize(("version", "lost"), [(NEW, ("mine",)), (OTHER, ("mine", "theirs"))])
def test_values_do_not_open_in_another_version_s_row(
    two: Path, connect: Connect, names: str, version: str, lost: tuple[str, ...]
) -> None:
    one, other = (f"(SELECT id FROM versions WHERE version_id = '{of}')" for of in (OLD, version))
    tamper(two, *swap("versions", names, one, other))

    if version == OTHER:  # the current one of `mine` is untouched, the old one and theirs are not
        assert_noticed(two, connect, "theirs")
        with pytest.raises(DecryptionFailed):
            do(connect(), Get("mine", version_id=OLD))
    else:
        assert_noticed(two, connect, *lost)


def test_an_old_version_does_not_pass_under_a_new_id(two: Path, connect: Connect) -> None:
    tamper(
        two,
        f"DELETE FROM versions WHERE version_id = '{NEW}'",
        f"UPDATE versions SET version_id = '{NEW}' WHERE version_id = '{OLD}'",
    )

    assert_noticed(two, connect, "mine")


def test_a_version_does_not_pass_in_another_secret(two: Path, connect: Connect) -> None:
    do(connect(), Set("theirs", "newer", token=NEW))
    mine, theirs = (ask(two, f"SELECT {of}")[0][0] for of in (MINE, THEIRS))
    tamper(
        two,
        f"DELETE FROM versions WHERE secret = {mine} AND version_id = '{NEW}'",
        f"UPDATE versions SET secret = {mine} WHERE secret = {theirs} AND version_id = '{NEW}'",
    )

    with pytest.raises(DecryptionFailed):
        do(connect(), Get("mine"))
    with pytest.raises(DecryptionFailed):
        do(connect(), Get("theirs"))


def test_a_secret_made_anew_does_not_take_the_values_of_the_one_before(two: Path, connect: Connect) -> None:
    rows = ask(two, f"SELECT version_id, key, hex(wrapped), hex(sealed) FROM versions WHERE version_id = '{NEW}'")
    backend = connect()
    do(backend, Delete("mine", force=True))
    do(backend, Set("mine", "anew", token=NEW))
    version_id, _, wrapped, sealed = rows[0]
    tamper(two, f"UPDATE versions SET wrapped = x'{wrapped}', sealed = x'{sealed}' WHERE version_id = '{version_id}'")

    with pytest.raises(DecryptionFailed):
        do(connect(), Get("mine"))


def test_rows_of_another_store_do_not_open_even_under_the_same_master_key(
    two: Path, connect: Connect, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    shutil.copyfile(two / "key", other / "key")
    (other / "key").chmod(0o600)
    given = ExternalKey(FileReader(str(other / "key")))
    backend = local_backend_factory(path=other, recovery_window=30, key=given).connect()
    do(backend, Set("mine", "of another store", token=OLD))
    backend.close()
    attach = f"ATTACH '{other / 'secrets.db'}' AS other"
    for table in ("secrets", "versions"):
        tamper(two, attach, f"DELETE FROM main.{table}", f"INSERT INTO main.{table} SELECT * FROM other.{table}")
    with pytest.raises(DecryptionFailed):
        do(connect(), List())
    with pytest.raises(SecretNotFound):  # names are hashed under another key
        do(connect(), Get("mine"))

    which = "INSERT OR REPLACE INTO main.meta SELECT * FROM other.meta WHERE name = 'keys'"
    tamper(two, attach, "DELETE FROM main.keys", "INSERT INTO main.keys SELECT * FROM other.keys", which)
    with pytest.raises(WrongKey):
        do(connect(), List())


@pytest.mark.parametrize("date", ["NULL", "1", "deletion_date + 1"])
def test_a_date_of_deletion_counts_only_as_it_was_sealed(two: Path, connect: Connect, date: str) -> None:
    do(connect(), Delete("mine"))
    tamper(two, f"UPDATE secrets SET deletion_date = {date} WHERE id = {MINE}")

    for operation in (Restore("mine"), Delete("mine", force=True)):
        with pytest.raises(StoreDamaged):
            do(connect(), operation)
    do(connect(), Set("theirs", "goes on"))
    assert ask(two, "SELECT count(*) FROM secrets") == [(2,)]


def test_a_secret_that_is_not_due_is_not_cleared_away(two: Path, connect: Connect) -> None:
    tamper(two, "UPDATE secrets SET deletion_date = 1")

    do(connect(), Set("new", "value"))

    assert ask(two, "SELECT count(*) FROM secrets") == [(3,)]
