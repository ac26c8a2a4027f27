"""A notifier and a latch, which let threads wait without sharing a lock.

A signal handler, a finalizer or a log handler runs in the middle of whatever its thread is doing, even in here, and may
call anything. `threading.Event` and `threading.Condition` share one lock among all who wait. If the interrupted thread
holds that lock, the handler waits for its own thread, and every other thread waits for it, too. Here each sleeping
thread has a lock of its own, which no other thread acquires.
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
    """Return *timeout* (seconds) within the limits of a lock: from 0 to the longest time that the platform allows."""
    return min(max(timeout, 0.0), threading.TIMEOUT_MAX)


class Notifier:
    """A notifier wakes threads that wait until something is so. A thread that makes it so does that first and then
    rings. A thread that waits first adds its lock to the sleepers and then looks. So neither misses the other."""

    __slots__ = ("_sleepers",)

    def __init__(self) -> None:
        self._sleepers: list[Any] = []  # one lock for each sleeping thread, held until the thread is woken

    def ring(self) -> None:
        """Wake all sleepers, so that they look again."""
        for sleeper in tuple(self._sleepers):
            let_go(sleeper)

    def ring_one(self) -> None:
        """Wake one sleeper that has not been woken yet."""
        for sleeper in tuple(self._sleepers):
            if let_go(sleeper):
                return

    def wait_for(self, there: Callable[[], bool], timeout: float | None = None, glance: float | None = None) -> bool:
        """Wait until *there* returns True. Return False after *timeout* seconds (None: as long as it takes). With
        *glance*, *there* is also called every so many seconds, because the thread that `ring_one` has woken may have
        been interrupted for good before it could use what it waited for."""
        if alone():  # while Python shuts down no other thread runs that could ring
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
            with suppress(ValueError):  # a signal handler raised before the lock was in the list
                self._sleepers.remove(sleeper)


def let_go(lock: Any) -> bool:
    """Release *lock*, whichever thread has acquired it. Return False if none has."""
    try:
        lock.release()
    except RuntimeError:
        return False
    return True


class Latch:
    """A latch is shut until a thread opens it, as a `threading.Event` is. It is made in a part of the time that an
    Event takes: every process has one, and most are never waited for."""

    __slots__ = ("_notifier", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._notifier = Notifier()

    def open(self) -> None:
        """Open the latch and wake all threads that wait for it."""
        self.is_open = True
        self._notifier.ring()

    def shut(self) -> None:
        """Shut the latch again: threads that come from now on wait."""
        self.is_open = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the latch is open. Return False if that takes longer than *timeout* seconds (None: as long as it
        takes)."""
        return self.is_open or self._notifier.wait_for(lambda: self.is_open, timeout)

    # --- as pykka knows an event ----------------------------------------------------------------------------------

    set = open

    def is_set(self) -> bool:
        """Whether the latch is open."""
        return self.is_open
