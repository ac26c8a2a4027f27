"""From: the answer handle that travels with a call.

Rule 1: it settles exactly once; whoever comes later is told so and changes nothing.
Rule 2: anyone may settle it: the server, the server's end, or the caller who stops waiting.
Rule 3: it can be waited on by a thread and watched by a callback, which runs once, in the thread that settles it or,
        if it was settled before, in the one that came to watch.
Rule 4: who settles it takes `_claim`, sets the error, then the value, then opens the gate. Who watches adds himself
        first and looks at the value then: so either side sees the other, and taking a callback off the list is atomic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from secrets_actor.otp.errors import CallTimeout
from secrets_actor.otp.gate import clamped

T = TypeVar("T")
_Lock: Final = threading.Lock
_PENDING: Final = object()


class From(Generic[T]):
    """The right to answer one call. `deadline` (clock seconds) is when its caller stops waiting, None for never; `note`
    is for whatever caller and server have agreed on beside the question."""

    __slots__ = ("_callbacks", "_claim", "_error", "_gate", "_owing", "_value", "deadline", "note", "patience")

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self.note: Any = None
        self.patience: float | None = 0.0  # seconds its caller can wait for room in a mailbox; None: forever
        self._claim = _Lock()
        self._gate = _Lock()  # held until settled: a lock is the cheapest thing a thread can wait on
        self._gate.acquire()
        self._value: Any = _PENDING
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[From[T]], object]] = []
        self._owing: dict[Any, Any] | None = None

    def owed_by(self, owing: dict[Any, Any]) -> None:
        """Enter this handle among those who wait for something of a process, as the last. Settling takes it out."""
        self._owing = owing
        owing[self] = None

    def reply(self, value: T) -> bool:
        """Answer with *value*. False if it was settled before."""
        return self._settle(value, None)

    def fail(self, error: BaseException) -> bool:
        """Answer with *error*, which `wait` raises. False if it was settled before."""
        return self._settle(None, error)

    def _settle(self, value: Any, error: BaseException | None) -> bool:
        if not self._claim.acquire(False):
            return False
        self._error = error
        self._value = value
        if self._owing is not None:
            self._owing.pop(self, None)
        self._gate.release()
        if self._callbacks:
            self._call_back()
        return True

    def _call_back(self) -> None:
        while True:
            try:
                callback = self._callbacks.pop(0)
            except IndexError:
                return
            callback(self)

    @property
    def settled(self) -> bool:
        """Whether it has been answered, failed or given up."""
        return self._value is not _PENDING

    @property
    def error(self) -> BaseException | None:
        """The error it settled with; None while open or answered."""
        return self._error

    def on_settled(self, callback: Callable[[From[T]], object]) -> None:
        """Run *callback* with this handle once it settles: now, if it has. The callback must not raise or block."""
        self._callbacks.append(callback)
        if self._value is not _PENDING:
            self._call_back()

    def wait(self, timeout: float | None = None) -> T:
        """The answer. Raises the error it failed with, or `CallTimeout` after *timeout* seconds: the caller has then
        given up, and a later answer is dropped."""
        gate = self._gate
        if timeout is None:
            gate.acquire()
            gate.release()  # for others who wait
        elif gate.acquire(True, timeout if 0.0 <= timeout <= threading.TIMEOUT_MAX else clamped(timeout)):
            gate.release()
        else:
            self.fail(CallTimeout(f"no answer within {timeout:.3g} seconds"))
            gate.acquire()  # settled by now, by this or by who was a moment faster
            gate.release()
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value

    def result(self) -> T:
        """The answer of a settled handle; raises the error it failed with."""
        if self._value is _PENDING:
            raise RuntimeError("not settled yet")
        if self._error is not None:
            raise self._error
        value: T = self._value
        return value
