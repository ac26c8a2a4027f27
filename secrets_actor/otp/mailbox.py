"""The mailbox: a C queue with the shape of a pykka inbox.

Our own sends `push` bare messages. pykka's refs `put` envelopes; what those become is decided by the hook that
`process.py` installs, so that a plain `ask` from any pykka actor turns into a Call of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Final

from secrets_actor.otp.messages import IdleTimeout

CLOSED: Final = object()


class _Slot:
    """The one envelope that `get` hands to pykka's loop, again and again: it has a single reader."""

    __slots__ = ("message",)
    reply_to = None

    def __init__(self) -> None:
        self.message: Any = None


class Mailbox:
    """First in, first out. `idle_timeout` (seconds, None: wait forever) yields an `IdleTimeout` when nothing comes."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._slot = _Slot()
        self._closed = False
        self.waiting = False  # whether the reader has nothing to do
        self.idle_timeout: float | None = None
        self.on_envelope: Callable[[Any], None] | None = None
        self.push = self._queue.put  # bound once: the hottest call of the kernel

    def put(self, envelope: Any) -> None:
        """Take an envelope of pykka's."""
        if self.on_envelope is not None:
            self.on_envelope(envelope)

    def get(self) -> _Slot:
        """The next message, in an envelope as pykka's loop wants it."""
        slot = self._slot
        slot.message = None  # do not hold on to the last one while waiting
        self.waiting = True
        if self.idle_timeout is None:
            slot.message = self._queue.get()
        else:
            try:
                slot.message = self._queue.get(timeout=self.idle_timeout)
            except Empty:
                slot.message = IdleTimeout()
        self.waiting = False
        return slot

    def close(self) -> None:
        """Wake the reader for the last time. What is still queued is dropped with the mailbox."""
        self._closed = True
        self._queue.put(CLOSED)

    def empty(self) -> bool:
        """Whether pykka's loop has nothing to drain; when closed it has not: `Pid.finish` has answered every call."""
        return self._closed or self._queue.empty()

    def __len__(self) -> int:
        return 0 if self._closed else self._queue.qsize()
