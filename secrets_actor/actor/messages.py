"""The messages inside the core: what the secrets actor, its workers and its timers say to each other.

All of it is masked: values and credentials have types that do not print.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext
from secrets_actor.domain.tracing import Caller
from secrets_actor.otp import LifecycleEvent, Pid
from secrets_actor.records import dataclass, field

# --- callers ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Waiter:
    """A caller who waits: `reply_to` is the `From` to answer, `operation` what was asked; `arrived` and
    `deadline` are in clock seconds."""

    reply_to: Any
    operation: Operation[Any]
    arrived: float
    deadline: float

    def __init__(self, reply_to: Any, operation: Operation[Any], arrived: float, deadline: float) -> None:
        self.reply_to, self.operation, self.arrived, self.deadline = reply_to, operation, arrived, deadline

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


@dataclass(frozen=True, slots=True)
class UseStore:
    """To the actor, as a call: use the store of *factory* from now on."""

    factory: BackendFactory


@dataclass(frozen=True, slots=True)
class Drain:
    """To the actor, as a call: take no new operations from now on; answered when all that were taken are done."""


# --- workers ------------------------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class StoreJob:
    """Perform *operation* in *context*, for the flight with the id *flight*. *number* is that of this one sending: an
    answer to an earlier one must not pass for the answer to this. All of it comes back with the answer, for whichever
    incarnation of the actor reads it then. Plain, as JobDone is: freezing doubles the cost."""

    number: int
    flight: int
    operation: Operation[Any]
    context: CallContext
    lanes: tuple[str, ...]

    def __init__(
        self, number: int, flight: int, operation: Operation[Any], context: CallContext, lanes: tuple[str, ...]
    ) -> None:
        self.number, self.flight, self.operation, self.context, self.lanes = number, flight, operation, context, lanes


@dataclass(frozen=True, slots=True)
class CredentialsJob:
    """Fetch new credentials by *deadline* (clock seconds). *number* is that of this one sending."""

    number: int
    deadline: float


Job: TypeAlias = StoreJob | CredentialsJob


@dataclass(slots=True, eq=False)
class JobDone:
    """A job went well."""

    worker: Pid
    job: Job
    answer: Answer[Any] | Credentials = field(repr=False)

    def __init__(self, worker: Pid, job: Job, answer: Answer[Any] | Credentials) -> None:
        self.worker, self.job, self.answer = worker, job, answer


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job met an error that has a name."""

    worker: Pid
    job: Job
    error: SecretsError


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker has nothing to do: it has just started, or was asked by a new actor. *factory* is the number of the
    factory that it was made for."""

    worker: Pid
    factory: int


@dataclass(frozen=True, slots=True)
class Announce:
    """To a worker: say `WorkerReady` when your turn comes."""


class JobStarted(LifecycleEvent, frozen=True):
    """A worker has taken up a job; observed in the worker's own thread, before the job is done."""

    serial: int
    operation: str


# --- timers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overdue:
    """Timer: the job that was sent with this number should have been done."""

    number: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Timer: a caller that is no client of ours has waited for as long as the configuration, or pykka, lets it."""

    waiter: Waiter


@dataclass(frozen=True, slots=True)
class GaveUp:
    """From a client: a caller waits no longer, because it was cancelled or its time was up. Nobody else tells: a
    program that bounds its waiting itself, as by `asyncio.wait_for`, gives a deadline that is much later."""


GAVE_UP: Final = GaveUp()


@dataclass(frozen=True, slots=True)
class Hurry:
    """Timer: the flight with this id has had a moment to bring something fresh."""

    flight: int


@dataclass(frozen=True, slots=True)
class Nudge:
    """Timer: jobs wait for workers that should have come by now."""


@dataclass(frozen=True, slots=True)
class HireAgain:
    """Timer: there may be a thread for a worker now."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Timer: look for workers that have had nothing to do."""


@dataclass(frozen=True, slots=True)
class Unadopted:
    """Timer: workers of an earlier actor should have announced themselves."""

    workers: tuple[Pid, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """Timer: drop from the cache what may not be served any more, or go on with what is *left*."""

    left: Iterator[None] | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """Timer: look whether the wall clock has leapt."""
