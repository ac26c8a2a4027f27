"""The watchdog beats as long as its question goes through the whole tree, and not otherwise."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from secrets_actor import System
from secrets_actor.faces.watchdog import Watchdog
from secrets_actor.otp import ChildSpec, GenServer, StartChild, call
from secrets_actor.testing import FakeStore, ManualClock, fake_system, kill, settled
from tests.actor.rig import eventually

PATIENCE = 10.0


class Beats:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.count = 0

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, PATIENCE)


@contextmanager
def watched(path: tuple[str, ...] = ("core", "secrets")) -> Iterator[tuple[System, ManualClock, Beats]]:
    beats = Beats()
    spec = ChildSpec("watchdog", lambda: Watchdog(path, 5.0, beats), name="watchdog")
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), children=lambda _: [spec]) as (system, _):
        yield system, clock, beats


def test_it_beats_at_once_and_then_at_each_interval() -> None:
    with watched() as (system, clock, beats):
        beats.wait_for(1)
        for expected in (2, 3):
            settled(system)
            clock.advance(5)
            beats.wait_for(expected)


@pytest.mark.parametrize("victim", ["secrets", "workers", "timers", "watchdog"])
def test_it_goes_on_when_a_process_on_the_way_was_started_again(victim: str) -> None:
    with watched() as (system, clock, beats):
        beats.wait_for(1)
        kill(system, victim)
        settled(system)
        before = beats.count
        clock.advance(5)
        beats.wait_for(before + 1)


class Stuck(GenServer):
    """Answers no call before it is let go."""

    def __init__(self, let_go: threading.Event, asked: threading.Event | None = None) -> None:
        self._let_go, self._asked = let_go, asked or threading.Event()

    def handle_call(self, request: object, caller: object) -> None:
        self._asked.set()
        self._let_go.wait(PATIENCE)


def test_a_process_on_the_way_that_hangs_ends_the_beats() -> None:
    let_go = threading.Event()
    with watched(("stuck",)) as (system, clock, beats):
        root = system.whereis("timers")
        assert root is not None
        while root.parent is not None:
            root = root.parent
        call(root, StartChild(ChildSpec("stuck", lambda: Stuck(let_go))))
        for number in (2, 3, 4):
            eventually(lambda: "stuck" in str(system.tree()) and f"round {number - 1}" in str(system.tree()))  # noqa: B023
            clock.advance(5)
        assert beats.count == 0
        let_go.set()


def test_a_process_that_ends_while_it_is_asked_is_no_beat_and_does_not_end_the_watchdog() -> None:
    let_go, asked = threading.Event(), threading.Event()
    with watched(("stuck",)) as (system, clock, beats):
        root = system.whereis("timers")
        assert root is not None
        while root.parent is not None:
            root = root.parent
        call(root, StartChild(ChildSpec("stuck", lambda: Stuck(let_go, asked), name="stuck")))
        eventually(lambda: "round 1" in str(system.tree()))
        clock.advance(5)
        assert asked.wait(PATIENCE)
        asking = system.whereis("watchdog")

        kill(system, "stuck")
        let_go.set()
        clock.advance(5)
        eventually(lambda: "round 3" in str(system.tree()))

        assert system.whereis("watchdog") is asking
        assert beats.count == 0
