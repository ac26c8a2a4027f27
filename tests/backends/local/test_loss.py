"""Who only looks makes nothing, and what was lost does not look well: neither to a program that has used the store, nor
to one that begins."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.backends.local.backend import LocalBackend, Makes, local_backend_factory
from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.open_store import MAKING, is_there
from secrets_actor.backends.local.upkeep import copies, existing_store, rekey, verify
from secrets_actor.backends.master_key_setting import place_of
from secrets_actor.domain.diagnosis import Verdict
from secrets_actor.domain.errors import (
    InvalidRequest,
    KeyFileError,
    SecretNotFound,
    SecretsError,
    StoreDamaged,
    StoreUnavailable,
)
from secrets_actor.domain.operations import (
    Create,
    Delete,
    Describe,
    Get,
    GetMany,
    List,
    ListVersions,
    Operation,
    RandomPassword,
    Restore,
    Set,
    Tag,
    Update,
)
from secrets_actor.domain.results import SecretBatch
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import KILLER, ask, do, files, key_of, run_python, tamper, within
from tests.forking import in_child

LOOKS: list[Operation[Any]] = [Get("a"), GetMany(("a",)), List(), Describe("a"), ListVersions("a"), RandomPassword()]
CHANGES: list[Operation[Any]] = [
    Delete("a"),
    Delete("a", force=True),
    Restore("a"),
    Tag("a", {"b": "c"}),
    Update("a", description="b"),
]


@pytest.fixture
def backends(folder: Path) -> Iterator[Callable[..., LocalBackend]]:
    opened: list[LocalBackend] = []

    def one(key: MasterKeySource | None = None, makes: Makes = "first_write", **more: Any) -> LocalBackend:
        backend = local_backend_factory(path=folder, recovery_window=30, key=key, makes=makes, **more).connect()
        assert isinstance(backend, LocalBackend)
        opened.append(backend)
        return backend

    yield one
    for backend in opened:
        backend.close()


# --- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [False, True], ids=["no folder", "an empty folder"])
@pytest.mark.parametrize("operation", [*LOOKS, *CHANGES], ids=lambda one: type(one).__name__)
def test_who_has_nothing_to_keep_makes_nothing(
    folder: Path, connect: Connect, operation: Operation[Any], there: bool
) -> None:
    if there:
        folder.mkdir(mode=0o700)
    backend, full = connect(), local_backend_factory(path=folder.with_name("full"), recovery_window=30).connect()
    do(full, Set("other", "one"))
    do(full, Delete("other", force=True))

    def outcome(of: Any) -> object:
        try:
            answer = do(of, operation)
        except SecretNotFound as error:
            return str(error)
        if isinstance(answer, SecretBatch):
            return list(answer.found), {name: str(error) for name, error in answer.errors.items()}
        return type(answer) if isinstance(operation, (RandomPassword, Delete)) else answer

    with closing(full):
        assert outcome(backend) == outcome(full), "as an empty store answers"
    assert folder.exists() == there
    assert not there or files(folder) == {}


@pytest.mark.parametrize("operation", [Set("a", "one"), Create("a", "one")])
def test_the_first_write_makes_a_store_and_says_so_once(
    folder: Path, backends: Callable[..., LocalBackend], operation: Operation[Any]
) -> None:
    told: list[tuple[str, str]] = []
    backend = backends(on_made=lambda *what: told.append(what))
    do(backend, operation)
    do(backend, Set("b", "two"))
    do(backends(on_made=lambda *what: told.append(what)), Set("c", "three"))

    assert told == [(str(folder), f"the key file {folder / 'key'}")]
    assert {"key", "secrets.db"} <= set(files(folder))
    assert MAKING not in files(folder)


def test_never_makes_none_and_tells_the_way(folder: Path, backends: Callable[..., LocalBackend]) -> None:
    backend = backends(makes="never")
    for operation in (Get("a"), List(), Set("a", "one")):
        with pytest.raises(StoreUnavailable, match="mount its disk, or make one: secrets-actor store init"):
            do(backend, operation)
    assert not folder.exists()

    existing_store.init(folder, key_of(folder), deadline=within().deadline)
    do(backend, Set("a", "one"))
    assert do(backend, Get("a")).reveal() == "one"


def test_the_start_makes_one_where_the_setting_says_so(folder: Path) -> None:
    made = local_backend_factory(path=folder, recovery_window=30, makes="start")
    assert local_backend_factory(path=folder, recovery_window=30).prepare is None
    assert made.prepare is not None
    made.prepare(within().deadline)
    made.prepare(within().deadline)

    assert set(files(folder)) == {"key", "secrets.db"}
    (folder / "secrets.db").unlink()
    with pytest.raises(SecretsError):
        made.prepare(within().deadline)


def test_a_key_that_is_not_there_is_missed_before_there_is_a_store(
    folder: Path, backends: Callable[..., LocalBackend], tmp_path: Path
) -> None:
    given = source_for(place_of({"file": str(tmp_path / "given")}), folder)

    with pytest.raises(KeyFileError, match=r"holds nothing.*opens with its own key alone"):
        do(backends(given), Get("a"))


@pytest.mark.parametrize(
    ("name", "event"), [("KeyFile.create", "return"), ("bring_into_place", "call"), ("bring_into_place", "return")]
)
def test_a_first_write_that_was_killed_is_gone_on_with(folder: Path, connect: Connect, name: str, event: str) -> None:
    script = KILLER + FIRST_SET
    ended = run_python(script, str(folder), name, "1" if name != "bring_into_place" else "2", event)
    assert ended.returncode != 0, "it was not killed"

    backend = connect()
    assert do(backend, List()) == ()
    do(backend, Set("a", "two"))
    assert do(backend, Get("a")).reveal() == "two"
    assert MAKING not in files(folder)


FIRST_SET = """
import pathlib, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
backend.perform(Set("a", "one"), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 20))
"""


def test_a_beginning_does_not_hide_a_later_loss(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()
    (folder / MAKING).touch(0o600)  # as after a kill at the very end of the making

    backend = connect()
    assert do(backend, Get("a")).reveal() == "one"
    backend.close()

    assert MAKING not in files(folder)


# --- what is lost, to a program that begins ---------------------------------------------------------------------------


def emptied(folder: Path) -> None:
    (folder / "secrets.db").write_bytes(b"")


def without_tables(folder: Path) -> None:
    (folder / "secrets.db").unlink()
    tamper(folder, "PRAGMA user_version = 1", "PRAGMA user_version = 0")
    (folder / "secrets.db").chmod(0o600)


def without_database(folder: Path) -> None:
    (folder / "secrets.db").unlink()


def with_log_alone(folder: Path) -> None:
    (folder / "secrets.db").rename(folder / "secrets.db-wal")


def without_header(folder: Path) -> None:
    whole = (folder / "secrets.db").read_bytes()
    (folder / "secrets.db").write_bytes(bytes(100) + whole[100:])


def zeroed(folder: Path) -> None:
    (folder / "secrets.db").write_bytes(bytes((folder / "secrets.db").stat().st_size))


def without_rows_of_keys(folder: Path) -> None:
    tamper(folder, "DELETE FROM keys")


def without_meta(folder: Path) -> None:
    tamper(folder, "DELETE FROM meta")


def without_key(folder: Path) -> None:
    (folder / "key").unlink()


def with_empty_key(folder: Path) -> None:
    (folder / "key").write_bytes(b"")


def with_empty_key_and_no_database(folder: Path) -> None:
    with_empty_key(folder)
    without_database(folder)


LOSSES = [
    emptied,
    without_tables,
    without_database,
    with_log_alone,
    without_header,
    zeroed,
    without_rows_of_keys,
    without_meta,
    without_key,
    with_empty_key,
    with_empty_key_and_no_database,
]
LOSS = pytest.mark.parametrize("lose", LOSSES, ids=lambda one: one.__name__)


@pytest.fixture
def filled_here(folder: Path) -> Path:
    """A store that another process has made and filled: this one has not seen it."""

    def make() -> str:
        with closing(local_backend_factory(path=folder, recovery_window=30).connect()) as backend:
            do(backend, Set("a", "one"))
        return ""

    assert in_child(make) == ""
    return folder


@LOSS
def test_a_loss_is_told_by_everything_and_stays_as_it_is(
    filled_here: Path, connect: Connect, lose: Callable[[Path], None], tmp_path: Path
) -> None:
    lose(filled_here)
    before, key = files(filled_here), key_of(filled_here)
    end = within().deadline
    deeds: list[Callable[[], object]] = [
        *[lambda one=one: do(connect(), one) for one in (*LOOKS[:-1], *CHANGES, Set("a", "b"), Create("b", "c"))],
        lambda: existing_store.init(filled_here, key, deadline=end),
        lambda: verify.verify(filled_here, key, deadline=end),
        lambda: rekey.rekey(filled_here, key, deadline=end),
        lambda: rekey.rekey(filled_here, key, deep=True, deadline=end),
    ]

    for deed in deeds:
        with pytest.raises((StoreDamaged, KeyFileError, InvalidRequest)) as caught:
            deed()
        if not isinstance(caught.value, InvalidRequest):  # there is a store already
            assert "copy" in str(caught.value), str(caught.value)
    diagnose = local_backend_factory(path=filled_here, recovery_window=30).diagnose
    assert diagnose is not None
    findings = list(diagnose(end, ""))

    assert Verdict.FAULT in {one.verdict for one in findings}
    assert files(filled_here) == before


def test_a_key_elsewhere_misses_its_database(folder: Path, backends: Callable[..., LocalBackend]) -> None:
    """Its disk may not be mounted: to a program that begins, all that is left of the store is its key."""
    key = folder.with_name("keys") / "key"
    source = source_for(place_of({"file": str(key), "make": True}), folder)

    def make() -> str:
        with closing(local_backend_factory(path=folder, recovery_window=30, key=source).connect()) as backend:
            do(backend, Set("a", "one"))
        return ""

    assert in_child(make) == ""
    shutil.rmtree(folder)
    for there in (False, True):
        if there:
            folder.mkdir(mode=0o700)
        for operation in (Get("a"), List(), Set("a", "two")):
            with pytest.raises(StoreDamaged, match="mount its disk, or bring it back from a copy"):
                do(backends(source), operation)
    assert files(folder) == {}


@LOSS
def test_a_copy_brings_back_what_was_lost(
    filled_here: Path, connect: Connect, lose: Callable[[Path], None], tmp_path: Path
) -> None:
    key, copy, end = (filled_here / "key").read_bytes(), tmp_path / "copy", within().deadline
    copies.backup(filled_here, key_of(filled_here), copy, deadline=end)
    lose(filled_here)
    (filled_here / "key").touch(0o600)
    (filled_here / "key").write_bytes(key)

    copies.restore(filled_here, key_of(filled_here), copy, replace=True, deadline=end)

    assert do(connect(), Get("a")).reveal() == "one"
    assert verify.verify(filled_here, key_of(filled_here), deadline=end).clean


def test_a_restore_that_cannot_be_done_leaves_no_part_of_a_store(filled_here: Path, tmp_path: Path) -> None:
    copy, end = tmp_path / "copy", within().deadline
    copies.backup(filled_here, key_of(filled_here), copy, deadline=end)
    (filled_here / "secrets.db").unlink()
    limited = f"""
