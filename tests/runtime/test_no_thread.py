"""At the machine's limit of threads, and while Python shuts down: a system waits, says what it wants, and ends."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

import secrets_actor
from secrets_actor import NewVersion, StartFailed, System, WorkerCrashed
from secrets_actor.otp import Flags, Node, Pid, Supervisor, spawn
from secrets_actor.otp.events import ChildStartFailed, SupervisorGaveUp
from tests.actor.rig import RigStore, Watch, eventually, failure, process, running, settings, whole
from tests.otp.conftest import Recorder
from tests.threadless import no_threads


def test_a_call_for_which_there_is_no_worker_hears_why_in_time_and_the_next_is_served(
    system: System, rig_store: RigStore
) -> None:
    rig_store.put("a", "v")
    with no_threads():
        error = failure(lambda: system.secrets.get("a", timeout=0.3))
    assert type(error) is WorkerCrashed
    assert error.error_type == "no thread"
    assert "pids.max" in str(error)
    assert system.secrets.get("a").reveal() == "v"


def test_so_do_several_calls_at_once(system: System) -> None:
    async def tried() -> list[Any]:
        ask = system.async_secrets.get
        return await asyncio.gather(*(ask(name, timeout=0.5) for name in "abc"), return_exceptions=True)

    with no_threads():
        errors = asyncio.run(tried())
    assert [type(error) for error in errors] == [WorkerCrashed] * 3


def test_a_call_waits_within_its_time_for_a_thread(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    answer: Future[str] = Future()

    def ask() -> None:
        begun.set()
        answer.set_result(system.secrets.get("a").reveal())

    begun = threading.Event()
    go = threading.Event()
    threading.Thread(target=lambda: go.wait(10) and ask(), daemon=True).start()
    with no_threads():
        go.set()
        assert begun.wait(10)
        actor = process(system, "secrets")
        eventually(lambda: "1 of" in actor.status(), "the call")  # type: ignore[misc]
    assert answer.result(10) == "v"


@pytest.mark.parametrize("who", ["timers", "audit", "workers", "secrets", "subscribers", "prefetches"])
def test_whoever_ends_while_there_is_no_thread_is_there_again_when_there_is(
    system: System, rig_store: RigStore, watch: Watch, who: str
) -> None:
    rig_store.put("a", "v")
    assert system.secrets.get("a").reveal() == "v"
    with no_threads():
        process(system, who).kill()
        eventually(lambda: watch.count("ChildStartFailed") >= 4)
    assert system.secrets.get("a", refresh=True).reveal() == "v"
    eventually(lambda: whole(system))
    assert watch.count("SupervisorGaveUp") == 0


def test_a_subscription_begins_as_soon_as_there_is_a_thread(system: System, rig_store: RigStore) -> None:
    heard: Future[NewVersion] = Future()
    rig_store.put("a", "v")
    assert system.secrets.get("a").reveal() == "v"
    with no_threads():
        subscription = system.secrets.subscribe("a", heard.set_result)
        eventually(process(system, "subscribers").mailbox_idle)
    with subscription:
        assert system.secrets.set("a", "w").version_id == heard.result(10).new_version_id


def test_a_start_without_threads_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    system = System(settings(tmp_path))
    with no_threads():
        error = failure(lambda: secrets_actor.start(settings(tmp_path)))
        assert type(error) is StartFailed
        assert "ulimit -u" in str(error)
        assert type(failure(system.start)) is StartFailed
        system.stop()
        assert system.wait(10) is None
    assert set(threading.enumerate()) <= before
    with system:
        system.secrets.set("a", "v")


def test_a_stop_without_threads_is_a_stop(tmp_path: Path, rig_store: RigStore) -> None:
    with running(System(settings(tmp_path), backend=rig_store.factory()), rig_store) as system:
        rig_store.put("a", "v")
        assert system.secrets.get("a").reveal() == "v"
        with no_threads():
            process(system, "workers").kill()
            system.stop()
            system.stop()
        assert not system.running


def test_a_hosts_supervisor_waits_for_a_thread_for_the_tree_below_it(tmp_path: Path) -> None:
    recorder = Recorder()
    node = Node(recorder)
    spec = secrets_actor.child_spec(settings(tmp_path))
    host = spawn(node, lambda: Supervisor(Flags(intensity=1), [spec]), label="host")
    system = spec.system
    assert system is not None

    def hosted() -> Pid:
        (row,) = host.published.children
        assert row.pid is not None
        return row.pid  # type: ignore[no-any-return]

    try:
        system.secrets.set("a", "v")
        with no_threads():
            hosted().kill()
            recorder.wait_for(ChildStartFailed, 4)
        eventually(lambda: system.running)
        assert system.secrets.get("a").reveal() == "v"
        assert recorder.of(SupervisorGaveUp) == []
    finally:
        host.exit(secrets_actor.otp.SHUTDOWN, sender=None)
        host.wait(10)


PROGRAM = """
import atexit, logging, sys, threading, time
from secrets_actor import SecretsError, Settings, System
from secrets_actor.testing import FakeStore

logging.disable(logging.CRITICAL)
store = FakeStore()
store.put("a", "v")

def made():
    return System(Settings(), backend=store.factory())

def tried(what):
    try:
        what()
    except SecretsError:
        pass

def end(system):
    begun = time.monotonic()
    tried(lambda: system.secrets.get("a", refresh=True, timeout=20))
    tried(lambda: system.secrets.get_many([str(number) for number in range(50)], timeout=20))
    tried(lambda: system.secrets.set("b", "v", timeout=20))
    tried(made().start)
    if time.monotonic() - begun > 10:
        print("waited in vain", flush=True)
    system.stop()
    system.stop()
    print("stopped", flush=True)

system = made().start()
"""
ENDS = {
    "atexit": "system.secrets.get('a'); atexit.register(end, system)",
    "atexit, without a worker": "atexit.register(end, system)",
    "a thread that outlives main": (
        "def late():\n    threading.main_thread().join()\n    end(system)\nthreading.Thread(target=late).start()"
    ),
    "while threads are joined": "threading._register_atexit(end, system)",
    "a finalizer of the last moment": (
        "class Last:\n    def __init__(self): self.system = system\n    def __del__(self): end(self.system)\n"
        "sys.modules['last'] = Last()"
    ),
}


@pytest.mark.parametrize("when", ENDS)
def test_a_stop_while_python_ends_neither_raises_nor_hangs(when: str, tmp_path: Path) -> None:
    ran: Any = subprocess.run(
        [sys.executable, "-c", PROGRAM + ENDS[when]], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("stopped\n", "", 0)
