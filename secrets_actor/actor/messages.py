"""The messages inside the core: what the secrets actor, its workers and its timers say to each other.

All of it is masked: values and credentials have types that do not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from msgspec import Struct

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext
from secrets_actor.domain.tracing import Caller
from secrets_actor.otp import LifecycleEvent, Pid

# --- callers ------------------------------------------------------------------------------------------------------


class Waiter(Struct, eq=False):
    """A caller who waits: `reply_to` is the `From` to answer, `operation` what was asked; `arrived` and
    `deadline` are in clock seconds."""

    reply_to: Any
    operation: Operation[Any]
    arrived: float
    deadline: float

    @property
    def caller(self) -> Caller:
        """What travels with the call; made here for a caller who sent nothing along, such as a plain pykka actor."""
        if self.reply_to.note is None:
            self.reply_to.note = Caller()
        return self.reply_to.note  # type: ignore[no-any-return]

    @property
    def gone(self) -> bool:
        """Whether the caller has an answer, or has given up."""
        return bool(self.reply_to.settled)


class UseBackend(Struct, frozen=True):
    """To the actor, as a call: use the store of *factory* from now on."""

    factory: BackendFactory


class Drain(Struct, frozen=True):
    """To the actor, as a call: take no new operations from now on; answered when all that were taken are done."""


# --- workers ------------------------------------------------------------------------------------------------------


class StoreJob(Struct, eq=False):
    """Perform *operation* in *context*, for the flight with the id *flight*. *number* is that of this one sending: an
    answer to an earlier one must not pass for the answer to this. All of it comes back with the answer, for whichever
    incarnation of the actor reads it then."""

    number: int
    flight: int
    operation: Operation[Any]
    context: CallContext
    lanes: tuple[str, ...]


class CredentialsJob(Struct, frozen=True):
    """Fetch new credentials by *deadline* (clock seconds). *number* is that of this one sending."""

    number: int
    deadline: float


Job: TypeAlias = StoreJob | CredentialsJob


class JobDone(Struct, eq=False):
    """A job went well."""

    worker: Pid
    job: Job
    answer: Answer[Any] | Credentials


class JobFailed(Struct, frozen=True):
    """A job met an error that has a name."""

    worker: Pid
    job: Job
    error: SecretsError


class WorkerReady(Struct, frozen=True):
    """A worker has nothing to do: it has just started, or was asked by a new actor. *factory* is the number of the
    factory that it was made for."""

    worker: Pid
    factory: int


class Announce(Struct, frozen=True):
    """To a worker: say `WorkerReady` when your turn comes."""


class JobStarted(LifecycleEvent, frozen=True):
    """A worker has taken up a job; observed in the worker's own thread, before the job is done."""

    serial: int
    operation: str


# --- timers -------------------------------------------------------------------------------------------------------


class Overdue(Struct, frozen=True):
    """Timer: the job that was sent with this number should have been done."""

    number: int


class CallerTimedOut(Struct, frozen=True):
    """Timer: a caller that is no client of ours has waited for as long as the configuration, or pykka, lets it."""

    waiter: Waiter


class CallerGaveUp(Struct, frozen=True):
    """From a client: a caller waits no longer, because it was cancelled or its time was up. Nobody else tells: a
    program that bounds its waiting itself, as by `asyncio.wait_for`, gives a deadline that is much later."""


CALLER_GAVE_UP: Final = CallerGaveUp()


class FreshTimeOver(Struct, frozen=True):
    """Timer: the flight with this id has had a moment to bring something fresh."""

    flight: int


class WorkersOverdue(Struct, frozen=True):
    """Timer: jobs wait for workers that should have come by now."""


class StartWorkersAgain(Struct, frozen=True):
    """Timer: there may be a thread for a worker now."""


class EndIdleWorkers(Struct, frozen=True):
    """Timer: look for workers that have had nothing to do."""


class AdoptionOver(Struct, frozen=True):
    """Timer: workers of an earlier actor should have announced themselves."""

    workers: tuple[Pid, ...]


class Sweep(Struct, frozen=True):
    """Timer: drop from the cache what may not be served any more, or go on with what is *left*."""

    left: Iterator[None] | None = None


class CheckWallClock(Struct, frozen=True):
    """Timer: look whether the wall clock has leapt."""
