"""Life-cycle events: frozen facts that a node tells its observer.

There are events because the kernel knows no logger. No event holds the contents of a message, which may be secret.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class LifecycleEvent(Struct, frozen=True):
    """The base of all events. `process` is the label of the process that the event is about."""

    process: str


class ProcessStarted(LifecycleEvent, frozen=True):
    """A process has finished its init."""

    serial: int


class ProcessEnded(LifecycleEvent, frozen=True):
    """A process has ended for an expected reason, or was killed."""

    serial: int
    reason: str


class ProcessCrashed(LifecycleEvent, frozen=True):
    """The crash report of a process. *last_message* is the type of the message that it was handling, *supervisor* the
    label of its supervisor (None: it has no parent), and *restarts* how often the supervisor had restarted it before.

    If the process explains itself (see `Node`), *reason* has the text of the exception, and *traceback* is filled in.
    The message itself is never in the report.
    """

    serial: int
    reason: str
    last_message: str
    supervisor: str | None = None
    restarts: int = 0
    traceback: str = ""


class AnswerForgotten(LifecycleEvent, frozen=True):
    """A call timed out because the process can no longer answer it: the process returned `NoReply` and did not keep the
    `From`. *request* is the type of the request."""

    serial: int
    request: str


class ProcessDisowned(LifecycleEvent, frozen=True):
    """A process was killed from outside while its thread was busy. The thread ends when its present work does."""

    serial: int
    reason: str


class TooManyDisowned(LifecycleEvent, frozen=True):
    """More threads than allowed have outlived their processes: *disowned*, where *allowed* is the limit. *process* is
    the latest of them, and its supervisor is told to end."""

    disowned: int
    allowed: int


class ChildRestarted(LifecycleEvent, frozen=True):
    """A supervisor restarted a child (and, by its strategy, others with it)."""

    child: str
    reason: str
    restarts_in_window: int
    restarts_total: int


class ChildStartFailed(LifecycleEvent, frozen=True):
    """A supervisor could not start a child."""

    child: str
    reason: str


class SupervisorGaveUp(LifecycleEvent, frozen=True):
    """A supervisor ends because a child would have to be restarted more often than the intensity allows."""

    child: str
    reason: str
    intensity: int
    period: float


class SupervisorShutDown(LifecycleEvent, frozen=True):
    """A supervisor ends because a significant child has ended, as its `auto_shutdown` says. This is no failure."""

    child: str
    reason: str


class Observer(Protocol):
    """A function that is told of events. It is called in the thread of any process and must not block, unless it is the
    observer of a `System`, which calls it in a thread of its own. An exception that it raises, or a coroutine that it
    returns, ends nothing, and is logged."""

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Take note of *event*."""
