"""A gate: shut until somebody opens it, once and for all."""

from __future__ import annotations

import threading


def clamped(timeout: float) -> float:
    """*timeout* as a lock takes it: seconds from 0 to the most that the platform knows."""
    return min(max(timeout, 0.0), threading.TIMEOUT_MAX)


class Gate:
    """What `threading.Event` is, without the way back, for a sixth of the price: every process has one, and most are
    never waited for. A lock that is held until the gate opens is all it takes."""

    __slots__ = ("_lock", "is_open")

    def __init__(self) -> None:
        self.is_open = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Let everybody through. To be called once."""
        self.is_open = True
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it opens; False if that takes longer than *timeout* seconds (None: as long as it takes)."""
        if self.is_open:
            return True
        if not self._lock.acquire(timeout=-1 if timeout is None else clamped(timeout)):
            return False
        self._lock.release()  # for others who wait
        return True
