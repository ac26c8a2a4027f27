"""Processes that a program adds to our tree: under `faces`, with the client, supervised as ours are."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

import pytest

import secrets_actor
from secrets_actor import ExitReason, InvalidParameter, Secrets, Settings, StartFailed, System
from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GaveUp,
    GenServer,
    Handled,
    Kind,
    Ok,
    Reply,
    Tree,
    call,
)
from secrets_actor.testing import FakeStore, ManualClock, fake_system, find, kill, settled
from tests.actor.rig import PATIENCE, eventually, failure
from tests.forking import in_child


class Reader(GenServer):
    """Reads a secret when it starts, for whoever asks, and when it ends."""

    trap_exit = True

    def __init__(self, secrets: Secrets, ends: list[str]) -> None:
        self.secrets, self.ends = secrets, ends

    def init(self) -> None:
        self.first = self.secrets.get("a").reveal()

    def handle_call(self, request: Any, caller: Any) -> Reply:
        return Reply((self.first, self.secrets.get(request).reveal()))

    def terminate(self, reason: Any) -> None:
        self.ends.append(self.secrets.get("a", refresh=True).reveal())


@pytest.fixture
def store() -> FakeStore:
    """A store with one secret."""
    store = FakeStore()
    store.put("a", "value")
    return store


def reader(ends: list[str]) -> Callable[[Secrets], Iterable[ChildSpec]]:
    return lambda secrets: [ChildSpec("reader", lambda: Reader(secrets, ends), name="reader")]


def test_a_child_has_the_client_from_its_first_callback_to_its_last(store: FakeStore) -> None:
    ends: list[str] = []
    with fake_system(store, children=reader(ends)) as (system, _):
        assert call(find(system, "reader"), "a") == ("value", "value")
    assert ends == ["value"], "it stops before what it leans on"


def test_a_child_that_dies_is_started_again_and_nobody_else(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):
        before = {one: find(system, one).serial for one in ("secrets", "background", "faces")}

        kill(system, "reader")
        settled(system)

        assert call(find(system, "reader"), "a") == ("value", "value")
        assert {one: find(system, one).serial for one in before} == before


def test_when_the_secrets_actor_dies_a_child_goes_on(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):
        serial = find(system, "reader").serial

        kill(system, "secrets")

        assert call(find(system, "reader"), "a") == ("value", "value")
        assert find(system, "reader").serial == serial


def test_a_supervisor_may_be_a_child(store: FakeStore) -> None:
    spec = ChildSpec("pool", lambda: DynamicSupervisor(Flags()), kind=Kind.SUPERVISOR, name="pool")
    with fake_system(store, children=lambda _: iter([spec])) as (system, _):
        assert [node.id for node in system.tree().root.children] == ["infra", "core", "background", "faces"]
        assert "pool" in str(system.tree())


def test_without_children_there_is_no_supervisor_for_them(store: FakeStore) -> None:
    for children in (None, lambda _: ()):
        with fake_system(store, children=children) as (system, _):
            assert [node.id for node in system.tree().root.children] == ["infra", "core", "background"]


class Broken(GenServer):
    """Comes up, and crashes at once."""

    def __init__(self, crashes: list[str], name: str) -> None:
        self.crashes, self.name = crashes, name

    def init(self) -> Ok:
        return Ok(then="connect")

    def handle_continue(self, message: Any) -> Handled:
        self.crashes.append(self.name)
        raise RuntimeError("the broker said no")


def test_children_that_always_crash_are_tried_again_with_pauses_and_the_secrets_go_on() -> None:
    clock, crashes = ManualClock(), list[str]()
    store = FakeStore(clock=clock)
    store.put("a", "value")

    def children(_: Secrets) -> list[ChildSpec]:
        return [ChildSpec(name, lambda name=name: Broken(crashes, name)) for name in "xy"]  # type: ignore[misc]

    with fake_system(store, children=children) as (system, _):
        began, faces, seconds = clock.now(), find(system, "faces"), dict[int, float]()
        for tries in range(1, 11):
            while min(crashes.count(name) for name in "xy") < tries:
                clock.advance(0.05)
                eventually(lambda: all(pid.mailbox_idle() for pid in (faces, find(system, "timers"))))
            seconds[tries] = clock.now() - began

        assert system.secrets.get("a").reveal() == "value"
        assert (system.running, find(system, "faces")) == (True, faces)
        assert seconds[10] > 10, "the pauses grow"


def test_a_child_that_asks_for_restarts_at_once_ends_the_system_and_the_reason_names_it(store: FakeStore) -> None:
    told, crashes = list[ExitReason](), list[str]()
    spec = ChildSpec("broken", lambda: Broken(crashes, "broken"), backoff=Backoff(initial=0, maximum=0))
    system = System(Settings(), backend=store.factory(), children=lambda _: [spec], on_give_up=told.append)
    with system:
        reason = system.wait(PATIENCE)

    assert isinstance(reason, GaveUp)
    assert isinstance(reason.reason, GaveUp)
    assert (reason.child, reason.reason.child) == ("faces", "broken")
    assert str(reason.reason.reason).startswith("RuntimeError at test_children.py:")
    assert told == [reason]


def seen(system: System) -> tuple[int, str]:
    """How often `core` was restarted, and the state of `queue`."""
    nodes = {node.id: node for node in system.tree().root.walk()}
    return nodes["core"].restarts, nodes["queue"].state if "queue" in nodes else "none"


def test_a_child_that_cannot_start_while_the_core_is_restarted_is_tried_again() -> None:
    is_away = threading.Event()

    class Queue(GenServer):
        def init(self) -> None:
            if is_away.is_set():
                raise ConnectionRefusedError

        def handle_call(self, request: Any, caller: Any) -> Reply:
            return Reply(request)

    clock = ManualClock()
    store = FakeStore(clock=clock)
    store.put("a", "value")

    with fake_system(store, children=lambda _: [ChildSpec("queue", Queue, name="queue")]) as (system, _):
        is_away.set()
        for restarts in (1, 2):
            kill(system, "core")
            eventually(lambda restarts=restarts: seen(system) == (restarts, "restarting"))  # type: ignore[misc]
        assert system.secrets.get("a").reveal() == "value"

        is_away.clear()

        def is_back() -> bool:
            clock.advance(0.1)
            return seen(system)[1] == "running"

        eventually(is_back)
        assert call(find(system, "queue"), "a") == "a"


@pytest.mark.parametrize(
    "children",
    [
        lambda _: ["no spec"],
        lambda _: None,
        lambda _: ChildSpec("a", GenServer),
        lambda _: [ChildSpec("a", GenServer), ChildSpec("a", GenServer)],
        lambda _: [ChildSpec("a", GenServer, restart="sometimes")],  # type: ignore[arg-type]
    ],
    ids=["no spec", "nothing", "one spec, in no list", "an id twice", "a wrong field"],
)
def test_what_is_no_child_spec_is_refused_before_anything_starts(children: Any) -> None:
    error = failure(lambda: System(children=children))

    assert isinstance(error, InvalidParameter)
    assert error.parameter == "children"


def test_a_coroutine_function_is_refused() -> None:
    async def children(_: Secrets) -> list[ChildSpec]:
        return []

    wrong: Any = children
    assert isinstance(failure(lambda: System(children=wrong)), InvalidParameter)


def test_a_child_that_cannot_start_lets_the_system_not_start(store: FakeStore) -> None:
    class Closed(GenServer):
        def init(self) -> None:
            raise RuntimeError("no such queue")

    class Open(Closed):
        explains = True

    def start(server: type[GenServer]) -> str:
        error = failure(lambda: fake_system(store, children=lambda _: [ChildSpec("broken", server)]).__enter__())
        assert isinstance(error, StartFailed)
        return str(error)

    text = "process faces/broken failed to start: RuntimeError at test_children.py:"
    assert text in start(Closed)
    assert "no such queue" not in start(Closed)
    assert "set `explains = True` in the class of that process" in start(Closed)
    assert text in start(Open)
    assert start(Open).endswith("no such queue")


def test_a_tree_under_a_hosts_supervisor_has_them_too() -> None:
    asked: list[Secrets] = []

    def children(secrets: Secrets) -> list[ChildSpec]:
        asked.append(secrets)
        return []

    spec = secrets_actor.child_spec(children=children)

    assert spec.system is not None
    assert asked == [spec.system.secrets]


def test_the_child_of_a_fork_has_them_too(store: FakeStore) -> None:
    with fake_system(store, children=reader([])) as (system, _):

        def asked() -> str:
            system.secrets.get("a")
            return str(call(find(system, "reader"), "a")[0])

        assert in_child(asked) == "value"


class Early(GenServer):
    """Looks at the tree as soon as it runs, while the start of the tree goes on."""

    def __init__(self, look: Callable[[], object], looked: threading.Event) -> None:
        self.look, self.looked = look, looked

    def init(self) -> Ok:
        return Ok(then="look")

    def handle_continue(self, message: Any) -> Handled:
        self.look()
        self.looked.set()
        return None


class Late(GenServer):
    """Comes up when the other one has looked."""

    def __init__(self, looked: threading.Event) -> None:
        self.looked = looked

    def init(self) -> None:
        assert self.looked.wait(PATIENCE)


def test_a_process_may_look_at_the_tree_while_the_start_goes_on(store: FakeStore) -> None:
    looked, seen = threading.Event(), list[Tree]()

    def children(_: Secrets) -> list[ChildSpec]:
        early = ChildSpec("early", lambda: Early(lambda: seen.append(system.tree()), looked))
        return [early, ChildSpec("late", lambda: Late(looked))]

    system = System(Settings(), backend=store.factory(), children=children)
    with system:
        assert [node.id for node in seen[0].root.children][:2] == ["infra", "core"]
