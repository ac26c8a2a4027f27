"""New keys for a store in use: nothing is lost, whatever happens in the middle."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.backends.local.upkeep.rekey import change_all, change_master, rekey
from secrets_actor.backends.local.upkeep.verify import verify
from secrets_actor.domain.errors import InvalidRequest, StoreDamaged, StoreUnavailable, WrongKey
from secrets_actor.domain.operations import Get, List, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import (
    LONG,
    SECRETS,
    ask,
    assert_filled,
    do,
    key_of,
    run_killed,
    tamper,
    within,
)

REKEY: Final = """
import pathlib, time
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.rekey import rekey
folder = pathlib.Path(sys.argv[1])
rekey(folder, KeyFile(folder / "key"), deep=True, deadline=time.clock_gettime(time.CLOCK_BOOTTIME) + 30)
"""
SEALED: Final = (
    "SELECT locator FROM secrets",
    "SELECT head FROM secrets",
    "SELECT wrapped FROM versions",
    "SELECT sealed FROM versions",
)


def run(folder: Path, *, deep: bool = False, to: KeyFile | None = None) -> tuple[int, int, int]:
    done = rekey(folder, key_of(folder), to=to, deep=deep, deadline=within().deadline)
    return done.secrets, done.versions, done.left


def assert_whole(folder: Path, source: KeyFile | None = None) -> None:
    found = verify(folder, source or key_of(folder), deadline=within().deadline)
    assert (found.damage, found.unfinished) == ([], None)
    assert (found.secrets, found.versions) == (SECRETS, SECRETS + 2)


def test_a_new_master_key_changes_no_record_and_the_old_one_opens_nothing(
    store: Path, connect: Connect, tmp_path: Path
) -> None:
    old, before = (store / "key").read_bytes(), [ask(store, question) for question in SEALED]
    backend = connect()
    do(backend, Get("s2"))

    assert run(store) == (0, 0, 0)

    assert (store / "key").read_bytes() != old
    assert (store / "key").stat().st_mode & 0o777 == 0o600
    assert [ask(store, question) for question in SEALED] == before
    assert_filled(backend)
    assert_whole(store)
    backend.close()
    assert sorted(path.name for path in store.iterdir()) == ["key", "secrets.db"]
    (store / "key").write_bytes(old)
    with pytest.raises(WrongKey):
        do(connect(), List())


def test_deep_seals_all_anew(store: Path, connect: Connect) -> None:
    before = [set(ask(store, question)) for question in SEALED]
    backend, told = connect(), []
    do(backend, Get("s2"))

    done = rekey(
        store,
        key_of(store),
        deep=True,
        deadline=within().deadline,
        on_progress=lambda so_far: told.append((so_far.secrets, so_far.versions)),
    )

    assert (done.secrets, done.versions, done.left) == (SECRETS, SECRETS + 2, 0)
    assert told == [(0, 0), (64, 0), (70, 0), (70, 0), (70, 64), (70, 72), (70, 72)]
    for former, question in zip(before, SEALED, strict=True):
        assert not former & set(ask(store, question))
    assert len(ask(store, "SELECT * FROM keys")) == 1
    assert_filled(backend)
    do(backend, Set("s2", "new"))
    assert do(connect(), Get("s2", stage="AWSPREVIOUS")).reveal() == "value 2"


def test_another_source_takes_over(store: Path, connect: Connect, tmp_path: Path) -> None:
    other, backend = KeyFile(tmp_path / "other-key"), connect()
    do(backend, Get("s2"))

    run(store, to=other)

    assert_filled(backend)  # who has the store open goes on
    assert_whole(store, other)
    with pytest.raises(WrongKey, match="key file"):
        do(connect(), List())
    with pytest.raises(WrongKey):
        run(store)
    with pytest.raises(InvalidRequest, match="master key already"):
        rekey(store, other, to=other, deadline=within().deadline)
    rekey(store, other, to=key_of(store), deep=True, deadline=within().deadline)
    assert_filled(connect())


@pytest.mark.parametrize(
    ("name", "turn", "event"),
    [
        ("_next", 1, "return"),
        ("_wrap", 1, "return"),
        ("write_transaction", 1, "return"),
        ("KeyFile.replaced", 1, "return"),
        ("_drop_others", 1, "return"),
        ("write_transaction", 2, "return"),
        ("_begin", 1, "return"),
        ("write_transaction", 3, "return"),
        ("_heads", 1, "return"),
        ("write_transaction", 4, "return"),
        ("_values", 1, "call"),
        ("write_transaction", 8, "return"),
        ("_end", 1, "call"),
        ("_end", 1, "return"),
        ("write_transaction", 10, "return"),
        ("Store.outside_transaction", 4, "call"),
    ],
)
def test_a_crash_at_any_point_loses_nothing_and_the_next_run_comes_to_the_end(
    store: Path, connect: Connect, name: str, turn: int, event: str
) -> None:
    assert run_killed(REKEY, store, name, turn, event)

    backend = connect()
    assert_filled(backend)
    found = verify(store, key_of(store), deadline=within().deadline)
    assert found.clean
    former = ask(store, "SELECT id FROM keys")
    run(store, deep=len(former) > 1 or name != "_next")

    assert_filled(backend)
    assert_whole(store)
    assert len(ask(store, "SELECT id FROM keys")) == 1
    assert not (store / "key.next").exists()


def test_what_is_unfinished_is_told(store: Path) -> None:
    assert run_killed(REKEY, store, "KeyFile.replaced", 1, "call")
    found = verify(store, key_of(store), deadline=within().deadline)
    assert found.unfinished is not None
    assert "master key" in found.unfinished
    shutil.copyfile(store / "key.next", store / "copied")
    run(store)
    assert (store / "key").read_bytes() == (store / "copied").read_bytes()  # the same new key, and not a third one
    assert_whole(store)

    assert run_killed(REKEY, store, "_heads", 2, "call")
    found = verify(store, key_of(store), deadline=within().deadline)
    assert found.unfinished is not None
    assert "--deep" in found.unfinished


def test_others_that_write_meanwhile_lose_nothing(store: Path, connect: Connect) -> None:
    script = """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
