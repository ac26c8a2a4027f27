"""Forks under load: the child's first use starts a tree of its own or says why not, and nobody hangs."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import secrets_actor
from secrets_actor import LogSettings, NewVersion, System
from secrets_actor.errors import ForkedProcess
from secrets_actor.messages import Get
from secrets_actor.otp import SHUTDOWN, Flags, GenServer, Node, Reply, Supervisor, call, spawn
from tests.actor.rig import eventually, failure, in_background, running, settings
from tests.forking import PATIENCE, in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
FORKS = 10


@contextmanager
def load(system: System) -> Iterator[None]:
    """Four threads that get and set until it is over."""
    over, errors = threading.Event(), list[BaseException]()

    def work(number: int) -> None:
        try:
            while not over.is_set():
                system.secrets.get("a")
                system.secrets.get("a", refresh=True)
                system.secrets.set(f"of-{number}", "v")
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert errors == []


def names(system: System) -> list[str]:
    return [node.id for node in system.tree().root.walk() if node.state == "running"][:7]


def test_the_first_use_in_a_child_starts_a_tree_there(tmp_path: Path) -> None:
    system = System(settings(tmp_path))

    def use() -> str:
        before = system.running
        value = system.secrets.get("a").reveal()
        system.secrets.set("of-the-child", "c")
        asked = system.ref.ask(Get("of-the-child"), timeout=20)
        facts = [before, value, asked.reveal(), asked.source, names(system), system.running]
        system.stop()
        return json.dumps([*facts, type(failure(lambda: system.secrets.get("a"))).__name__])

    with running(system):
        system.secrets.set("a", "v")
        tree = names(system)
        with load(system):
            said = [json.loads(in_child(use)) for _ in range(FORKS)]
        for before, value, of_child, source, found, after, last in said:
            assert (before, value, of_child, source) == (True, "v", "c", "cache")
            assert found[:4] == tree[:4]
            assert (after, last) == (True, "ServerDown")
        assert system.secrets.get("of-the-child", refresh=True).reveal() == "c"


def test_every_way_in_starts_the_tree(tmp_path: Path) -> None:
    system = System(settings(tmp_path))
    ways: dict[str, Callable[[], Any]] = {
        "get": lambda: system.secrets.get("a").reveal(),
        "list": lambda: system.secrets.list()[0].name,
        "ask": lambda: system.ref.ask(Get("a"), timeout=20).reveal(),
        "tree": lambda: system.tree().root.state,
        "whereis": lambda: system.whereis("secrets") is not None,
        "wait": lambda: system.wait(0.0),
        "start": lambda: system.start().running,
        "running": lambda: system.running,
    }
    with running(system):
        system.secrets.set("a", "v")
        found = {name: in_child(way) for name, way in ways.items()}
    assert found == {
        "get": "v",
        "list": "a",
        "ask": "v",
        "tree": "running",
        "whereis": "True",
        "wait": "None",
        "start": "True",
        "running": "True",
    }


def test_many_threads_of_a_child_start_one_tree(tmp_path: Path) -> None:
    system = System(settings(tmp_path))

    def use() -> str:
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.append(str(system.secrets.get("a").reveal()))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        trees = sum(thread.name.startswith("secrets_actor#") for thread in threading.enumerate())
        return f"{found.count('v')} {trees}"

    with running(system):
        system.secrets.set("a", "v")
        assert in_child(use) == "8 1"


def test_a_child_that_shall_not_is_told_so_at_once(tmp_path: Path) -> None:
    system = System(settings(tmp_path, after_fork="refuse"))

    def use() -> str:
        ways = (
            lambda: system.secrets.get("a"),
            lambda: system.secrets.set("a", "w"),
            lambda: system.ref.ask(Get("a"), timeout=20),
        )
        errors = [failure(way) for way in ways]
        assert all(isinstance(error, ForkedProcess) for error in errors)
        assert not system.running
        facts = [error.code for error in errors] + [str(system.wait()), system.tree().root.state]
        return json.dumps([*facts, system.start().secrets.get("a").reveal()])

    with running(system):
        system.secrets.set("a", "v")
        assert system.secrets.get("a").source in ("cache", "backend")
        with load(system):
            for _ in range(FORKS):
                assert json.loads(in_child(use)) == [*["forked_process"] * 3, "forked", "stopped", "v"]


def test_a_system_that_was_stopped_before_the_fork_stays_stopped(tmp_path: Path) -> None:
    system = System(settings(tmp_path))
    with running(system):
        system.secrets.set("a", "v")
    said = in_child(lambda: f"{type(failure(lambda: system.secrets.get('a'))).__name__} {system.wait(0.0)}")
    assert said == f"{ForkedProcess.__name__} shutdown"


def test_a_hosts_tree_is_the_hosts_to_start_again(tmp_path: Path) -> None:
    spec = secrets_actor.child_spec(settings(tmp_path))
    system = spec.system
    assert system is not None
    node = Node()
    top = spawn(node, lambda: Supervisor(Flags(), [spec]), label="host")

    def use() -> str:
        refused = type(failure(lambda: system.secrets.get("a"))).__name__
        node.start_afresh()
        spawn(node, lambda: Supervisor(Flags(), [spec]), label="host")
        return f"{refused} {system.secrets.get('a').reveal()}"

    try:
        system.secrets.set("a", "v")
        assert in_child(use) == "ForkedProcess v"
        assert system.secrets.get("a").reveal() == "v"
    finally:
        top.exit(SHUTDOWN)
        assert top.wait(PATIENCE) is not None


class Forks(GenServer):
    """Forks in a callback, and has the child use *system*."""

    def __init__(self, system: System) -> None:
        self.system = system

    def handle_call(self, request: Any, caller: Any) -> Reply:
        return Reply(in_child(lambda: self.system.ref.ask(Get("a"), timeout=20).reveal()))


def test_a_fork_in_a_callback_of_a_process_is_a_fork_like_any_other(tmp_path: Path) -> None:
    system = System(settings(tmp_path))
    with running(system):
        system.secrets.set("a", "v")
        pid = spawn(Node(), lambda: Forks(system), label="forks")
        assert call(pid, "now", PATIENCE) == "v"
        pid.exit(SHUTDOWN)


def test_the_child_writes_its_own_audit_records_and_none_of_the_parents(tmp_path: Path) -> None:
    log = tmp_path / "log"
    system = System(settings(tmp_path, log=LogSettings(output=str(log))))

    def use() -> str:
        failure(lambda: system.secrets.get("of-the-child"))
        system.stop()
        return "done"

    with running(system):
        system.secrets.set("a", "v")
        for _ in range(3):
            assert in_child(use) == "done"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    audit = [record["operation"] + " " + record["outcome"] for record in records if record["event"] == "audit"]
    assert sorted(audit) == ["get not_found"] * 3 + ["set ok"]


def test_subscriptions_go_on_in_a_child_that_does_nothing(tmp_path: Path) -> None:
    system = System(settings(tmp_path, ttl_seconds=1))
    told, forked = threading.Event(), threading.Event()
    versions: list[str] = []

    def hear(change: NewVersion) -> None:
        versions.append(change.new_version_id)
        told.set()

    def stay() -> str:
        told.wait(PATIENCE)
        return " ".join(versions)

    with running(system):
        system.secrets.set("a", "1")
        system.subscribe("a", hear)
        eventually(lambda: system.secrets.get("a").source == "cache")
        child = in_background(lambda: in_child(stay, lambda: _fork_and_say(forked)))
        assert forked.wait(PATIENCE)
        receipt = system.secrets.set("a", "2")
        assert child.result(PATIENCE) == receipt.version_id


def _fork_and_say(forked: threading.Event) -> int:
    child = os.fork()
    if child:
        forked.set()
    return child


@pytest.mark.parametrize("after_fork", ["restart", "refuse"])
def test_a_child_without_subscriptions_or_that_refuses_starts_nothing_by_itself(
    tmp_path: Path, after_fork: Any
) -> None:
    system = System(settings(tmp_path, after_fork=after_fork))

    def stay() -> str:
        names = [thread.name for thread in threading.enumerate() if "#" in thread.name]
        eventually(lambda: not [one for one in threading.enumerate() if one.name == "after a fork"])
        return str(names + [thread.name for thread in threading.enumerate() if "#" in thread.name])

    with running(system):
        if after_fork == "refuse":
            system.subscribe("a", lambda _: None)
        assert in_child(stay) == "[]"
