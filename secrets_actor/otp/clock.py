"""The clock a tree runs on: seconds that only grow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Where a tree gets its time from."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Have *callback* run whenever the time jumps, so that who waits on it can look again."""


class SystemClock:
    """`time.monotonic`, which never jumps."""

    now = staticmethod(time.monotonic)  # itself: a cached get asks once, and a call in between costs as much again

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Nothing to do: this clock never jumps."""


class ManualClock:
    """A clock for tests: it stands until `advance` moves it."""

    def __init__(self, start: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = start
        self._callbacks: list[Callable[[], None]] = []

    def now(self) -> float:
        """The time it was last set to."""
        return self._now

    def on_jump(self, callback: Callable[[], None]) -> None:
        """Have *callback* run after each `advance`."""
        with self._lock:
            self._callbacks.append(callback)

    def advance(self, seconds: float) -> None:
        """Move on by *seconds*, and tell those who wait."""
        with self._lock:
            self._now += seconds
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()
