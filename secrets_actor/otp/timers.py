"""Delayed messages: the table of those pending; `timer_server.py` is the process that fires them.

Rule 1: the table outlives the process that works it (as an ETS table with an heir does): a crash loses no timer.
Rule 2: a timer is pending, fired or cancelled; one lock decides which, so `cancel` never lies.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING, Any, Final, Protocol

from secrets_actor.clock import Clock
from secrets_actor.records import dataclass

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid

WAKE: Final = "wake"


class Target(Protocol):
    """Whom a delayed message is for: a `Pid`, a `Name`, or whoever else takes one in the thread of the timer process,
    and neither blocks nor raises."""

    def post(self, message: Any) -> object:
        """Take *message*."""


@dataclass(slots=True, eq=False)
class Timer:
    """One delayed message: handle for `cancel`. `due` is in clock seconds."""

    due: float
    target: Target
    message: Any
    pending: bool

    def __init__(self, due: float, target: Target, message: Any) -> None:
        self.due, self.target, self.message, self.pending = due, target, message, True


class TimerTable:
    """All pending timers of a node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self.keeper: Pid | None = None
        clock.on_jump(self.wake)

    def send_after(self, delay: float, target: Target, message: Any) -> Timer:
        """Send *message* to *target* in *delay* seconds; it goes nowhere if nobody is there by then."""
        timer = Timer(self._clock.now() + delay, target, message)
        with self._lock:
            heapq.heappush(self._heap, (timer.due, next(self._order), timer))
            first = self._heap[0][2] is timer
        if first:
            self.wake()
        return timer

    def cancel(self, timer: Timer) -> float | None:
        """Take a timer back: the seconds it had left, or None if it has fired or was cancelled before."""
        with self._lock:
            if not timer.pending:
                return None
            timer.pending, timer.message = False, None
            self._cancelled += 1
            if self._cancelled > 64 and self._cancelled * 2 > len(self._heap):  # most of the heap is dead weight
                self._heap = [entry for entry in self._heap if entry[2].pending]
                heapq.heapify(self._heap)
                self._cancelled = 0
        return max(timer.due - self._clock.now(), 0.0)

    def read(self, timer: Timer) -> float | None:
        """The seconds *timer* has left, None if it has fired or was cancelled."""
        with self._lock:
            return max(timer.due - self._clock.now(), 0.0) if timer.pending else None

    def fire_due(self) -> float | None:
        """Send all that is due; the seconds until the next one is, None if there is none."""
        while True:
            with self._lock:
                now = self._clock.now()
                if not self._heap:
                    return None
                due, _, timer = self._heap[0]
                if timer.pending and due > now:
                    return due - now
                heapq.heappop(self._heap)
                fires, timer.pending = timer.pending, False
                if not fires:
                    self._cancelled -= 1
            if fires:
                timer.target.post(timer.message)

    def forget(self) -> None:
        """In the child of a fork: nothing is pending, and nobody keeps it."""
        self._lock = threading.Lock()
        self._heap, self._cancelled, self.keeper = [], 0, None

    @property
    def kept(self) -> bool:
        """Whether a timer process works the table now."""
        keeper = self.keeper
        return keeper is not None and keeper.is_alive()

    def wake(self) -> None:
        """Have the timer process look at the table again."""
        keeper = self.keeper
        if keeper is not None:
            keeper.post(WAKE)

    def __len__(self) -> int:
        with self._lock:
            return sum(timer.pending for _, _, timer in self._heap)
