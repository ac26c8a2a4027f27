"""What tests of subscriptions have in common: a callback that keeps what it is told, and time that passes."""

import threading
from collections.abc import Callable

from secrets_actor import NewVersion, Subscription, System
from secrets_actor.testing import FakeStore, ManualClock, settled
from tests.actor.rig import eventually
from tests.forking import PATIENCE

NAME = "db/password"
TTL = 300.0


class Heard:
    """A callback that keeps what it is told; it waits for *go* first, and raises *error* then."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.changes: list[NewVersion] = []
        self.go, self.error = threading.Event(), error
        self.go.set()
        self.began = threading.Semaphore(0)

    def __call__(self, change: NewVersion) -> None:
        self.began.release()
        assert self.go.wait(PATIENCE)
        self.changes.append(change)
        if self.error is not None:
            raise self.error

    @property
    def versions(self) -> list[str]:
        return [change.new_version_id for change in self.changes]


def pass_time(system: System, by: FakeStore | ManualClock, seconds: float = TTL) -> None:
    """Let *seconds* pass on the system's clock, which is *by* or that of a store, and all that is due then be done."""
    clock = by if isinstance(by, ManualClock) else by.clock
    assert isinstance(clock, ManualClock)
    settled(system)
    clock.advance(seconds)
    eventually(lambda: _is_fired(system), "the timers' work")
    settled(system)


def _is_fired(system: System) -> bool:
    node = system._parts.node
    return node.timers.fire_due() is None or node.timers.fire_due() > 0.0  # type: ignore[operator]


def subscribed(system: System, heard: Callable[[NewVersion], object], name: str = NAME) -> Subscription:
    """A subscription that knows where it begins."""
    subscription = system.subscribe(name, heard)
    settled(system)
    return subscription
