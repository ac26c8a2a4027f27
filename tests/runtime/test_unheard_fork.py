"""A fork that Python does not hear of, as uWSGI's master makes them: a child's first use notices it, and does what
`after_fork` says; nobody hangs on a lock that a thread of the parent held."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import LogSettings, System, clock
from secrets_actor.backends.local.open_store import DATABASE_NAME
from secrets_actor.errors import ForkedProcess
from secrets_actor.messages import Get
from secrets_actor.otp import GenServer, Node, Reply, call, spawn
from tests.actor.rig import eventually, failure, in_background, process, running, settings
from tests.forking import PATIENCE, in_child, unheard_fork

# Since 3.13 threads that wait in a SimpleQueue stand in a list of the interpreter's, whose members lie on their stacks.
# Only `PyOS_AfterFork_Child` empties it: without that, a new thread of the child overwrites such a stack, and whoever
# comes to that part of the list hangs or crashes, whether the fork was made with the interpreter's lock or without it.
pytestmark = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="CPython 3.13 needs its hooks in a child if any thread waited in a SimpleQueue"
)


def quiet(system: System) -> None:
    """Return when the parent's threads wait for something: CPython itself does not survive such a fork while several
    threads want its lock, for those who wait for it are not there in the child to take it."""
    eventually(lambda: all(pid is None or pid.mailbox_idle() for pid in map(system.whereis, PROCESSES)))
    eventually(lambda: system.metrics().value("secrets_actor_audit_waiting") == 0)
    threading.Event().wait(0.2)  # the log is being written; nothing tells when its thread is idle


PROCESSES = ("secrets", "workers", "timers", "subscribers", "prefetches")
WAYS: dict[str, Callable[[System], Any]] = {
    "get": lambda system: system.secrets.get("a", refresh=True).reveal(),
    "version": lambda system: system.secrets.get("a", stage="AWSCURRENT").reveal(),
    "set": lambda system: system.secrets.set("b", "w").created,
    "list": lambda system: system.secrets.list()[0].name,
    "many": lambda system: system.secrets.get_many(["a"], refresh=True).found["a"].reveal(),
    "asyncio": lambda system: asyncio.run(system.async_secrets.get("a", refresh=True)).reveal(),
    "ask": lambda system: system.ref.ask(Get("a", refresh=True), timeout=20).reveal(),
    "subscribe": lambda system: system.subscribe("a", lambda _: None).active,
    "prefetch": lambda system: system.secrets.prefetch(["a"]),
    "tree": lambda system: system.tree().root.state,
    "whereis": lambda system: system.whereis("secrets") is not None,
    "wait": lambda system: system.wait(0.0),
    "start": lambda system: system.start().running,
    "running": lambda system: system.running,
    "repr": repr,
    "metrics": lambda system: system.metrics().value("secrets_actor_answers"),
    "stop": lambda system: system.stop(5) or system.running,
    "configure": lambda system: system.configure(system.settings) or system.running,
}


@pytest.mark.parametrize("after_fork", ["restart", "refuse"])
def test_every_first_use_does_what_after_fork_says(tmp_path: Path, after_fork: Any) -> None:
    system = System(settings(tmp_path, after_fork=after_fork, call_timeout_seconds=5.0))

    def said(way: Callable[[System], Any]) -> str:
        try:
            return str(way(system))
        except ForkedProcess:
            return "refused"

    with running(system):
        system.secrets.set("a", "v")
        quiet(system)
        found = {name: in_child(lambda way=way: said(way), unheard_fork) for name, way in WAYS.items()}  # type: ignore[misc]
        assert system.secrets.get("a", refresh=True).reveal() == "v"
    works = dict.fromkeys(("get", "version", "many", "asyncio", "ask"), "v") | {
        "set": "True",
        "list": "a",
        "subscribe": "True",
        "prefetch": "None",
        "tree": "running",
        "whereis": "True",
        "wait": "None",
        "start": "True",
        "running": "True",
        "metrics": "0",
        "repr": "<System local_encrypted stopped>",
        "stop": "False",
        "configure": "True",
    }
    refuses = works | dict.fromkeys(
        ("get", "version", "set", "list", "many", "asyncio", "ask", "subscribe", "prefetch"), "refused"
    )
    refuses |= {"tree": "stopped", "whereis": "False", "wait": "forked", "running": "False", "configure": "False"}
    assert found == (works if after_fork == "restart" else refuses)


def test_parent_and_child_write_to_the_local_store_and_nothing_is_lost(tmp_path: Path) -> None:
    """SQLite takes the locks of an inherited connection for its own: the parent, the last to leave as it thinks, would
    delete the log that its child writes to."""
    system = System(settings(tmp_path, ttl_seconds=0))
    to_child, to_parent = os.pipe(), os.pipe()
    forked = threading.Event()

    def fork() -> int:  # by the main thread, as uWSGI does: another one is none in the child
        child = unheard_fork()
        if child:
            forked.set()
        return child

    def child() -> str:
        system.secrets.set("of-the-child-1", "c")
        os.write(to_parent[1], b"x")
        os.read(to_child[0], 1)
        system.secrets.set("of-the-child-2", "c")
        return "set"

    def parent() -> bool:
        assert forked.wait(PATIENCE)
        os.read(to_parent[0], 1)
        system.secrets.set("of-the-parent", "p")
        system.stop()
        log = next(tmp_path.rglob(DATABASE_NAME)).with_name(f"{DATABASE_NAME}-wal")
        is_there = log.exists()
        os.write(to_child[1], b"x")
        return is_there

    with running(system):
        system.secrets.set("a", "v")
        left = in_background(parent)
        quiet(system)
        assert in_child(child, fork) == "set"
        assert left.result(PATIENCE), "the parent has left while the child was there, and took the log along"
    for end in (*to_child, *to_parent):
        os.close(end)
    with running(system):
        names = {info.name for info in system.secrets.list()}
        assert names == {"a", "of-the-parent", "of-the-child-1", "of-the-child-2"}


class Ahead:
    """The time, and some."""

    seconds = 0.0

    def now(self) -> float:
        return clock.now() + self.seconds

    def on_jump(self, callback: Callable[[], None]) -> None:
        """It jumps where nobody waits for it."""


def test_a_cached_get_notices_within_a_second_and_is_recorded(tmp_path: Path) -> None:
    time, log = Ahead(), tmp_path / "log"
    system = System(settings(tmp_path, log=LogSettings(output=str(log)), after_fork="refuse"), clock=time)

    def use() -> str:
        time.seconds = 1.5
        first = system.secrets.for_caller("child").get("a").reveal()
        refused = type(failure(lambda: system.secrets.get("a"))).__name__
        system.start().stop()
        return f"{first} {refused}"

    with running(system):
        system.secrets.set("a", "v")
        system.secrets.get("a")
        quiet(system)
        assert in_child(use, unheard_fork) == "v ForkedProcess"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["source"] for one in records if one["event"] == "audit" and one["caller"] == "child"] == ["cache"]
    assert [one["outcome"] for one in records if one["event"] == "audit"] == ["ok", "ok", "ok", "forked_process"]


def test_a_subscription_is_cancelled_in_a_child_whatever_the_parent_s_threads_held(tmp_path: Path) -> None:
    system = System(settings(tmp_path))
    with running(system):
        system.secrets.set("a", "v")
        subscription = system.subscribe("a", lambda _: None)

        def use() -> str:
            subscription.cancel()
            return f"{subscription.active} {system.secrets.get('a', refresh=True).reveal()}"

        quiet(system)
        assert in_child(use, unheard_fork) == "False v"
        assert subscription.active


class Echo(GenServer):
    def handle_call(self, request: Any, caller: Any) -> Reply:
        return Reply(request)


def test_a_tree_of_the_host_s_own_is_not_waited_for(tmp_path: Path) -> None:
    node = Node()
    pid = spawn(node, Echo, label="echo", name="echo")

    def use() -> str:
        errors = [
            failure(lambda: call(pid, "x", PATIENCE)),
            failure(lambda: call(node.name("echo"), "x", PATIENCE)),
        ]
        errors.append(failure(lambda: spawn(node, Echo, label="echo")))
        return " ".join(sorted({type(error).__name__ for error in errors}))

    try:
        assert call(pid, "x") == "x"
        said = in_child(use, unheard_fork)
    finally:
        pid.kill()
    assert said == "ForkedProcess"


def test_many_threads_of_a_child_notice_it_and_start_one_tree(tmp_path: Path) -> None:
    system = System(settings(tmp_path))

    def use() -> str:
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.append(str(system.secrets.get("a", refresh=True).reveal())))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        actor = process(system, "secrets")
        return f"{found.count('v')} {actor.is_alive()}"

    with running(system):
        system.secrets.set("a", "v")
        quiet(system)
        assert in_child(use, unheard_fork) == "8 True"
