"""A courier hands on what others post, one after the other, in a thread of its own: whoever posts never waits for
whoever takes it.

Rule 1: what waits is bounded. What there is no room for, and what could not be delivered, is counted; with the next
        delivery that succeeds the receiver is told how much that was (`EventsLost`).
Rule 2: to post takes no lock that a thread waits for: a signal handler may post while the same thread posts.
Rule 3: the thread is there while there is something to do, and ends a moment later. If none is to be had, what waits
        goes on waiting, and the next post tries again.
Rule 4: a receiver that hangs holds up this thread and nobody else. `close` waits for it no longer than it is told to.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from secrets_actor.clock import now, wall_time
from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.forks import on_fork
from secrets_actor.otp import Latch, LifecycleEvent, begin

# Events that may wait; a kilobyte each at most.
ROOM: Final = 10_000
# Seconds without an event after which the thread ends.
_IDLE: Final = 1.0


class EventsLost(LifecycleEvent, frozen=True):
    """So many life-cycle events did not reach `process`, which is `log` or `observer`: it was too slow, or failed."""

    count: int


_TAKEN: Final = "taken"
# Takes an event, and when it was (seconds since the epoch). False: it could not be delivered.
Deliver = Callable[[LifecycleEvent, float], bool]


class Courier:
    """Hands events to *deliver*. *receiver* is its name, for the metric and for `EventsLost`."""

    def __init__(self, receiver: str, deliver: Deliver, meter: Meter = NO_METER, room: int = ROOM) -> None:
        self._receiver, self._deliver, self._meter, self._room = receiver, deliver, meter, room
        self.forget()
        on_fork(self)

    def forget(self) -> None:
        """In the child of a fork: nothing waits, for that is the parent's to deliver."""
        self._waiting: SimpleQueue[Any] = SimpleQueue()  # its put may interrupt another one
        self._turn: dict[str, object] = {}  # taken by the thread that delivers
        self._thread: threading.Thread | None = None
        self._losses, self._looks, self._told = itertools.count(), 0, 0

    def post(self, event: LifecycleEvent) -> None:
        """Have *event* delivered. Never waits, never raises."""
        if self._waiting.qsize() < self._room:
            self._waiting.put((event, wall_time()))
        else:
            self._lose()
        self._see_to_it()

    def close(self, patience: float, last: Callable[[], object] = lambda: None) -> bool:
        """Have all that was posted delivered, then *last* called, and the thread ended. Waits up to *patience* seconds
        for that; whether it came about. What is posted later is delivered all the same."""
        done = Latch()
        self._waiting.put((last, done))
        if not self._see_to_it():
            return False
        thread, end = self._thread, now() + patience
        if thread is threading.current_thread():  # a receiver that closes us would wait for itself
            return False
        if not done.wait(max(patience, 0.0)):
            return False
        if thread is not None and thread.is_alive():  # another may be about to start it
            thread.join(max(end - now(), 0.0))
        return True

    def _lose(self) -> None:
        next(self._losses)  # one step, whoever else counts
        self._meter.count(metrics.EVENTS_LOST, self._receiver)

    def _untold(self) -> int:
        self._looks += 1
        return next(self._losses) + 1 - self._looks - self._told

    def _see_to_it(self) -> bool:
        """Have a thread deliver. False if there is none to be had."""
        turn, mine, thread = self._turn, object(), None
        if turn:
            return True
        try:
            if turn.setdefault(_TAKEN, mine) is not mine:
                return True
            work = (turn, self._waiting)
            thread = threading.Thread(target=self._run, args=work, name=f"{self._receiver} courier", daemon=True)
            if begin(thread):
                return True
        except BaseException:  # of a signal handler: the thread may be there all the same
            if turn.get(_TAKEN) is mine and (thread is None or thread.ident is None):
                turn.pop(_TAKEN, None)
            raise
        turn.pop(_TAKEN, None)  # rule 3
        self._thread = None
        return False

    def _run(self, turn: dict[str, object], waiting: SimpleQueue[Any]) -> None:
        mine, self._thread = object(), threading.current_thread()
        while True:
            try:
                self._deliver_all(waiting)
            finally:
                turn.pop(_TAKEN, None)
            if waiting.empty() or turn.setdefault(_TAKEN, mine) is not mine:
                return

    def _deliver_all(self, waiting: SimpleQueue[Any]) -> None:
        """Until nothing has come for a while, or somebody closes."""
        with contextlib.suppress(Empty):
            while True:
                what, detail = waiting.get(timeout=_IDLE)
                if isinstance(detail, Latch):
                    with contextlib.suppress(BaseException):  # somebody else's code
                        what()
                    detail.set()
                    return
                self._hand(what, detail)

    def _hand(self, event: LifecycleEvent, at: float) -> None:
        if not self._delivered(event, at):
            self._lose()
            return
        lost = self._untold()
        if lost and self._delivered(EventsLost(self._receiver, lost), wall_time()):
            self._told += lost

    def _delivered(self, event: LifecycleEvent, at: float) -> bool:
        try:
            return self._deliver(event, at)
        except BaseException:  # noqa: BLE001  # an observer's failures are its own
            return True
