"""What lies on the disk, and what happens when the disk does not play along."""

import threading
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend, local_backend_factory
from secrets_actor.backends.local.sqlite_connection import Blank
from secrets_actor.domain.errors import (
    SecretExists,
    StoreUnavailable,
)
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import do, files, run_python, told_with_locals, within

CANARY = "canary-5f1c0e7a-in-clear"
TOKEN = "0" * 31


def test_a_value_is_in_no_file_and_no_error_in_clear(folder: Path, connect: Connect) -> None:
    backend = connect()
    said: list[str] = []
    for number, value in enumerate([CANARY, CANARY.encode(), CANARY * 100]):
        said.append(repr(do(backend, Set(f"s{number}", value, token=f"{TOKEN}{number}"))))
        said.append(repr(backend.perform(Get(f"s{number}"), within())))
        with pytest.raises(SecretExists) as refused:
            do(backend, Set(f"s{number}", CANARY + "other", token=f"{TOKEN}{number}"))
        said += [repr(refused.value), *told_with_locals(refused.value)]
    said.append(repr(do(backend, List())))
    open_files = files(folder)
    do(backend, Delete("s0"))
    do(backend, Restore("s0"))
    do(backend, Delete("s1", force=True))
    backend.close()

    assert {"secrets.db", "secrets.db-wal", "secrets.db-shm"} <= set(open_files)
    for name, content in [*open_files.items(), *files(folder).items()]:
        assert CANARY.encode() not in content, name
    assert CANARY not in "".join(said)
    key = (folder / "key").read_bytes()
    assert repr(key)[2:-1] not in "".join(said)
    for name, content in files(folder).items():
        assert (key in content) == (name == "key")


def test_a_database_that_cannot_be_opened_is_unavailable(folder: Path, connect: Connect) -> None:
    folder.mkdir(mode=0o700)
    (folder / "secrets.db").mkdir()
    (folder / "key").touch(0o600)
    (folder / "key").write_bytes(b"k" * 32)

    with pytest.raises(StoreUnavailable, match="cannot be opened") as caught:
        do(connect(), List())

    assert not caught.value.retryable
    assert caught.value.path == str(folder / "secrets.db")


def test_a_database_that_points_nowhere_is_unavailable_and_stays_so(folder: Path, connect: Connect) -> None:
    folder.mkdir(mode=0o700)
    (folder / "secrets.db").symlink_to(folder / "elsewhere" / "secrets.db")

    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        do(connect(), Set("a", "one"))

    assert (folder / "secrets.db").is_symlink()
    assert not (folder / "elsewhere").exists()


def test_any_other_failure_of_sqlite_is_named_and_translated(tmp_path: Path) -> None:
    store = Blank(tmp_path / "secrets.db", deadline=within().deadline, closed=threading.Event())
    try:
        with pytest.raises(StoreUnavailable, match="SQLITE_TOOBIG") as caught:
            store.read(lambda rows: rows.one("SELECT zeroblob(2000000000)"), within().deadline)
    finally:
        store.close()

    assert caught.value.__context__ is None


def test_a_database_open_to_others_is_closed_to_them(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()
    (folder / "secrets.db").chmod(0o644)

    do(connect(), Get("a"))

    assert (folder / "secrets.db").stat().st_mode & 0o777 == 0o600


def test_a_store_taken_away_while_open_is_not_written_into_the_void_and_not_made_anew(
    folder: Path, connect: Connect
) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    folder.rename(folder.with_name("moved"))

    for one in (backend, connect()):
        for operation in (Get("a"), List(), Set("a", "two"), Set("b", "two")):
            with pytest.raises(StoreUnavailable, match="was there and is gone: mount its disk"):
                do(one, operation)
    assert not folder.exists()
    folder.mkdir(mode=0o700)  # as where a disk was mounted
    for operation in (Get("a"), Set("a", "two")):
        with pytest.raises(StoreUnavailable, match="was there and is gone"):
            do(backend, operation)
    assert files(folder) == {}
    folder.rmdir()

    folder.with_name("moved").rename(folder)
    assert do(backend, Get("a")).reveal() == "one"
    do(backend, Set("a", "two"))
    assert do(connect(), Get("a")).reveal() == "two"


def test_a_full_disk_is_told_and_loses_nothing(backend: LocalBackend, connect: Connect) -> None:
    do(backend, Set("a", "kept", token=f"{TOKEN}1"))
    assert backend._opened is not None
    connection = backend._opened.store._connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(StoreUnavailable, match="the disk is full") as caught:
        do(backend, Set("a", "x" * 60_000, token=f"{TOKEN}2"))

    assert caught.value.retryable
    assert do(backend, Get("a")).reveal() == "kept"
    assert do(connect(), Get("a")).reveal() == "kept"
    connection.execute("PRAGMA max_page_count = 1000000")
    do(backend, Set("a", "x" * 60_000, token=f"{TOKEN}2"))
    assert do(backend, Get("a")).version_id == f"{TOKEN}2"


def test_a_disk_that_takes_no_more_is_told_and_loses_nothing(folder: Path, connect: Connect) -> None:
    ran = run_python(
        """
import pathlib, resource, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.errors import StoreUnavailable
from secrets_actor.domain.operations import Get, Set
from secrets_actor.domain.ports import CallContext
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
context = CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30)
done = 0
try:
    for number in range(100):
        backend.perform(Set(f"s{number}", "x" * 60_000), context)
        done = number + 1
except StoreUnavailable as exc:
    print(exc)
for number in range(done):
    assert len(backend.perform(Get(f"s{number}"), context).value.reveal()) == 60_000
print(done)
""",
        str(folder),
    )

    assert ran.returncode == 0, ran.stderr
    said, done = ran.stdout.splitlines()
    assert "Nothing stored was lost" in said
    backend = connect()
    assert 0 < len(do(backend, List())) == int(done) < 100
    do(backend, Set("s99", "x" * 60_000))
    assert len(do(backend, List())) == int(done) + 1


def test_the_folder_is_found_through_home_and_stays_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    at_home, here = (
        local_backend_factory(path=Path(path), recovery_window=30).connect() for path in ("~/at-home", "here")
    )
    monkeypatch.chdir("/")
    try:
        do(at_home, Set("a", "one"))
        do(here, Set("a", "one"))
    finally:
        at_home.close()
        here.close()

    assert (tmp_path / "at-home" / "secrets.db").is_file()
    assert (tmp_path / "here" / "secrets.db").is_file()


def test_importing_the_backend_loads_neither_sqlite_nor_cryptography() -> None:
    ran = run_python(
        """
import pathlib, sys
from secrets_actor.backends.local.backend import local_backend_factory
doors = ("cryptography", "secrets_actor.backends.local.sqlite_connection", "secrets_actor.backends.local.envelope")
made = local_backend_factory(path=pathlib.Path("/nonexistent"), recovery_window=30)
print([name in sys.modules for name in doors])
made.connect()
print([name in sys.modules for name in doors])
"""
    )

    # The doors and not sqlite3 itself: whoever measures coverage has that one loaded.
    assert ran.stdout.splitlines() == ["[False, False, False]", "[True, True, True]"], ran.stderr


def test_the_last_connection_to_close_leaves_key_and_database_only(folder: Path, connect: Connect) -> None:
    backend = connect()
    do(backend, Set("a", "one"))
    backend.close()

    assert sorted(files(folder)) == ["key", "secrets.db"]
