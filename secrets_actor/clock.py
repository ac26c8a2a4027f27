"""The clocks: the one source of time for the whole package.

Rule 1: ages, deadlines and timeouts are measured with `now`, which goes on while the machine sleeps (CLOCK_BOOTTIME).
        So the age of a value is its true age, and a deadline may pass while the machine sleeps. The waits of the
        operating system stand still during that time, so a process that waits for a moment looks at the clock again now
        and then (timer_server.py).
Rule 2: dates come from `wall_time`. That clock may be wrong, and may be set at any moment. Nothing is measured with it.
Rule 3: no other file uses the `time` module. Libraries that stop or move the clock for a program's tests (freezegun,
        time-machine) replace the functions of `time` and do not know of the clocks here. So our deadlines pass, and our
        signatures have the date of today, whatever date a test has made up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol


def _reading(clock_id: int | None) -> Callable[[], float] | None:
    """Return a function that reads the clock of this number; None if the system has no such clock."""
    try:
        return None if clock_id is None or time.clock_gettime(clock_id) < 0.0 else partial(time.clock_gettime, clock_id)
    except OSError:
        return None


# Return seconds since some moment. They never go back, and they go on while the machine sleeps. On a system without
# such a clock this is the monotonic clock, which may stand still while the machine sleeps. It is a partial and not a
# function of ours because a cached get reads it once, and one more call would double the cost of that.
now: Final[Callable[[], float]] = (
    _reading(getattr(time, "CLOCK_BOOTTIME", None)) or _reading(time.CLOCK_MONOTONIC) or time.monotonic
)
# Linux's CLOCK_REALTIME_COARSE, which has no name in `time`: the wall clock as it was at the last tick, some
# milliseconds ago.
_COARSE: Final = 5 if sys.platform == "linux" else None
_coarse: Final = _reading(_COARSE)
_fine: Final = _reading(time.CLOCK_REALTIME) or time.time
# Seconds by which the wall clock must have run ahead between two looks to count as a leap. Less is not
# taken for a sleep.
LEAP: Final = 1.0
# The longest time in seconds between the fine and the coarse reading of one wall clock: a tick, and whatever else the
# machine ran in between.
_TICK: Final = 0.1
# Let the calling thread sleep for so many seconds.
sleep: Final = time.sleep


def monotonic_microseconds() -> int:
    """Return CLOCK_MONOTONIC in microseconds: systemd wants this clock, and no other, in its messages."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def wall_time() -> float:
    """Return the time of the wall clock, in seconds since 1970."""
    fine = _fine()
    if _coarse is None:
        return fine
    coarse = _coarse()
    # time-machine changes the fine clock, and cannot change the coarse one: if they differ, the coarse one is right.
    return fine if abs(fine - coarse) < _TICK else coarse


def utc_now() -> datetime:
    """Return the date and time of the wall clock, in UTC."""
    return datetime.fromtimestamp(wall_time(), UTC)


class WallLeaps:
    """A detector of leaps. Each call returns the seconds by which the wall clock has leapt ahead of `now` since the
    call before, or 0.0.

    Such a leap has two causes, which look alike from here. The machine slept without knowing it, such as a virtual
    machine that was paused; or its wall clock was wrong and was set. Only one of the two clocks is right about the time
    that has passed. So a value that must not be too old is taken to be as old as the higher of the two says.
    """

    def __init__(self, seconds: Callable[[], float] = now, wall: Callable[[], float] = wall_time) -> None:
        self._seconds, self._wall = seconds, wall
        self._ahead: float | None = None
        self()

    def __call__(self) -> float:
        before = self._seconds()
        wall = self._wall()
        after = self._seconds()
        if after - before > _TICK:
            return 0.0  # the machine was busy in between, so the readings do not belong together: the next call looks
        ahead, last = wall - after, self._ahead
        self._ahead = ahead
        return ahead - last if last is not None and ahead - last > LEAP else 0.0


class Clock(Protocol):
    """The clock of a tree of processes."""

    def now(self) -> float:
        """Return seconds since some moment. They never go back."""

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Call *callback* whenever the time jumps, so that a process that waits for a moment can look again."""


class SystemClock:
    """The clock `now`, which never jumps."""

    now = staticmethod(now)

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Do nothing: this clock never jumps."""


class ManualClock:
    """A clock for tests: it stands until `advance` moves it."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._callbacks: list[Callable[[], None]] = []

    def now(self) -> float:
        """Return the time that the clock was set to last, in seconds."""
        return self._now

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Call *callback* after each `advance`."""
        self._callbacks.append(callback)

    def advance(self, seconds: float) -> None:
        """Move the clock on by *seconds*, and call all callbacks."""
        self._now += seconds  # this contains no call, so no other thread comes between its reading and its writing
        for callback in tuple(self._callbacks):
            callback()