import pathlib, resource, sys, time
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.upkeep.copies import restore
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
folder = pathlib.Path(sys.argv[1])
until = time.clock_gettime(time.CLOCK_BOOTTIME) + 20
restore(folder, KeyFile(folder / "key"), pathlib.Path({str(copy)!r}), deadline=until)
"""

    assert "StoreUnavailable" in run_python(limited, str(filled_here)).stderr
    assert set(files(filled_here)) == {"key"}


# --- what is lost, to a program that has used it ----------------------------------------------------------------------


def test_another_store_in_its_place_is_neither_read_nor_written(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    other = folder.with_name("other")
    with closing(local_backend_factory(path=other, recovery_window=30).connect()) as theirs:
        do(theirs, Set("a", "of another store"))
    folder.rename(folder.with_name("away"))
    shutil.copytree(other, folder)
    before = files(folder)

    for one in (backend, connect()):
        for operation in (Get("a"), List(), Set("a", "two")):
            with pytest.raises(StoreUnavailable, match="another store has taken the place"):
                do(one, operation)
    assert files(folder)["secrets.db"] == before["secrets.db"]

    shutil.rmtree(folder)
    folder.with_name("away").rename(folder)
    assert do(backend, Get("a")).reveal() == "one"


def test_another_store_that_is_restored_in_its_place_is_not_taken_for_it(
    folder: Path, connect: Connect, tmp_path: Path
) -> None:
    """By another process, into the same file: the header has another id from one transaction to the next."""
    backend, other = connect(), folder.with_name("other")
    do(backend, Set("a", "one"))
    with closing(local_backend_factory(path=other, recovery_window=30).connect()) as theirs:
        do(theirs, Set("a", "of another store"))
    copies.backup(other, key_of(other), tmp_path / "copy", deadline=within().deadline)

    def restored() -> str:
        copies.restore(folder, key_of(other), tmp_path / "copy", replace=True, deadline=within().deadline)
        return ""

    assert in_child(restored) == ""
    with pytest.raises(StoreUnavailable, match="another store has taken the place"):
        do(backend, Set("a", "two"))


def test_what_this_process_restores_itself_is_its_store(folder: Path, connect: Connect, tmp_path: Path) -> None:
    backend, other = connect(), folder.with_name("other")
    do(backend, Set("a", "one"))
    backend.close()
    with closing(local_backend_factory(path=other, recovery_window=30).connect()) as theirs:
        do(theirs, Set("a", "of another store"))
    copies.backup(other, key_of(other), tmp_path / "copy", deadline=within().deadline)
    (folder / "key").write_bytes((other / "key").read_bytes())

    copies.restore(folder, key_of(folder), tmp_path / "copy", replace=True, deadline=within().deadline)

    assert do(connect(), Get("a")).reveal() == "of another store"


def test_the_child_of_a_fork_knows_the_store_that_its_parent_used(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    folder.rename(folder.with_name("away"))

    def asked() -> str:
        try:
            do(connect(), Set("a", "two"))
        except StoreUnavailable as error:
            return str(error)
        return "made anew"

    assert "was there and is gone" in in_child(asked)
    assert not folder.exists()


@LOSS
def test_a_loss_in_use_is_told_and_nothing_is_made(
    folder: Path, connect: Connect, lose: Callable[[Path], None]
) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.pause(1)
    backend.resume(child=False, paused=True)  # as after a fork: nothing is open
    lose(folder)
    before = files(folder)

    for operation in (Get("a"), List(), Set("a", "two"), Set("b", "two")):
        with pytest.raises((StoreDamaged, StoreUnavailable, KeyFileError)):
            do(backend, operation)
    assert {name: files(folder).get(name) for name in before} == before


@pytest.mark.parametrize("ends", [("-wal",), ("-shm",), ("-wal", "-shm")], ids="".join)
@pytest.mark.parametrize("next_one", ["same", "other"])
def test_a_log_that_is_removed_in_use_takes_nothing_along(
    folder: Path, connect: Connect, ends: tuple[str, ...], next_one: str
) -> None:
    first, second = connect(), connect()
    do(first, Set("a", "one"))
    do(second, Set("a", "two"))
    for end in ends:
        (folder / f"secrets.db{end}").unlink()

    do(first if next_one == "same" else second, Set("b", "three"))
    for backend in (second, first, connect()):
        assert do(backend, Get("a")).reveal() == "two"
        assert do(backend, Get("b")).reveal() == "three"
    do(second, Set("a", "four"))
    assert do(first, Get("a")).reveal() == "four"
    first.close()
    second.close()

    assert do(connect(), Get("a")).reveal() == "four"
    assert verify.verify(folder, key_of(folder), deadline=within().deadline).clean


def test_many_who_begin_at_once_make_one_store(folder: Path) -> None:
    script = """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Get, Set
from secrets_actor.domain.ports import CallContext
factory = local_backend_factory(
    path=pathlib.Path(sys.argv[1]), recovery_window=30, on_made=lambda *_: print("made")
)
backend = factory.connect()
sys.stdin.readline()
for number in range(3):
    try:
        backend.perform(Get("a"), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
    except Exception as error:
        assert type(error).__name__ == "SecretNotFound", error
backend.perform(Set(sys.argv[2], "one"), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), f"s{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(5)
    ]
    ends = []
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        ends.append((*process.communicate(timeout=60), process.returncode))

    assert [(said, code) for _, said, code in ends] == [("", 0)] * 5
    assert "".join(out for out, _, _ in ends) == "made\n"
    assert is_there(folder, key_of(folder))
    assert ask(folder, "SELECT count(*) FROM secrets") == [(5,)]
    assert set(files(folder)) == {"key", "secrets.db"}
