"""A copy is consistent, private and never in anybody's way; only a whole one comes back, and wholly."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.backends.local.upkeep.copies import backup, restore
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import (
    BackendTimeout,
    InvalidRequest,
    KeyFileError,
    SecretNotFound,
    StoreDamaged,
    StoreUnavailable,
    WrongKey,
)
from secrets_actor.domain.operations import Delete, Get, List, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import (
    LONG,
    SECRETS,
    assert_filled,
    do,
    files,
    key_of,
    run_killed,
    run_python,
    tamper,
    within,
)

WRITER: Final = """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
for turn in range(10_000):
    for name in "xy":
        backend.perform(Set(name, str(turn)), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
    print(turn, flush=True)
"""
RESTORE: Final = """
import pathlib, time
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.copies import restore
folder = pathlib.Path(sys.argv[1])
until = time.clock_gettime(time.CLOCK_BOOTTIME) + 30
restore(folder, KeyFile(folder / "key"), folder.with_name("copy"), replace=True, deadline=until)
"""


@pytest.fixture
def copy(store: Path) -> Path:
    path = store.with_name("copy")
    backup(store, key_of(store), path, deadline=within().deadline)
    return path


def bring_back(folder: Path, copy: Path, *, replace: bool = False) -> Path | None:
    return restore(folder, key_of(folder), copy, replace=replace, deadline=within().deadline).aside


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o177])
def test_a_copy_is_one_file_for_us_alone_and_sealed(store: Path, umask: int) -> None:
    path, before = store.with_name("copy"), os.umask(umask)
    try:
        size = backup(store, key_of(store), path, deadline=within().deadline)
    finally:
        os.umask(before)

    assert size == path.stat().st_size > 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in sorted(store.parent.iterdir())] == ["copy", "store"]
    content = path.read_bytes()
    assert (store / "key").read_bytes() not in content
    for word in (b"value 7", b"about it", b"s12"):
        assert word not in content


def test_a_copy_in_the_place_of_the_store_is_the_store(store: Path, copy: Path, connect: Connect) -> None:
    (store / "secrets.db").unlink()
    shutil.copyfile(copy, store / "secrets.db")

    assert_filled(connect())


@pytest.mark.parametrize("there", [lambda path: path.write_bytes(b"mine"), lambda path: path.symlink_to("nowhere")])
def test_no_file_is_written_over(store: Path, there: object) -> None:
    path = store.with_name("copy")
    there(path)  # type: ignore[operator]
    was = os.lstat(path)

    with pytest.raises(StoreUnavailable, match="is there already"):
        backup(store, key_of(store), path, deadline=within().deadline)

    assert os.lstat(path) == was
    assert [one.name for one in sorted(store.parent.iterdir())] == ["copy", "store"]


def test_a_copy_that_cannot_be_made_leaves_nothing(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be"):
        backup(store, key_of(store), tmp_path / "nowhere" / "copy", deadline=within().deadline)
    with pytest.raises(BackendTimeout):
        backup(store, key_of(store), tmp_path / "copy", deadline=within(-1).deadline)
    with pytest.raises(StoreUnavailable, match="there is no store in"):
        backup(tmp_path, key_of(tmp_path), tmp_path / "copy", deadline=within().deadline)

    assert [one.name for one in tmp_path.iterdir()] == ["store"]


def test_a_copy_made_under_load_is_as_the_store_was_at_one_moment(store: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(store)], stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            turns = []
            for number in range(5):
                before = int(writer.stdout.readline())
                backup(store, key_of(store), store.with_name(f"copy{number}"), deadline=within().deadline)
                turns.append(before)
        finally:
            writer.kill()
            writer.wait(LONG)

    for number, before in enumerate(turns):
        folder = store.with_name(f"restored{number}")
        shutil.copytree(store, folder, ignore=shutil.ignore_patterns("secrets.db*"))
        bring_back(folder, store.with_name(f"copy{number}"))
        assert verify(folder, key_of(folder), deadline=within().deadline).clean
        with closing(local_backend_factory(path=folder, recovery_window=30).connect()) as backend:
            x, y = (int(str(do(backend, Get(name)).reveal())) for name in "xy")
        assert before <= x
        assert y in (x, x - 1)


def test_what_was_comes_back_and_those_who_have_the_store_open_see_it(
    store: Path, copy: Path, connect: Connect
) -> None:
    backend = connect()
    do(backend, Set("s2", "changed"))
    do(backend, Set("later", "gone again"))
    do(backend, Delete("s3", force=True))
    inode = (store / "secrets.db").stat().st_ino

    assert bring_back(store, copy, replace=True) is None

    assert_filled(backend)
    with pytest.raises(SecretNotFound):
        do(backend, Get("later"))
    assert (store / "secrets.db").stat().st_ino == inode
    do(backend, Set("s2", "goes on"))
    assert do(connect(), Get("s2")).reveal() == "goes on"
    assert verify(store, key_of(store), deadline=within().deadline).clean


def test_a_copy_from_before_all_keys_were_changed_comes_back_with_its_own(
    store: Path, copy: Path, connect: Connect, tmp_path: Path
) -> None:
    backend, key = connect(), (store / "key").read_bytes()
    rekey(store, key_of(store), deep=True, deadline=within().deadline)
    assert_filled(backend)
    with pytest.raises(WrongKey, match="was made under, and nothing was restored"):
        bring_back(store, copy, replace=True)
    assert_filled(backend)
    (store / "key").write_bytes(key)

    bring_back(store, copy, replace=True)

    assert_filled(backend)
    do(backend, Set("s2", "new"))
    rekey(store, key_of(store), deep=True, deadline=within().deadline)
    assert do(backend, Get("s2")).reveal() == "new"


def test_secrets_are_not_taken_away_unless_told(store: Path, copy: Path, connect: Connect) -> None:
    do(connect(), Set("s2", "changed"))

    with pytest.raises(InvalidRequest, match="has secrets"):
        bring_back(store, copy)

    assert do(connect(), Get("s2")).reveal() == "changed"


def test_an_empty_place_needs_no_word(store: Path, copy: Path, connect: Connect) -> None:
    (store / "secrets.db").unlink()
    bring_back(store, copy)
    assert_filled(connect())
    tamper(store, "DELETE FROM versions", "DELETE FROM secrets")
    bring_back(store, copy)

    assert_filled(connect())


@pytest.mark.parametrize("broken", [lambda whole: b"no database. " * 999, lambda whole: b"\xa5" * 4096 + whole[4096:]])
def test_a_damaged_store_is_put_aside_when_told(store: Path, copy: Path, connect: Connect, broken: object) -> None:
    backend = connect()
    do(backend, Get("s2"))
    backend.close()
    damaged = broken((store / "secrets.db").read_bytes())  # type: ignore[operator]
    (store / "secrets.db").write_bytes(damaged)

    with pytest.raises(InvalidRequest, match="is damaged, and would be put aside"):
        bring_back(store, copy)
    aside = bring_back(store, copy, replace=True)

    assert aside is not None
    assert aside.read_bytes() == damaged
    assert_filled(connect())


def test_a_store_that_somebody_writes_to_is_waited_for_until_the_deadline(
    store: Path, copy: Path, connect: Connect
) -> None:
    with closing(sqlite3.connect(store / "secrets.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendTimeout):
            restore(store, key_of(store), copy, replace=True, deadline=within(0.3).deadline)

    assert_filled(connect())


def test_a_store_whose_table_is_gone_is_restored_when_told(store: Path, copy: Path, connect: Connect) -> None:
    tamper(store, "DROP TABLE secrets")
    with pytest.raises(StoreDamaged):
        bring_back(store, copy)

    bring_back(store, copy, replace=True)

    assert_filled(connect())


def test_a_store_with_a_torn_page_is_as_new(store: Path, copy: Path, connect: Connect) -> None:
    whole = (store / "secrets.db").read_bytes()
    (store / "secrets.db").write_bytes(whole[: 4096 * 6] + b"\xa5" * (len(whole) - 4096 * 6))

    bring_back(store, copy, replace=True)

    assert_filled(connect())
    assert verify(store, key_of(store), deadline=within().deadline).clean


@pytest.mark.parametrize(
    "statement",
    ["UPDATE versions SET sealed = zeroblob(40) WHERE id = 5", "DELETE FROM meta", "PRAGMA user_version = 9"],
)
def test_a_copy_that_is_not_whole_does_not_come_back(store: Path, copy: Path, connect: Connect, statement: str) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute(statement)
    before = files(store)

    with pytest.raises(StoreDamaged):
        bring_back(store, copy, replace=True)

    assert files(store) == before
    assert_filled(connect())


def test_what_is_no_copy_does_not_come_back(store: Path, copy: Path, connect: Connect, tmp_path: Path) -> None:
    backend = connect()
    do(backend, Set("s2", "in the log"))
    with pytest.raises(StoreUnavailable, match="the file of a store in use"):
        bring_back(tmp_path / "new", store / "secrets.db")
    with pytest.raises(StoreUnavailable, match="there is no file"):
        bring_back(store, tmp_path / "nothing", replace=True)
    (tmp_path / "old").touch()
    with pytest.raises(StoreDamaged):
        bring_back(store, tmp_path / "old", replace=True)
    with pytest.raises(KeyFileError, match="is missing"):
        bring_back(tmp_path / "new", copy)

    assert do(backend, Get("s2")).reveal() == "in the log"


@pytest.mark.parametrize(
    ("name", "event"), [("look_through", "return"), ("Store.copy_to", "call"), ("Store.copy_to", "return")]
)
def test_a_crash_leaves_what_was_or_what_comes_back(
    store: Path, copy: Path, connect: Connect, name: str, event: str
) -> None:
    do(connect(), Set("s2", "changed"))

    assert run_killed(RESTORE, store, name, 1, event)

    assert do(connect(), Get("s2")).reveal() == ("value 2" if event == "return" and "copy" in name else "changed")
    assert len(do(connect(), List(include_deleted=True))) == SECRETS
    bring_back(store, copy, replace=True)
    assert_filled(connect())


def test_a_disk_that_takes_no_more_leaves_what_was(store: Path, copy: Path, connect: Connect) -> None:
    do(connect(), Set("s2", "changed"))
    limited = "import resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))\n"

    ended = run_python(limited + RESTORE, str(store))

    assert "StoreUnavailable" in ended.stderr
    assert "Nothing stored was lost" in ended.stderr
    assert do(connect(), Get("s2")).reveal() == "changed"
