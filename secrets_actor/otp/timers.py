"""The table of delayed messages. The process in timer_server.py sends them when they are due.

Rule 1: the table outlives the process that works on it (as an ETS table with an heir does), so a crash loses no timer.
Rule 2: a timer is pending, fired or cancelled. The thread that takes it out of `_pending` decides which. Taking it out
        is one step, so the result of `cancel` is always true.
Rule 3: there is no lock (rule 5 of pid.py). A thread that sets a timer puts it into a queue, and only the timer process
        sorts them. The thread first puts its timer into the queue and then reads when the process will next look; the
        process first writes that down and then looks into the queue. So no timer is missed.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol

from msgspec import Struct

from secrets_actor.clock import Clock

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid

WAKE: Final = "wake"


class Target(Protocol):
    """The receiver of a delayed message: a `Pid`, a `Name`, or another object with `post`. That is called in the thread
    of the timer process and must neither block nor raise."""

    def post(self, message: Any) -> object:
        """Accept *message*."""


class Timer(Struct, eq=False):
    """One delayed message, and the handle to `cancel` it. `due` is in clock seconds."""

    due: float
    target: Target
    message: Any
    pending: bool = True


_Entry = tuple[float, int, Timer]


class TimerTable:
    """All pending timers of a node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._order = itertools.count()
        self.forget()
        clock.on_jump(self.wake)

    def forget(self) -> None:
        """Become empty, without a timer process: at first, and in the child of a fork."""
        self._pending: dict[Timer, bool] = {}
        self._new: deque[_Entry] = deque()
        self._heap: list[_Entry] = []
        self._looks_at = -math.inf  # when the process will look next by itself; -inf: it is just looking
        self._dead_weight, self._untidy = 0, False
        self.keeper: Pid | None = None

    def send_after(self, delay: float, target: Target, message: Any) -> Timer:
        """Send *message* to *target* in *delay* seconds. It is dropped if the target has ended by then."""
        timer = Timer(self._clock.now() + delay, target, message)
        self._pending[timer] = True
        self._new.append((timer.due, next(self._order), timer))
        if timer.due < self._looks_at:
            self.wake()
        return timer

    def cancel(self, timer: Timer) -> float | None:
        """Cancel a timer. Return the seconds that it had left; None if it has fired or was cancelled before."""
        if not self._pending.pop(timer, False):
            return None
        timer.pending, timer.message = False, None
        # A cancelled timer stays in the heap until its time. When most entries of the heap are such, the process takes
        # them out; for a few of them (64) that is not worth its while.
        self._dead_weight += 1
        if not self._untidy and self._dead_weight > 64 and self._dead_weight * 2 > len(self._heap) + len(self._new):
            self._untidy = True
            self.wake()
        return max(timer.due - self._clock.now(), 0.0)

    def read(self, timer: Timer) -> float | None:
        """Return the seconds that *timer* has left; None if it has fired or was cancelled."""
        return max(timer.due - self._clock.now(), 0.0) if timer in self._pending else None

    def fire_due(self) -> float | None:
        """Send all messages that are due. Return the seconds until the next one is; None if none is pending. Called by
        the timer process only."""
        heap, new = self._heap, self._new
        while True:
            self._looks_at = -math.inf  # it looks now: a timer that is set meanwhile need not wake it
            while new:
                heapq.heappush(heap, new.popleft())
            if self._untidy:
                self._untidy, self._dead_weight = False, 0
                heap[:] = [entry for entry in heap if entry[2] in self._pending]
                heapq.heapify(heap)
            now = self._clock.now()
            while heap and (heap[0][0] <= now or heap[0][2] not in self._pending):
                timer = heapq.heappop(heap)[2]
                if self._pending.pop(timer, False):
                    timer.pending = False
                    timer.target.post(timer.message)
            self._looks_at = heap[0][0] if heap else math.inf
            if not new:
                return heap[0][0] - now if heap else None

    @property
    def kept(self) -> bool:
        """Whether a timer process works on the table now."""
        keeper = self.keeper
        return keeper is not None and keeper.is_alive()

    def wake(self) -> None:
        """Have the timer process look at the table again."""
        keeper = self.keeper
        if keeper is not None:
            keeper.post(WAKE)

    def __len__(self) -> int:
        return len(self._pending)
