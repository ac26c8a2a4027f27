"""Waiting without a lock that somebody might hold.

A signal handler, a finalizer or a log handler runs in the middle of whatever its thread is doing, here too, and may ask
for anything. What `threading.Event` and `threading.Condition` wait with is a lock that such a thread may hold already:
it would wait for itself, and so would every other. Here each sleeper has a lock of its own, which nobody else takes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from secrets_actor.clock import now
from secrets_actor.otp.threads import alone

_Lock: Final = threading.Lock


def clamped(timeout: float) -> float:
    """*timeout* as a lock takes it: seconds from 0 to the most that the platform knows."""
    return min(max(timeout, 0.0), threading.TIMEOUT_MAX)


class Notifier:
    """Wakes those who wait for something. Whoever brings it about does so first and rings then; whoever waits lies down
    first and looks then: so neither misses the other."""

    __slots__ = ("_sleepers",)

    def __init__(self) -> None:
        self._sleepers: list[Any] = []  # locks, each held until it is rung

    def ring(self) -> None:
        """Have all look."""
        for sleeper in tuple(self._sleepers):
            let_go(sleeper)

    def ring_one(self) -> None:
        """Have one sleeper look that has not been told to yet."""
        for sleeper in tuple(self._sleepers):
            if let_go(sleeper):
                return

    def wait_for(self, there: Callable[[], bool], timeout: float | None = None, glance: float | None = None) -> bool:
        """Wait until *there* says so; False after *timeout* seconds (None: as long as it takes). With *glance*, it is
        asked every so many seconds, rung or not: for `ring_one` may have rung somebody who was cut off."""
        if alone():
            timeout = 0.0
        end = None if timeout is None else now() + timeout
        while not there():
            left = None if end is None else end - now()
            if left is not None and left <= 0.0:
                return False
            self._sleep(there, left if glance is None or (left is not None and left < glance) else glance)
        return True

    def _sleep(self, there: Callable[[], bool], seconds: float | None) -> None:
        sleeper = _Lock()
        sleeper.acquire()
        try:
            self._sleepers.append(sleeper)
            if not there():
                sleeper.acquire(timeout=-1 if seconds is None else clamped(seconds))
        finally:
            with suppress(ValueError):  # cut off before it lay down
                self._sleepers.remove(sleeper)


def let_go(lock: Any) -> bool:
    """Release *lock*, whoever holds it. False if nobody does."""
    try:
        lock.release()
    except RuntimeError:
        return False
    return True


class Latch:
    """Shut until somebody opens it: what `threading.Event` is, but made in a part of the time. Every process has one,
    and most are never waited for."""

    __slots__ = ("_notifier", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._notifier = Notifier()

    def open(self) -> None:
        """Let everybody through. Nothing, if it is open."""
        self.is_open = True
        self._notifier.ring()

    def shut(self) -> None:
        """Let nobody through from now on."""
        self.is_open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it opens; False if that takes longer than *timeout* seconds (None: as long as it takes)."""
        return self.is_open or self._notifier.wait_for(lambda: self.is_open, timeout)

    # --- as pykka knows an event ----------------------------------------------------------------------------------

    set = open

    def is_set(self) -> bool:
        """Whether it is open."""
        return self.is_open
