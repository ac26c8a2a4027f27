"""An open store: the days of access, what others write, and keys that change under it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.domain.errors import InvalidInput, KeyFileError, WrongKey
from secrets_actor.domain.operations import Delete, Describe, Get, GetMany, List, Restore, Set, Tag
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import START, WallClock, ask, do, key_of, within

TODAY = datetime(2026, 1, 1, tzinfo=UTC)


def accessed(backend: LocalBackend, name: str) -> datetime | None:
    return do(backend, Describe(name)).accessed_at


def changes(folder: Path) -> int:
    """How often the database's log was written to: its size."""
    return (folder / "secrets.db-wal").stat().st_size


def test_a_get_notes_its_day_once_and_no_other_operation_does(folder: Path, connect: Connect, clock: WallClock) -> None:
    backend, other = connect(), connect()
    do(backend, Set("a", "one"))
    assert accessed(backend, "a") is None
    do(backend, List())
    do(backend, Get("a"))
    assert [accessed(one, "a") for one in (backend, other)] == [TODAY, TODAY]
    written = changes(folder)
    clock.advance(hours=11)
    for one in (backend, other):
        do(one, Get("a"))
        do(one, GetMany(("a",)))
    assert changes(folder) == written

    clock.advance(hours=2)
    do(other, GetMany(("a",)))

    assert [accessed(one, "a") for one in (backend, other)] == [datetime(2026, 1, 2, tzinfo=UTC)] * 2
    assert do(backend, List())[0].changed_at == START


def test_a_set_keeps_the_day(backend: LocalBackend, connect: Connect) -> None:
    do(backend, Set("a", "one"))
    do(backend, Get("a"))
    do(backend, Set("a", "two"))
    do(backend, Tag("a", {"k": "v"}))
    do(backend, Delete("a"))
    do(backend, Restore("a"))

    assert [accessed(one, "a") for one in (backend, connect())] == [TODAY, TODAY]


def test_a_day_that_cannot_be_noted_is_no_failure_of_the_get(folder: Path, backend: LocalBackend) -> None:
    do(backend, Set("a", "one"))
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert do(backend, Get("a")).reveal() == "one"
        other.execute("ROLLBACK")
    assert accessed(backend, "a") is None
    assert backend._opened is not None
    backend._opened.store._connection.execute("PRAGMA query_only = ON")
    assert do(backend, Get("a")).reveal() == "one"
    backend._opened.store._connection.execute("PRAGMA query_only = OFF")

    do(backend, Get("a"))
    assert accessed(backend, "a") == TODAY


def test_a_set_after_a_noted_day_is_on_the_disk_before_it_is_answered(backend: LocalBackend) -> None:
    do(backend, Set("a", "one"))
    assert backend._opened is not None
    connection = backend._opened.store._connection
    do(backend, Get("a"))
    assert connection.execute("PRAGMA synchronous").fetchone() == (1,)  # normal: of the day only

    do(backend, Set("a", "two"))

    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # full
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (50,)


def test_what_another_writes_is_seen_by_a_list_that_remembers(connect: Connect) -> None:
    one, other = connect(), connect()
    for name in "abc":
        do(one, Set(name, "one", description="first"))
    before = do(one, List())
    do(other, Set("b", "two", description="second"))
    do(other, Delete("c", force=True))
    do(other, Set("c", "again"))
    do(other, Set("d", "new"))

    after = do(one, List())
    assert after == do(connect(), List())
    assert [info.description for info in after] == ["first", "second", None, None]
    assert after[0] == before[0]
    assert after[2].arn != before[2].arn


def test_a_refused_write_leaves_what_is_remembered_as_it_was(backend: LocalBackend, connect: Connect) -> None:
    do(backend, Set("a", "one", token="1" * 32))
    before = do(backend, List())

    with pytest.raises(InvalidInput):
        do(backend, Set("a", "x" * 70_000))
    assert backend._opened is not None
    connection = backend._opened.store._connection
    connection.execute("PRAGMA query_only = ON")
    for operation in (Set("a", "two", description="d"), Set("b", "new"), Delete("a", force=True)):
        with pytest.raises(Exception, match="cannot be written"):
            do(backend, operation)
    connection.execute("PRAGMA query_only = OFF")

    assert do(backend, List()) == before
    assert do(backend, Get("a")).reveal() == "one"


def test_keys_changed_by_another_are_taken_up_in_the_middle(store: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, List())
    for deep in (False, True, True):
        rekey(store, key_of(store), deep=deep, deadline=within().deadline)
        do(backend, Set("s2", f"{deep}"))
        assert do(backend, Get("s2")).reveal() == f"{deep}"
        assert len(ask(store, "SELECT DISTINCT key FROM versions UNION SELECT DISTINCT key FROM secrets")) == 1


def test_a_store_whose_keys_went_to_another_place_is_not_written_to(
    store: Path, connect: Connect, tmp_path: Path
) -> None:
    backend = connect()
    do(backend, List())
    rekey(store, key_of(store), to=KeyFile(tmp_path / "elsewhere"), deep=True, deadline=within().deadline)

    for operation in (Get("s2"), Set("s2", "new")):
        with pytest.raises(WrongKey, match="put the right key back"):
            do(backend, operation)
    (store / "key").unlink()
    with pytest.raises(KeyFileError, match="is missing"):
        do(backend, Get("s2"))


@pytest.mark.parametrize(("reads", "turns"), [("the old key", 1), ("the new key", 2)])
def test_a_key_that_changes_after_a_look_at_the_rows_is_no_wrong_key(store: Path, reads: str, turns: int) -> None:
    class Slow(KeyFile):
        turns = 0

        def load(self, derivation: object = None) -> bytes | None:
            Slow.turns += 1
            old = super().load()
            if Slow.turns == 1:
                rekey(store, key_of(store), deadline=within().deadline)
            return old if reads == "the old key" else super().load()

    backend = LocalBackend(store, recovery_window=30, key=Slow(store / "key"))
    assert len(do(backend, List())) > 1
    backend.close()
    assert Slow.turns == turns
