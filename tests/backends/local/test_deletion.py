"""Deleting and restoring mean what they mean at AWS."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.upkeep.rekey import rekey
from secrets_actor.domain.errors import (
    SecretDeleted,
    SecretNotFound,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from secrets_actor.domain.semantics.stages import MAX_VERSIONS
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import START, WallClock, ask, do, files, key_of, run_killed, tamper, within


def token(number: int) -> str:
    return f"{number:032d}"


def names(backend: LocalBackend, *, include_deleted: bool = False) -> list[str]:
    return [info.name for info in do(backend, List(include_deleted=include_deleted))]


@pytest.mark.parametrize(("asked", "days"), [(None, 30), (7, 7), (30, 30)])
def test_a_soft_delete_names_the_day_and_hides_the_secret(backend: LocalBackend, asked: int | None, days: int) -> None:
    arn = do(backend, Set("a", "one")).arn

    receipt = do(backend, Delete("a", recovery_window=asked))

    assert (receipt.name, receipt.arn, receipt.deletion_date) == ("a", arn, START + timedelta(days=days))
    assert names(backend) == []
    assert names(backend, include_deleted=True) == ["a"]
    for operation in (Get("a"), Get(arn), Set("a", "two"), Set(arn, "two"), Delete("a")):
        with pytest.raises(SecretDeleted, match="restore it first"):
            do(backend, operation)


def test_a_restored_secret_is_as_it_was(backend: LocalBackend) -> None:
    receipt = do(backend, Set("a", "one", token=token(1)))
    do(backend, Set("a", "two", token=token(2)))
    do(backend, Delete("a"))

    restored = do(backend, Restore("a"))

    assert (restored.name, restored.arn) == ("a", receipt.arn)
    assert do(backend, Get("a")).reveal() == "two"
    assert do(backend, Get("a", stage="AWSPREVIOUS")).reveal() == "one"


def test_a_restore_of_a_live_secret_changes_nothing(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Set("a", "one"))
    before = do(backend, List())
    clock.advance(hours=1)

    do(backend, Restore("a"))

    assert do(backend, List()) == before


def test_a_forced_delete_is_at_once_and_for_good(backend: LocalBackend) -> None:
    first = do(backend, Set("a", "one"))

    receipt = do(backend, Delete("a", force=True))

    assert (receipt.name, receipt.arn, receipt.deletion_date) == ("a", first.arn, START)
    for operation in (Get("a"), Restore("a")):
        with pytest.raises(SecretNotFound):
            do(backend, operation)
    assert names(backend, include_deleted=True) == []
    anew = do(backend, Set("a", "two"))
    assert anew.created
    assert anew.arn != first.arn


def test_a_forced_delete_takes_a_scheduled_secret_too(backend: LocalBackend) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a"))

    do(backend, Delete("a", force=True))

    assert names(backend, include_deleted=True) == []


def test_a_forced_delete_of_a_missing_secret_succeeds(backend: LocalBackend) -> None:
    receipt = do(backend, Delete("a", force=True))

    assert (receipt.name, receipt.deletion_date) == ("a", START)
    assert SecretId(receipt.arn).lanes[0] == "a"
    assert do(backend, Delete(receipt.arn, force=True)).arn == receipt.arn


def test_past_the_recovery_window_the_secret_is_gone(backend: LocalBackend, clock: WallClock, folder: Path) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a", recovery_window=7))

    clock.advance(days=7, microseconds=-1)
    with pytest.raises(SecretDeleted):
        do(backend, Get("a"))
    clock.advance(microseconds=1)
    with pytest.raises(SecretDeleted):  # the clock may be wrong: that is seen, and looked at again an hour later
        do(backend, Get("a"))
    clock.advance(hours=1)

    for operation in (Get("a"), Restore("a"), Delete("a")):
        with pytest.raises(SecretNotFound):
            do(backend, operation)
    assert names(backend, include_deleted=True) == []
    clock.set(days=-1)  # it is purged, not only hidden: an earlier clock does not bring it back
    assert names(backend, include_deleted=True) == []
    assert do(backend, Set("a", "two")).created


@pytest.mark.parametrize("looks", [1, 20])
def test_a_wall_clock_that_was_a_month_ahead_for_a_while_has_cost_nothing(
    backend: LocalBackend, clock: WallClock, connect: Callable[[], LocalBackend], looks: int
) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a", recovery_window=7))
    clock.set(days=31)

    for number in range(looks):
        do(backend, Set("b", f"{number}"))
        do(connect(), List())
        with pytest.raises(SecretDeleted):
            do(backend, Set("a", "another"))
        clock.advance(minutes=2)
    assert names(backend, include_deleted=True) == ["a", "b"]
    clock.set(days=-31)

    do(connect(), Restore("a"))
    assert do(backend, Get("a")).reveal() == "one"


def test_it_can_be_restored_while_the_wall_clock_is_ahead(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Set("a", "one"))
    do(backend, Delete("a", recovery_window=7))
    clock.set(days=31)
    do(backend, List())

    do(backend, Restore("a"))

    clock.advance(hours=2)
    assert do(backend, Get("a")).reveal() == "one"


def test_a_look_at_a_clock_that_was_wrong_is_no_first_look(
    backend: LocalBackend, clock: WallClock, folder: Path
) -> None:
    """It is ahead twice, for a minute each, and days lie between."""
    do(backend, Set("a", "one"))
    do(backend, Delete("a", recovery_window=30))
    for _ in range(3):
        clock.set(days=31)
        do(backend, List())
        clock.advance(minutes=1)
        do(backend, List())
        clock.set(days=-31)
        do(backend, List())
        assert ask(folder, "SELECT count(*) FROM meta WHERE name = 'first look'") == [(0,)]
        clock.advance(days=2)

    do(backend, Restore("a"))


def test_looks_before_and_after_the_machine_was_started_anew_are_two(
    connect: Callable[[], LocalBackend], clock: WallClock
) -> None:
    do(connect(), Set("a", "one"))
    do(connect(), Delete("a", recovery_window=7))
    clock.advance(days=8)
    do(connect(), List())
    clock.seconds = 60.0  # it has just come up
    do(connect(), List())
    assert names(connect(), include_deleted=True) == ["a"]

    clock.advance(hours=1)

    do(connect(), List())
    assert names(connect(), include_deleted=True) == []


def test_what_ends_later_has_two_looks_of_its_own(backend: LocalBackend, clock: WallClock) -> None:
    for name, days in (("a", 7), ("b", 8)):
        do(backend, Set(name, "one"))
        do(backend, Delete(name, recovery_window=days))
    clock.advance(days=7)
    do(backend, List())
    clock.advance(days=1)
    do(backend, List())
    assert names(backend, include_deleted=True) == ["b"]

    clock.advance(minutes=59)
    assert names(backend, include_deleted=True) == ["b"]
    clock.advance(minutes=1)
    do(backend, List())
    assert names(backend, include_deleted=True) == []


def test_a_first_look_that_is_none_of_ours_counts_for_nothing(
    connect: Callable[[], LocalBackend], clock: WallClock, folder: Path
) -> None:
    do(connect(), Set("a", "one"))
    do(connect(), Delete("a", recovery_window=7))
    clock.advance(days=8)
    for value in ("x'00'", "'text'", "x'" + "ff" * 16 + "'", "x'00000000000000007ff8000000000000'"):
        tamper(folder, f"INSERT OR REPLACE INTO meta (name, value) VALUES ('first look', {value})")
        assert names(connect(), include_deleted=True) == ["a"]


# --- what is deleted is gone from the files, too ----------------------------------------------------------------------


def sealed(folder: Path) -> list[bytes]:
    """What lies in the store for the long value."""
    return [one for (one,) in ask(folder, "SELECT sealed FROM versions WHERE length(sealed) > 300")]


def assert_gone(folder: Path, *what: bytes) -> None:
    for name, content in files(folder).items():
        for one in what:
            assert one[:200] not in content, name
            assert one[-200:] not in content, name


VALUE = "of three hundred characters and more: " * 10


def forced(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Delete("doomed", force=True))


def purged(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Delete("doomed"))
    clock.advance(days=31)
    do(backend, Set("other", "x"))
    clock.advance(hours=1)
    do(backend, Set("other", "y"))


def swept(backend: LocalBackend, clock: WallClock) -> None:
    do(backend, Delete("doomed"))
    clock.advance(days=31)
    do(backend, List())
    clock.advance(hours=1)
    do(backend, Get("other"))


def pruned(backend: LocalBackend, clock: WallClock) -> None:
    for number in range(MAX_VERSIONS + 1):
        do(backend, Set("doomed", str(number)))


@pytest.mark.parametrize("end", [forced, purged, swept, pruned], ids=lambda one: one.__name__)
def test_what_is_deleted_is_in_no_file_any_more_while_others_have_the_store_open(
    folder: Path, connect: Connect, clock: WallClock, end: Callable[[LocalBackend, WallClock], None]
) -> None:
    backend, other = connect(), connect()
    do(backend, Set("other", "y"))
    do(backend, Set("doomed", VALUE))
    do(other, Get("doomed"))
    doomed = sealed(folder)
    assert len(doomed) == 1
    assert any(doomed[0][:200] in content for content in files(folder).values())

    end(backend, clock)

    assert_gone(folder, *doomed)


def test_a_reader_in_the_way_is_waited_for_and_what_is_owed_is_paid_later(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("other", "y"))
    do(backend, Set("doomed", VALUE))
    doomed = sealed(folder)
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM secrets").fetchone()
        do(backend, Delete("doomed", force=True))  # it is deleted, though its traces are still there
        reader.execute("ROLLBACK")

    do(backend, Get("other"))

    assert_gone(folder, *doomed)


def test_a_kill_before_the_log_was_cleared_is_made_up_for_by_who_opens_next(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("other", "y"))
    do(backend, Set("doomed", VALUE))
    doomed = sealed(folder)
    backend.close()
    script = """
import pathlib, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Delete, Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
backend.perform(Delete("doomed", force=True), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 20))
"""
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as other:
        other.execute("SELECT count(*) FROM secrets").fetchone()  # another process has it open
        assert run_killed(script, folder, "Store.clear_log", 1, "call")

        do(connect(), Get("other"))

    assert_gone(folder, *doomed)


def test_old_keys_are_in_no_file_after_a_rekey(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("doomed", VALUE))
    old = [*sealed(folder), *[one for (one,) in ask(folder, "SELECT wrapped FROM keys")]]

    rekey(folder, key_of(folder), deep=True, deadline=within().deadline)

    for content in files(folder).values():
        for one in old:
            assert one not in content
    assert do(backend, Get("doomed")).reveal() == VALUE
