"""The one source of time of the whole program.

Rule 1: ages, deadlines and lengths of time go by `now`, which goes on while the machine sleeps (CLOCK_BOOTTIME). So a
        value is as old as it is, and a deadline is a moment: it may pass while the machine sleeps. What the system
        waits by stands still then; so a process that waits for a moment looks at the clock again now and then
        (timers.py).
Rule 2: dates go by `wall_time`. It may be wrong, and be set while we look. Nothing is measured by it.
Rule 3: nobody else asks the `time` module. What stops or moves its clocks for a program's tests (freezegun,
        time-machine) puts other functions in the place of those of `time`, and knows nothing of these clocks: our
        deadlines pass and our signatures have the date of today whatever date a test has made up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol


def _reading(clock_id: int | None) -> Callable[[], float] | None:
    """What reads the clock of this number; None where there is none."""
    try:
        return None if clock_id is None or time.clock_gettime(clock_id) < 0.0 else partial(time.clock_gettime, clock_id)
    except OSError:
        return None


# Seconds since some moment, which never go back and go on while the machine sleeps. Where the system has no such clock
# this is the monotonic one, and there it may stand still then. A partial and not a function of ours: a cached get asks
# once, and a call in between costs as much again.
now: Final[Callable[[], float]] = (
    _reading(getattr(time, "CLOCK_BOOTTIME", None)) or _reading(time.CLOCK_MONOTONIC) or time.monotonic
)
# Linux's CLOCK_REALTIME_COARSE, which has no name in `time`: the wall clock at the last tick, a few milliseconds ago.
_COARSE: Final = 5 if sys.platform == "linux" else None
_coarse: Final = _reading(_COARSE)
_fine: Final = _reading(time.CLOCK_REALTIME) or time.time
# Seconds by which the wall clock must run ahead at once to have leapt: what is less is no sleep.
LEAP: Final = 1.0
# Seconds between the two readings of one wall clock at most: a tick, and what else ran in between.
_TICK: Final = 0.1
# What waits, in the calling thread.
sleep: Final = time.sleep


def wall_time() -> float:
    """The wall clock: seconds since 1970."""
    fine = _fine()
    if _coarse is None:
        return fine
    coarse = _coarse()
    return fine if abs(fine - coarse) < _TICK else coarse  # time-machine moves the fine one


def utc_now() -> datetime:
    """The wall clock's date and time, in UTC."""
    return datetime.fromtimestamp(wall_time(), UTC)


class WallLeaps:
    """How far the wall clock has run ahead of `now` since it was asked last: 0.0, or the seconds of a leap.

    Such a leap has two causes, which look alike from here: the machine slept and does not know of it, as a virtual one
    that was paused; or its wall clock was wrong, and was set. One of the two clocks knows of the time in between, so
    what is to be no older than so much is taken to be as old as either says.
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
            return 0.0  # something came between the two readings: the next time, then
        ahead, last = wall - after, self._ahead
        self._ahead = ahead
        return ahead - last if last is not None and ahead - last > LEAP else 0.0


class Clock(Protocol):
    """Where a tree gets its time from."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Have *callback* run whenever the time jumps, so that a process that waits on it can look again."""


class SystemClock:
    """`now`, which never jumps."""

    now = staticmethod(now)

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Nothing to do: this clock never jumps."""


class ManualClock:
    """A clock for tests: it stands until `advance` moves it."""

    def __init__(self, start: float = 1000.0) -> None:
        self._now = start
        self._callbacks: list[Callable[[], None]] = []

    def now(self) -> float:
        """The time it was last set to."""
        return self._now

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Have *callback* run after each `advance`."""
        self._callbacks.append(callback)

    def advance(self, seconds: float) -> None:
        """Move on by *seconds*, and tell those who wait."""
        self._now += seconds  # no call, so nobody comes between its reading and its writing
        for callback in tuple(self._callbacks):
            callback()
