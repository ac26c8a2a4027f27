"""What the processes of one tree share: names, time, delayed messages, the observer. Erlang's node, in small."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from secrets_actor.otp.clock import Clock, SystemClock
from secrets_actor.otp.events import LifecycleEvent, Observer, ProcessCrashed
from secrets_actor.otp.registry import Name, Registry
from secrets_actor.otp.timers import TimerTable

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid
    from secrets_actor.otp.reasons import ExitReason


class Node:
    """One per tree. *observer* is told of every start, end, crash and restart."""

    def __init__(self, observer: Observer | None = None, clock: Clock | None = None) -> None:
        self.clock: Clock = clock or SystemClock()
        self.registry = Registry()
        self.timers = TimerTable(self.clock)
        self._observer = observer
        self._lock = threading.Lock()
        self._disowned: set[Pid] = set()

    def name(self, name: str) -> Name:
        """The address of whoever has *name*, now and after restarts."""
        return Name(self.registry, name)

    def observe(self, event: LifecycleEvent) -> None:
        """Tell the observer. Its failures are its own."""
        if self._observer is not None:
            with contextlib.suppress(BaseException):  # an observer cannot be allowed to end a process
                self._observer(event)

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        """Hook for harnesses that record ends where they happen, before links and monitors hear of them."""

    def hook_failed(self, pid: Pid, error: BaseException) -> None:
        """Report an `abandon` hook that raised."""
        self.observe(ProcessCrashed(pid.label, pid.serial, f"{type(error).__name__} in abandon", "none"))

    def disown(self, pid: Pid) -> None:
        """Count a process whose thread goes on after its end."""
        with self._lock:
            self._disowned.add(pid)

    def thread_ended(self, pid: Pid) -> None:
        """The thread of *pid* is about to end: it counts no more."""
        with self._lock:
            self._disowned.discard(pid)

    @property
    def disowned(self) -> tuple[Pid, ...]:
        """Ended processes whose threads have not."""
        with self._lock:
            return tuple(self._disowned)
