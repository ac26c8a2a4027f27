"""A node with its timers and its recorded events; everything started on it is killed after the test."""

import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import (
    Clock,
    GenServer,
    Handled,
    LifecycleEvent,
    ManualClock,
    Node,
    Pid,
    Reply,
    TimerServer,
    spawn,
)
from secrets_actor.otp.reasons import ExitReason

PATIENCE = 10.0  # seconds before a test that waits for something fails


@pytest.fixture(autouse=True)
def _no_collection_within_a_test() -> Iterator[None]:
    """A full collection of all that a whole test run holds stops every thread for longer than the recorded scenarios
    leave room for."""
    gc.disable()
    yield
    gc.enable()


class Recorder:
    """The events of a node, and waiting for one of them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.events: list[LifecycleEvent] = []

    def __call__(self, event: LifecycleEvent) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def of(self, kind: type[LifecycleEvent]) -> list[Any]:
        with self._changed:
            return [event for event in self.events if type(event) is kind]

    def wait_for(self, kind: type[LifecycleEvent], number: int = 1) -> list[Any]:
        with self._changed:
            self._changed.wait_for(lambda: sum(type(e) is kind for e in self.events) >= number, PATIENCE)
        found = self.of(kind)
        assert len(found) >= number, f"no {kind.__name__}: {self.events}"
        return found


class TestNode(Node):
    """A node that remembers its processes, to end them."""

    __test__ = False

    def __init__(self, recorder: Recorder, clock: Clock | None = None) -> None:
        super().__init__(recorder, clock)
        self.recorder = recorder
        self.started: list[Pid] = []
        self.reasons: list[tuple[str, str]] = []

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        self.reasons.append((pid.label, str(reason)))

    def spawn(self, factory: Callable[[], Any], label: str = "server", **options: Any) -> Pid:
        pid = spawn(self, factory, label=label, **options)
        self.started.append(pid)
        return pid

    def close(self) -> None:
        for pid in self.started:
            pid.kill()


@pytest.fixture
def node() -> Iterator[TestNode]:
    """A node on the system's clock."""
    node = TestNode(Recorder())
    yield node
    node.close()


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands."""
    return ManualClock()


@pytest.fixture
def timed(clock: ManualClock) -> Iterator[TestNode]:
    """A node on the manual clock, with a timer server."""
    node = TestNode(Recorder(), clock)
    node.spawn(TimerServer, "timers")
    yield node
    node.close()


class Echo(GenServer):
    """Answers with the request; a callable request is called with the server first."""

    def handle_call(self, request: Any, caller: Any) -> Handled:
        if callable(request):
            result: Handled = request(self, caller)
            return result
        return Reply(request)

    def handle_cast(self, message: Any) -> Handled:
        result: Handled = message(self)
        return result


class Listener(Echo):
    """Keeps what comes to handle_info; `seen` waits for it."""

    trap_exit = True

    def __init__(self) -> None:
        self.inbox: list[Any] = []
        self.changed = threading.Condition()

    def handle_info(self, message: Any) -> Handled:
        with self.changed:
            self.inbox.append(message)
            self.changed.notify_all()
        return None

    def seen(self, number: int) -> list[Any]:
        with self.changed:
            self.changed.wait_for(lambda: len(self.inbox) >= number, PATIENCE)
            assert len(self.inbox) >= number, f"only {self.inbox}"
            return list(self.inbox)


def eventually(condition: Callable[[], Any], what: str = "it") -> None:
    """Poll until *condition* holds."""
    deadline = clock_now() + PATIENCE
    while not condition():
        assert clock_now() < deadline, f"{what} did not come to hold"
        time.sleep(0.002)
