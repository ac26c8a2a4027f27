"""A fork waits for what it must not cut through, but not forever."""

import gc
import os
import sqlite3
import sys
import threading
import weakref
from pathlib import Path

import pytest

from secrets_actor import System, forks
from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.open_store import DATABASE_NAME
from secrets_actor.errors import StoreUnavailable
from tests.actor.rig import eventually, failure, in_background, running, settings
from tests.forking import PATIENCE, in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def test_a_fork_waits_for_a_library_that_is_being_loaded() -> None:
    inside, leave, forked = threading.Event(), threading.Event(), threading.Event()

    def load() -> None:
        with forks.loading():
            inside.set()
            assert leave.wait(PATIENCE)
            assert not forked.is_set()

    loader = threading.Thread(target=load)
    loader.start()
    assert inside.wait(PATIENCE)

    def fork() -> None:
        in_child(lambda: "")
        forked.set()

    forker = threading.Thread(target=fork)
    forker.start()
    leave.set()
    forker.join(PATIENCE)
    loader.join(PATIENCE)
    assert forked.is_set()


class Forgetful:
    def __init__(self) -> None:
        self.forgot = 0

    def forget(self) -> None:
        self.forgot += 1


def test_no_code_of_ours_runs_in_the_middle_of_whatever_lets_go_of_something_that_is_known() -> None:
    one, ran = Forgetful(), list[str]()
    forks.on_fork(one)

    sys.setprofile(lambda frame, event, _: ran.append(frame.f_code.co_qualname) if event == "call" else None)
    del one
    sys.setprofile(None)

    assert ran == []


def test_of_many_that_are_gone_little_is_kept_and_those_that_are_there_forget_once() -> None:
    here = Forgetful()
    forks.on_fork(here)
    for _ in range(10_000):
        forks.on_fork(Forgetful())
    forks.on_fork(here)

    assert sum(type(ref) is weakref.ref and ref() is None for ref in gc.get_objects()) < 1000
    assert in_child(lambda: str(here.forgot)) == "1"


def test_a_thread_that_forks_while_it_loads_a_library_does_not_wait_for_itself() -> None:
    def nested() -> str:
        with forks.loading():
            return "loaded"

    with forks.loading():
        assert in_child(nested) == "loaded"


def test_a_fork_waits_no_longer_than_its_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.05)
    inside, leave = threading.Event(), threading.Event()

    def load() -> None:
        with forks.loading():
            inside.set()
            leave.wait(PATIENCE)

    loader = threading.Thread(target=load)
    loader.start()
    assert inside.wait(PATIENCE)

    def still_loads() -> str:
        with forks.loading():
            return "loaded"

    try:
        assert in_child(still_loads) == "loaded"
    finally:
        leave.set()
        loader.join(PATIENCE)
    with forks.loading():
        pass


def test_no_connection_to_the_local_store_is_inherited(tmp_path: Path) -> None:
    """SQLite would let the parent, the last to leave as it thinks, delete the log that its child writes to."""
    system = System(settings(tmp_path, ttl_seconds=0))
    to_child, to_parent = os.pipe(), os.pipe()

    def stay() -> str:
        system.secrets.get("a")
        os.write(to_parent[1], b"x")
        os.read(to_child[0], 1)
        system.secrets.set("of-the-child", "c")
        return "set"

    answers: list[str] = []
    with running(system):
        system.secrets.set("a", "v")
        child = threading.Thread(target=lambda: answers.append(in_child(stay)))
        child.start()
        os.read(to_parent[0], 1)
    os.write(to_child[1], b"x")
    child.join(PATIENCE)
    for end in (*to_child, *to_parent):
        os.close(end)
    assert answers == ["set"]
    with running(system):
        assert system.secrets.get("of-the-child").reveal() == "c"


def test_a_child_that_was_forked_in_the_middle_of_a_write_keeps_off_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks, "PATIENCE", 0.05)
    system = System(settings(tmp_path, ttl_seconds=0))
    with running(system):
        system.secrets.set("a", "v")
        other = sqlite3.connect(next(tmp_path.rglob(DATABASE_NAME)), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        try:
            waiting = in_background(lambda: system.secrets.set("a", "w", timeout=PATIENCE))
            eventually(lambda: any(isinstance(one, LocalBackend) and one._lock.locked() for one in forks._pausing))
            said = in_child(lambda: type(failure(lambda: system.secrets.get("a"))).__name__)
        finally:
            other.execute("ROLLBACK")
            other.close()
        waiting.result(PATIENCE)
        assert system.secrets.get("a").reveal() == "w"
    assert said == StoreUnavailable.__name__
