"""What is sent to a worker, and what comes back. All of it is masked: values and keys have types that do not print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from secrets_actor.actor.flights import Waiter
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext
from secrets_actor.otp import LifecycleEvent, Pid
from secrets_actor.records import dataclass, field


@dataclass(slots=True, eq=False)
class Job:
    """Perform *operation* in *context*. All of it comes back with the answer, for whoever is the actor then. Plain, as
    JobDone is: freezing doubles the cost."""

    flight: int
    operation: Operation[Any]
    context: CallContext
    lanes: tuple[str, ...]

    def __init__(self, flight: int, operation: Operation[Any], context: CallContext, lanes: tuple[str, ...]) -> None:
        self.flight, self.operation, self.context, self.lanes = flight, operation, context, lanes


@dataclass(frozen=True, slots=True)
class FetchCredentials:
    """Get new keys by *deadline* (clock seconds)."""

    flight: int
    deadline: float


@dataclass(slots=True, eq=False)
class JobDone:
    """A job went well."""

    worker: Pid
    job: Job | FetchCredentials
    answer: Answer[Any] | Credentials = field(repr=False)

    def __init__(self, worker: Pid, job: Job | FetchCredentials, answer: Answer[Any] | Credentials) -> None:
        self.worker, self.job, self.answer = worker, job, answer


@dataclass(frozen=True, slots=True)
class JobFailed:
    """A job met an error that has a name."""

    worker: Pid
    job: Job | FetchCredentials
    error: SecretsError


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """A worker has nothing to do: it has just started, or was asked by a new actor. *factory* is the number of the
    factory that it was made for."""

    worker: Pid
    factory: int


@dataclass(frozen=True, slots=True)
class UseStore:
    """To the actor, as a call: use the store of *factory* from now on."""

    factory: BackendFactory


@dataclass(frozen=True, slots=True)
class Drain:
    """To the actor, as a call: take no new operations from now on; answered when all that were taken are done."""


@dataclass(frozen=True, slots=True)
class Announce:
    """To a worker: say `WorkerReady` when your turn comes."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Timer: the job of this flight, sent as number *sending*, should have been done."""

    flight: int
    sending: int


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
    """Timer: this flight has had a moment to bring something fresh."""

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
class Sweep:
    """Timer: drop from the cache what may not be served any more, or go on with what is *left*."""

    left: Iterator[None] | None = None


@dataclass(frozen=True, slots=True)
class Glance:
    """Timer: look whether the wall clock has leapt."""


@dataclass(frozen=True, slots=True)
class Unadopted:
    """Timer: workers of an earlier actor should have announced themselves."""

    workers: tuple[Pid, ...]


class JobStarted(LifecycleEvent, frozen=True):
    """A worker has taken up a job; observed in the worker's own thread, before the job is done."""

    serial: int
    operation: str
