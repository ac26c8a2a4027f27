"""The courier: delivers events to a receiver, one after the other, in a thread of its own. So a thread that posts an
event never waits for the receiver.

Rule 1: the number of events that wait is bounded. Events for which there is no room, or that could not be delivered,
        are counted. After the next delivery that succeeds the receiver is told how many they were (`EventsLost`).
Rule 2: posting takes no lock that a thread could wait for: a signal handler may post while its own thread posts.
Rule 3: the thread exists only while there is something to deliver, and ends a moment later. If no thread can be
        started, the events go on waiting, and the next post tries again.
Rule 4: a receiver that hangs holds up only this thread. `close` waits for it no longer than its *patience*.
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

# How many events may wait; each takes a kilobyte at most.
ROOM: Final = 10_000
# Seconds without an event after which the thread ends.
_IDLE: Final = 1.0


class EventsLost(LifecycleEvent, frozen=True):
    """*count* life-cycle events did not reach `process`, which is `log` or `observer`: it was too slow, or it
    failed."""

    count: int


_TAKEN: Final = "taken"
# A function that takes an event and its time (seconds since the epoch). It returns False if it could not deliver it.
Deliver = Callable[[LifecycleEvent, float], bool]


class Courier:
    """One courier, which passes events to *deliver*. *receiver* is the name of the receiver in the metric and in
    `EventsLost`; *room* is how many events may wait."""

    def __init__(self, receiver: str, deliver: Deliver, meter: Meter = NO_METER, room: int = ROOM) -> None:
        self._receiver, self._deliver, self._meter, self._room = receiver, deliver, meter, room
        self.forget()
        on_fork(self)

    def forget(self) -> None:
        """Become empty: at first, and in the child of a fork, since the parent delivers the events that wait."""
        self._waiting: SimpleQueue[Any] = SimpleQueue()  # its put is reentrant: it may interrupt another put (rule 2)
        # Has an entry while a thread delivers. `setdefault` takes the turn in one step.
        self._turn: dict[str, object] = {}
        self._thread: threading.Thread | None = None
        self._losses, self._looks, self._reported = itertools.count(), 0, 0

    def post(self, event: LifecycleEvent) -> None:
        """Have *event* delivered. It never waits and never raises."""
        if self._waiting.qsize() < self._room:
            self._waiting.put((event, wall_time()))
        else:
            self._lose()
        self._ensure_thread()

    def close(self, patience: float, last: Callable[[], object] = lambda: None) -> bool:
        """Have all posted events delivered, then *last* called, and then the thread ended. Wait up to *patience*
        seconds for that, and return whether it came about. Events that are posted later are delivered all the same."""
        done = Latch()
        self._waiting.put((last, done))
        if not self._ensure_thread():
            return False
        thread, end = self._thread, now() + patience
        if thread is threading.current_thread():  # a receiver that closes us would wait for itself
            return False
        if not done.wait(max(patience, 0.0)):
            return False
        if thread is not None and thread.is_alive():  # `join` raises for a thread that is not started yet
            thread.join(max(end - now(), 0.0))
        return True

    def _lose(self) -> None:
        next(self._losses)  # one step, so that no count is lost when several threads count
        self._meter.count(metrics.EVENTS_LOST, self._receiver)

    def _unreported(self) -> int:
        self._looks += 1  # a counter can be read only by advancing it: so the looks are taken off again
        return next(self._losses) + 1 - self._looks - self._reported

    def _ensure_thread(self) -> bool:
        """Have a thread that delivers: the one that runs, or a new one. Return False if none can be started."""
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
        except BaseException:  # a signal handler raised: if the thread has started all the same, it has the turn
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
            # A post between the last look and the end of the turn has started no thread: this one goes on with it.
            if waiting.empty() or turn.setdefault(_TAKEN, mine) is not mine:
                return

    def _deliver_all(self, waiting: SimpleQueue[Any]) -> None:
        """Deliver events until none has come for a while, or until `close`."""
        with contextlib.suppress(Empty):
            while True:
                item, detail = waiting.get(timeout=_IDLE)
                if isinstance(detail, Latch):
                    with contextlib.suppress(BaseException):  # code of others: it must not keep `close` waiting
                        item()
                    detail.set()
                    return
                self._deliver_one(item, detail)

    def _deliver_one(self, event: LifecycleEvent, at: float) -> None:
        if not self._delivered(event, at):
            self._lose()
            return
        lost = self._unreported()
        if lost and self._delivered(EventsLost(self._receiver, lost), wall_time()):
            self._reported += lost

    def _delivered(self, event: LifecycleEvent, at: float) -> bool:
        try:
            return self._deliver(event, at)
        except BaseException:  # noqa: BLE001  # the event has reached the observer, whose failures are not ours
            return True
