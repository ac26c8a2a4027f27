"""Many workers, many processes, one file."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.sqlite_connection import Blank
from secrets_actor.backends.local.transaction import Transaction
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import BackendTimeout, SecretsError, StoreUnavailable
from secrets_actor.domain.operations import Get, List, Set
from tests.backends.local.conftest import Connect
from tests.backends.local.helpers import LONG, do, run_python, within

WRITERS = 8
ROUNDS = 10
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


def test_eight_writers_that_start_on_an_empty_folder_lose_nothing(connect: Connect) -> None:
    gate = threading.Barrier(WRITERS)
    failures: list[BaseException] = []

    def writer(number: int) -> None:
        backend = connect()
        try:
            gate.wait(LONG)
            for turn in range(ROUNDS):
                do(backend, Set(f"own/{number}", f"{turn}"))
                do(backend, Set("shared", f"{number}:{turn}", token=f"{number:016d}{turn:016d}"))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=writer, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * LONG)

    backend = connect()
    assert failures == []
    assert [do(backend, Get(f"own/{number}")).reveal() for number in range(WRITERS)] == [str(ROUNDS - 1)] * WRITERS
    for number in range(WRITERS):
        for turn in range(ROUNDS):
            version = do(backend, Get("shared", version_id=f"{number:016d}{turn:016d}"))
            assert version.reveal() == f"{number}:{turn}"
    current, previous = do(backend, Get("shared")), do(backend, Get("shared", stage="AWSPREVIOUS"))
    assert current.version_id != previous.version_id


def test_processes_that_make_the_store_at_once_end_with_one_key_and_all_data(folder: Path, connect: Connect) -> None:
    script = """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
print("ready", flush=True)
sys.stdin.readline()
backend.perform(Set(f"from/{sys.argv[2]}", sys.argv[2]), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
backend.close()
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(folder), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        ended = [(process.communicate(timeout=LONG)[1], process.returncode) for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()

    assert ended == [("", 0)] * 3
    backend = connect()
    assert [do(backend, Get(info.name)).reveal() for info in do(backend, List())] == ["0", "1", "2"]


def test_opening_a_second_connection_does_not_give_up_the_first_one_s_locks(connect: Connect, folder: Path) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of it. Were ours lost, another
    process would take itself for the last one and remove the log from under us."""
    first = connect()
    do(first, Set("a", "one"))
    log = (folder / "secrets.db-wal").stat().st_ino
    do(connect(), Get("a"))

    other = run_python(
        """
import pathlib, sys, time
from secrets_actor.backends.local.backend import local_backend_factory
from secrets_actor.domain.operations import Set
from secrets_actor.domain.ports import CallContext
backend = local_backend_factory(path=pathlib.Path(sys.argv[1]), recovery_window=30).connect()
backend.perform(Set("a", "two"), CallContext(time.clock_gettime(time.CLOCK_BOOTTIME) + 30))
backend.close()
""",
        str(folder),
    )

    assert other.returncode == 0, other.stderr
    assert (folder / "secrets.db-wal").stat().st_ino == log
    assert do(first, Get("a")).reveal() == "two"


def test_a_lock_held_past_the_deadline_is_a_timeout_and_reads_go_on(backend: LocalBackend, folder: Path) -> None:
    do(backend, Set("a", "one"))
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = clock_now()
        with pytest.raises(BackendTimeout, match="until the deadline") as caught:
            do(backend, Set("a", "two"), seconds=0.2)
        waited = clock_now() - started
        assert do(backend, Get("a")).reveal() == "one"

    assert 0.2 <= waited < LONG
    assert caught.value.retryable
    assert caught.value.__context__ is None
    do(backend, Set("a", "two"))
    assert do(backend, Get("a")).reveal() == "two"


def test_a_lock_given_back_in_time_is_waited_for(backend: LocalBackend, folder: Path) -> None:
    do(backend, Set("a", "one"))
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BackendTimeout):
            do(backend, Set("a", "refused"), seconds=0.05)
        done = InThread(lambda: do(backend, Set("a", "two")))
        until(backend._lock.locked)
        other.execute("ROLLBACK")
        assert done() is None

    assert do(backend, Get("a")).reveal() == "two"


def test_a_deadline_that_has_passed_does_nothing(backend: LocalBackend) -> None:
    with pytest.raises(BackendTimeout):
        do(backend, Set("a", "one"), seconds=-1)

    assert do(backend, List()) == ()


def test_a_close_from_another_thread_ends_a_wait_for_a_lock(backend: LocalBackend, folder: Path) -> None:
    do(backend, Set("a", "one"))
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        failure = InThread(lambda: do(backend, Set("a", "two"), seconds=3600))
        until(backend._lock.locked)
        backend.close()
        ended = failure()

    assert isinstance(ended, StoreUnavailable)
    assert "was closed" in str(ended)
    assert "[closed]" in repr(backend)


@pytest.mark.parametrize("how", ["interrupt", "flag"])
def test_a_close_from_another_thread_ends_a_statement_under_way(tmp_path: Path, how: str) -> None:
    closed, running = threading.Event(), threading.Event()
    store = Blank(tmp_path / "secrets.db", deadline=within().deadline, closed=closed)

    def work(rows: Transaction) -> None:
        running.set()
        rows.one(ENDLESS)

    failure = InThread(lambda: store.read(work, within(3600).deadline))
    assert running.wait(LONG)
    closed.set()
    if how == "interrupt":
        store.interrupt()
    ended = failure()
    store.close()

    assert isinstance(ended, StoreUnavailable)
    assert "was closed" in str(ended)


def test_a_statement_past_the_deadline_is_cut_off(tmp_path: Path) -> None:
    store = Blank(tmp_path / "secrets.db", deadline=within().deadline, closed=threading.Event())
    try:
        for ask in (Transaction.one, Transaction.readable):
            with pytest.raises(BackendTimeout):
                store.read(lambda rows, ask=ask: ask(rows, ENDLESS), within(0.1).deadline)
        assert store.read(lambda rows: rows.one("SELECT 1"), within().deadline) == (1,)
    finally:
        store.close()


def test_a_closed_backend_stays_closed_and_closing_again_is_fine(backend: LocalBackend) -> None:
    do(backend, Set("a", "one"))
    backend.close()
    backend.close()

    with pytest.raises(StoreUnavailable, match="was closed"):
        do(backend, Get("a"))


def test_closing_at_any_moment_leaves_an_answer_or_a_typed_error(connect: Connect) -> None:
    for _ in range(20):
        backend, begun = connect(), threading.Event()

        def many(backend: LocalBackend = backend, begun: threading.Event = begun) -> None:
            for number in range(1000):
                do(backend, Set("a", str(number)))
                begun.set()

        failure = InThread(many)
        assert begun.wait(LONG)
        backend.close()
        assert isinstance(failure(), StoreUnavailable)
        assert backend._opened is None

    assert do(connect(), Get("a")).reveal()


class InThread:
    """Runs *work* in a thread; calling this waits for its end and gives the error it ended with, if any."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._failure: SecretsError | None = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except SecretsError as exc:
            self._failure = exc

    def __call__(self) -> SecretsError | None:
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        return self._failure


def until(condition: Callable[[], bool]) -> None:
    deadline = clock_now() + LONG
    while not condition():
        assert clock_now() < deadline
