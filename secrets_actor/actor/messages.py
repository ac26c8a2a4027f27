"""The messages between the secrets actor, its workers, its timers and its clients.

None of them shows a secret when it is printed: values and credentials have types that do not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, TypeAlias

from msgspec import Struct

from secrets_actor.actor.credential_state import DatedCredentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext, CredentialSource
from secrets_actor.domain.tracing import Caller
from secrets_actor.otp import LifecycleEvent, Pid
from secrets_actor.structs import SelectiveStruct

# --- callers ------------------------------------------------------------------------------------------------------


class Waiter(Struct, eq=False):
    """A caller that waits for an answer: `reply_to` is the `From` to answer, `operation` the question; `arrived` and
    `deadline` are clock seconds."""

    reply_to: Any
    operation: Operation[Any]
    arrived: float
    deadline: float

    @property
    def caller(self) -> Caller:
        """The caller's part that travels with the call. It is made here if the caller sent none, as a plain pykka
        actor."""
        if self.reply_to.note is None:
            self.reply_to.note = Caller()
        return self.reply_to.note  # type: ignore[no-any-return]

    @property
    def gone(self) -> bool:
        """Whether the caller has an answer, or has given up."""
        return bool(self.reply_to.settled)


class UseBackend(Struct, frozen=True):
    """Call to the actor: use the store of *factory* from now on. The credentials of the store before it are given back
    when its last job is done, if their source has a `release`."""

    factory: BackendFactory


class Drain(Struct, frozen=True):
    """Call to the actor: take no new operations from now on. It is answered when all taken operations are done, and the
    credentials have been given back if their source has a `release`."""


class Ping(Struct, frozen=True):
    """Call to the actor: are you there? It is answered with None at once, and no store is asked."""


# --- workers ------------------------------------------------------------------------------------------------------


class StoreJob(Struct, eq=False):
    """Perform *operation* in *context*, for the flight with the id *flight*.

    *number* is that of this one sending, so that the answer to an earlier sending cannot be taken for the answer to
    this one. The whole job comes back with the answer, because the incarnation of the actor that reads it may be a
    later one, which has no table of this job.
    """

    number: int
    flight: int
    operation: Operation[Any]
    context: CallContext
    lanes: tuple[str, ...]


class CredentialsJob(Struct, frozen=True):
    """Fetch new credentials by *deadline* (clock seconds). *number* is that of this one sending. *lacks*: the actor has
    no good ones, so those that the source may still have are better than none."""

    number: int
    deadline: float
    lacks: bool = False


class ReleaseJob(SelectiveStruct, frozen=True):
    """Give back what *source* has fetched, by *deadline* (clock seconds). *number* is that of this one sending.

    The source may be that of a store that is not in force any more, whose workers have ended: so it comes along. It may
    be of a class that nobody here wrote, so it is not shown.
    """

    HIDDEN: ClassVar = frozenset({"source"})

    number: int
    deadline: float
    source: CredentialSource[Any]


Job: TypeAlias = StoreJob | CredentialsJob | ReleaseJob


class JobDone(Struct, eq=False):
    """A worker has done a job. The *answer* to a `ReleaseJob` is None."""

    worker: Pid
    job: Job
    answer: Answer[Any] | DatedCredentials | None


class JobFailed(Struct, frozen=True):
    """A worker has finished a job with a typed error."""

    worker: Pid
    job: Job
    error: SecretsError


class WorkerReady(Struct, frozen=True):
    """A worker announces itself: it is idle. It has just started, or a new actor has asked it to. *factory* is the
    number of the backend factory that it was made for."""

    worker: Pid
    factory: int


class Announce(Struct, frozen=True):
    """To a worker: send `WorkerReady` when the jobs before this message are done."""


class JobStarted(LifecycleEvent, frozen=True):
    """A worker has taken up a job. The event comes from the worker's own thread, before the job is done. *serial* is
    the worker's, *operation* the kind of the job."""

    serial: int
    operation: str


# --- timers -------------------------------------------------------------------------------------------------------


class Overdue(Struct, frozen=True):
    """Timer: the job that was sent with this number should be done by now."""

    number: int


class CallerTimedOut(Struct, frozen=True):
    """Timer: the time of a caller that is not one of our clients is over. The configured timeout, or pykka's, limits
    it."""

    waiter: Waiter


class CallerGaveUp(Struct, frozen=True):
    """From a client: a caller waits no longer, because it was cancelled or its time is over. Without this message the
    actor would not learn of it: if a program limits its waiting itself, as by `asyncio.wait_for`, the deadline of the
    call may be much later."""


CALLER_GAVE_UP: Final = CallerGaveUp()


class FreshTimeOver(Struct, frozen=True):
    """Timer: the flight with this id has had a moment (`flights.PATIENCE`) to bring a fresh value."""

    flight: int


class RenewCredentials(Struct, frozen=True):
    """Timer: the credentials may be due, although no call needs them. *number* counts these timers: an earlier one
    means nothing any more."""

    number: int


class WorkersOverdue(Struct, frozen=True):
    """Timer: jobs wait for workers that should have announced themselves by now."""


class StartWorkersAgain(Struct, frozen=True):
    """Timer: the pause after a failed start is over; there may be a thread for a worker now."""


class EndIdleWorkers(Struct, frozen=True):
    """Timer: look for workers that have been idle for long."""


class AdoptionOver(Struct, frozen=True):
    """Timer: *workers*, left by an earlier actor, should have announced themselves by now."""

    workers: tuple[Pid, ...]


class Sweep(Struct, frozen=True):
    """Timer: begin a sweep of the cache, or go on with the sweep that is *left* unfinished."""

    left: Iterator[None] | None = None


class CheckWallClock(Struct, frozen=True):
    """Timer: check whether the wall clock has leapt."""
