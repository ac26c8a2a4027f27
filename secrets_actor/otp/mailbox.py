"""The mailbox of a process: a queue written in C, with the shape of a pykka inbox.

Our own code puts bare messages in with `push`. pykka's refs `put` envelopes, and a hook that `process.py` installs
turns those into our messages, so that a plain `ask` from any pykka actor becomes a Call of ours.

An empty queue does not mean that the process is idle: a message is out of the queue before its reader has looked at it,
and in Python 3.13 a reader that slept gets it without the queue. So both sides count: messages pushed, and messages
that the reader has looked at.
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
# Seconds between two looks of a caller that waits for room. It looks even if nobody wakes it, because the caller that
# was woken for the free place may have been cut off before it used the place.
_GLANCE: Final = 0.25


class Mailbox:
    """One mailbox: messages come out in the order in which they went in. If none comes for `idle_timeout` seconds
    (None: wait forever), the reader gets an `IdleTimeout`."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._closed = False
        self.waiting = False  # whether the reader waits, or has a message that it has not looked at yet
        self.idle_timeout: float | None = None
        self.on_envelope: Callable[[Any], None] | None = None
        self._take = self._queue.get
        self._pushed, self._looked_at = itertools.count(), 0
        self.push = _counted(self._queue.put, self._pushed)  # bound once, since no call of the kernel is more frequent
        self._limit: MailboxLimit | None = None
        self.unlimited = True
        self._room: Notifier | None = None  # only with a limit that lets callers wait for room

    def limit(self, limit: MailboxLimit | None) -> None:
        """Let no more calls wait than *limit* says; None: any number."""
        self._limit = limit
        self.unlimited = limit is None
        self._room = Notifier() if limit is not None and limit.wait else None

    @property
    def full(self) -> bool:
        """Whether a call must be refused now."""
        return self._limit is not None and self._queue.qsize() >= self._limit.size

    def wait_for_room(self, patience: float | None) -> bool:
        """Wait until a call may be accepted or the mailbox is closed. Return False after *patience* seconds (None: wait
        forever), and at once if the limit lets no caller wait."""
        room = self._room
        return room is not None and room.wait_for(lambda: self._closed or not self.full, patience, _GLANCE)

    def put(self, envelope: Any) -> None:
        """Accept an envelope from pykka."""
        if self.on_envelope is not None:
            self.on_envelope(envelope)

    def take(self) -> Any:
        """Wait for the next message and return it."""
        self.waiting = True
        if self.idle_timeout is None:
            message = self._take()
        else:
            try:
                message = self._take(timeout=min(self.idle_timeout, threading.TIMEOUT_MAX))
            except Empty:
                message = IdleTimeout()
        self.waiting = False
        if type(message) is not IdleTimeout:  # that was made above and not pushed, so it does not count
            self._looked_at += 1
        room = self._room
        if room is not None:
            room.ring_one()
        return message

    def get(self) -> Any:
        """Raise: only pykka's own loop would call this, and our processes run a loop of their own."""
        raise NotImplementedError("a process takes messages, not envelopes")

    def close(self) -> None:
        """Wake the reader for the last time. Messages that are still queued are dropped with the mailbox."""
        self._closed = True
        self.push(CLOSED)
        room = self._room
        if room is not None:
            room.ring()

    def forget(self) -> None:
        """In the child of a fork: become closed, without waking anybody, for the reader's thread is not here."""
        self._closed = True
        self._room = None if self._room is None else Notifier()

    def empty(self) -> bool:
        """Whether pykka has nothing to drain. A closed mailbox says so always: `Pid.finish` has answered every call."""
        return self._closed or self._queue.empty()

    @property
    def idle(self) -> bool:
        """Whether the reader waits and has looked at every message. A push that is still under way does not count."""
        looked_at = self._looked_at
        # `_looked_at` is read twice: if it is the same, the reader has not moved while the pushes were counted.
        return self.waiting and _number(self._pushed) == looked_at == self._looked_at

    def __len__(self) -> int:
        return 0 if self._closed else max(0, _number(self._pushed) - self._looked_at)


def _counted(put: Callable[[Any], None], pushed: Iterator[int]) -> Callable[[Any], None]:
    """Return *put* with a counter: it counts even if a signal handler of the program raises right after the put."""

    def push(message: Any) -> None:
        try:
            put(message)
        finally:
            next(pushed)

    return push


def _number(counter: itertools.count[int]) -> int:
    """Return the number that *counter* has come to. Its repr is the only way to read it that does not advance it."""
    return int(repr(counter)[len("count(") : -1])
