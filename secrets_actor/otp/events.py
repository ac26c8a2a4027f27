"""Life-cycle events: frozen facts for an observer. The kernel knows no logger; no message's contents are in here."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct


class LifecycleEvent(Struct, frozen=True):
    """Base of the events; `process` is the label of the process it is about."""

    process: str


class ProcessStarted(LifecycleEvent, frozen=True):
    """A process has finished its init."""

    serial: int


class ProcessEnded(LifecycleEvent, frozen=True):
    """A process has ended for an expected reason, or was killed."""

    serial: int
    reason: str


class ProcessCrashed(LifecycleEvent, frozen=True):
    """The crash report: what it died of, the type of the message it was handling, the label of its supervisor (None: it
    has no parent), and how often that one had restarted it before. *traceback* is there, and the exception's text in
    *reason*, if the process explains itself (see `Node`); the message itself never is.
    """

    serial: int
    reason: str
    last_message: str
    supervisor: str | None = None
    restarts: int = 0
    traceback: str = ""


class AnswerForgotten(LifecycleEvent, frozen=True):
    """A call ran into its time, and the process had let go of its handle without an answer: it returned `NoReply` and
    kept no `From`. *request* is the type of what was asked."""

    serial: int
    request: str


class ProcessDisowned(LifecycleEvent, frozen=True):
    """A process was cut off from outside; its thread ends when what it is doing ends."""

    serial: int
    reason: str


class TooManyDisowned(LifecycleEvent, frozen=True):
    """More threads than allowed outlive their processes: the supervisor of *process*, the latest, is told to end."""

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
    """More restarts than the intensity allows: the supervisor ends."""

    child: str
    reason: str
    intensity: int
    period: float


class SupervisorShutDown(LifecycleEvent, frozen=True):
    """A significant child ended, and by its auto_shutdown the supervisor ends with it: no failure."""

    child: str
    reason: str


class Observer(Protocol):
    """Called from any process's thread; must not block, unless it is a `System`'s. What it raises is dropped."""

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Take note of *event*."""