done = 0
while not done or sys.stdin.readline().strip() == "go on":
    for name in ("s2", "s3", f"new/{done}"):
        backend.perform(Set(name, f"{done} of {name}"), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
    done += 1
    print(done, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        written = process.stdout.readline().strip()

        def meanwhile(_so_far: object) -> None:
            nonlocal written
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("go on\n")
            process.stdin.flush()
            written = process.stdout.readline().strip()

        done = rekey(store, key_of(store), deep=True, deadline=within().deadline, on_progress=meanwhile)
        process.stdin.close()
        assert process.wait(LONG) == 0

    turns = int(written)
    assert done.left == 0
    assert turns >= 6
    backend = connect()
    for name in ("s2", "s3"):
        assert do(backend, Get(name)).reveal() == f"{turns - 1} of {name}"
        assert do(backend, Get(name, stage="AWSPREVIOUS")).reveal() == f"{turns - 2} of {name}"
    assert [do(backend, Get(f"new/{turn}")).reveal() for turn in range(turns)] == [
        f"{turn} of new/{turn}" for turn in range(turns)
    ]
    found = verify(store, key_of(store), deadline=within().deadline)
    assert (found.damage, found.unfinished) == ([], None)
    assert len(ask(store, "SELECT * FROM keys")) == 1


def test_what_does_not_open_is_left_with_its_key_and_told(store: Path, connect: Connect) -> None:
    tamper(
        store,
        "UPDATE versions SET sealed = zeroblob(40) WHERE id = 5",
        "UPDATE versions SET version_id = x'00' WHERE id = 6",
        "UPDATE secrets SET head = zeroblob(40) WHERE id = (SELECT secret FROM versions WHERE id = 7)",
        "UPDATE secrets SET deletion_date = 7 WHERE id = (SELECT secret FROM versions WHERE id = 8)",
    )

    assert run(store, deep=True) == (SECRETS - 2, SECRETS, 4)

    assert len(ask(store, "SELECT * FROM keys")) == 2
    assert do(connect(), Get("s10")).reveal() == "value 10"
    assert run(store, deep=True) == (0, 0, 4)


def test_all_keys_are_not_changed_in_the_middle_of_a_change_of_the_master_key(store: Path, connect: Connect) -> None:
    assert run_killed(REKEY, store, "KeyFile.replaced", 1, "call")

    with opened_store(store, key_of(store), within().deadline) as half:
        with pytest.raises(InvalidRequest, match="somebody else"):
            change_all(half, within().deadline)
    assert_filled(connect())


def test_a_key_that_was_exchanged_meanwhile_is_told(store: Path) -> None:
    with opened_store(store, key_of(store), within().deadline) as half:
        key = (store / "key").read_bytes()
        (store / "key").write_bytes(key[::-1])
        for change in (
            lambda: change_master(half, None, within().deadline),
            lambda: change_all(half, within().deadline),
        ):
            with pytest.raises(WrongKey):
                change()
    (store / "key").write_bytes(key)
    assert_whole(store)


def test_damaged_rows_of_keys_go_with_a_change_of_the_master_key(store: Path, connect: Connect) -> None:
    tamper(store, "INSERT INTO keys SELECT id, zeroblob(16), derivation, wrapped, sum FROM keys")
    with opened_store(store, key_of(store), within().deadline) as half:
        with pytest.raises(StoreDamaged):
            change_all(half, within().deadline)

    run(store)

    assert_whole(store)
    assert len(ask(store, "SELECT * FROM keys")) == 1


def test_two_who_change_the_master_key_at_once_are_not_mixed(store: Path, connect: Connect, tmp_path: Path) -> None:
    other = KeyFile(tmp_path / "other-key")

    class Slow(KeyFile):
        def replaced(self) -> None:
            rekey(store, key_of(store), to=other, deadline=within().deadline)
            super().replaced()

    with pytest.raises(InvalidRequest, match="somebody else"):
        rekey(store, Slow(store / "key"), deadline=within().deadline)

    assert_whole(store, other)


def test_one_who_comes_too_late_changes_nothing(store: Path, tmp_path: Path) -> None:
    other = KeyFile(tmp_path / "other-key")

    class Slow(KeyFile):
        def replace(self) -> tuple[bytes, None]:
            rekey(store, key_of(store), to=other, deadline=within().deadline)
            return super().replace()

    with pytest.raises(InvalidRequest, match="somebody else"):
        rekey(store, Slow(store / "key"), deadline=within().deadline)

    assert_whole(store, other)


def test_two_who_change_it_to_the_same_key_come_to_the_same_end(store: Path, connect: Connect) -> None:
    class Slow(KeyFile):
        def replace(self) -> tuple[bytes, None]:
            made = super().replace()
            run(store)
            return made

    rekey(store, Slow(store / "key"), deadline=within().deadline)

    assert_whole(store)
    assert_filled(connect())


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no store in"):
        run(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("which", ["min", "max"])
def test_a_store_that_has_lost_one_of_its_two_keys_calls_no_secret_missing(
    store: Path, connect: Connect, which: str
) -> None:
    assert run_killed(REKEY, store, "_heads", 2, "call")
    tamper(store, f"DELETE FROM keys WHERE id = (SELECT {which}(id) FROM keys)")

    for operation in (Get("s2"), Set("s3", "anew"), List()):
        with pytest.raises(StoreDamaged):
            do(connect(), operation)
