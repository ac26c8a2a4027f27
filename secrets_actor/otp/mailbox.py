"""The mailbox: a C queue with the shape of a pykka inbox.

Our own sends `push` bare messages. pykka's refs `put` envelopes; what those become is decided by the hook that
`process.py` installs, so that a plain `ask` from any pykka actor turns into a Call of ours.

A message is out of the queue before its reader has come round to look at it; a reader that slept is even handed it past
the queue (Python 3.13). Whether a process is idle is therefore not asked of the queue: both sides count.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from secrets_actor.otp.messages import IdleTimeout
from secrets_actor.otp.signal_safe import Notifier

if TYPE_CHECKING:
    from secrets_actor.otp.child_spec import MailboxLimit

CLOSED: Final = object()
# Seconds between two looks of a caller who waits for room: whoever was told of it may not have come to use it.
_GLANCE: Final = 0.25


class Mailbox:
    """First in, first out. `idle_timeout` (seconds, None: wait forever) yields an `IdleTimeout` when nothing comes."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._closed = False
        self.waiting = False  # whether the reader has nothing to do, or has not looked yet at what it has
        self.idle_timeout: float | None = None
        self.on_envelope: Callable[[Any], None] | None = None
        self._take = self._queue.get
        self._pushed, self._looked_at = itertools.count(), 0
        self.push = _counted(self._queue.put, self._pushed)  # bound once: the hottest call of the kernel
        self._limit: MailboxLimit | None = None
        self.unlimited = True
        self._room: Notifier | None = None  # with a limit that lets callers wait

    def limit(self, limit: MailboxLimit | None) -> None:
        """Let no more calls wait than *limit* says."""
        self._limit = limit
        self.unlimited = limit is None
        self._room = Notifier() if limit is not None and limit.wait else None

    @property
    def full(self) -> bool:
        """Whether a call must be refused now."""
        return self._limit is not None and self._queue.qsize() >= self._limit.size

    def wait_for_room(self, patience: float | None) -> bool:
        """Wait up to *patience* seconds (None: forever) until a call may be accepted, or the mailbox is closed."""
        room = self._room
        return room is not None and room.wait_for(lambda: self._closed or not self.full, patience, _GLANCE)

    def put(self, envelope: Any) -> None:
        """Take an envelope of pykka's."""
        if self.on_envelope is not None:
            self.on_envelope(envelope)

    def take(self) -> Any:
        """The next message."""
        self.waiting = True
        if self.idle_timeout is None:
            message = self._take()
        else:
            try:
                message = self._take(timeout=min(self.idle_timeout, threading.TIMEOUT_MAX))
            except Empty:
                message = IdleTimeout()
        self.waiting = False
        if type(message) is not IdleTimeout:  # nobody has pushed that
            self._looked_at += 1
        room = self._room
        if room is not None:
            room.ring_one()
        return message

    def get(self) -> Any:
        """What pykka's own loop would call; our processes run a loop of their own."""
        raise NotImplementedError("a process takes messages, not envelopes")

    def close(self) -> None:
        """Wake the reader for the last time. What is still queued is dropped with the mailbox."""
        self._closed = True
        self.push(CLOSED)
        room = self._room
        if room is not None:
            room.ring()

    def forget(self) -> None:
        """In the child of a fork: closed."""
        self._closed = True
        self._room = None if self._room is None else Notifier()

    def empty(self) -> bool:
        """Whether pykka's loop has nothing to drain; when closed it has not: `Pid.finish` has answered every call."""
        return self._closed or self._queue.empty()

    @property
    def idle(self) -> bool:
        """Whether the reader waits and has looked at all there was. Who is in the middle of a push has not pushed."""
        looked_at = self._looked_at
        return self.waiting and _number(self._pushed) == looked_at == self._looked_at  # it has not stirred meanwhile

    def __len__(self) -> int:
        return 0 if self._closed else max(0, _number(self._pushed) - self._looked_at)


def _counted(put: Callable[[Any], None], pushed: Iterator[int]) -> Callable[[Any], None]:
    """*put*, counted: also if a signal handler of the program raises right after it."""

    def push(message: Any) -> None:
        try:
            put(message)
        finally:
            next(pushed)

    return push


def _number(counter: itertools.count[int]) -> int:
    """Where *counter* stands. Its text is the one way to tell without a step of it."""
    return int(repr(counter)[len("count(") : -1])
