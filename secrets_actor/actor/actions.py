"""What flights.py has the secrets actor do: plain values, each with all that it takes to carry it out. PURE.

The actor carries them out in the order in which they come, and decides nothing over again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from secrets_actor.actor.messages import Job, Waiter
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.ports import Answer
from secrets_actor.otp import LifecycleEvent, Pid
from secrets_actor.records import dataclass, field

if TYPE_CHECKING:
    from secrets_actor.actor.flights import Flight


@dataclass(slots=True, eq=False)
class Recall:
    """See whether all who wait for *flight* can be answered from memory now; report it with `Flights.recalled`."""

    flight: Flight


@dataclass(slots=True, eq=False)
class Send:
    """Have *worker* do *job*, and say `CallbackOverdue` with its number in *seconds*, unless `Disarm` comes before."""

    worker: Pid
    job: Job
    seconds: float

    def __init__(self, worker: Pid, job: Job, seconds: float) -> None:
        self.worker, self.job, self.seconds = worker, job, seconds


@dataclass(slots=True, eq=False)
class Disarm:
    """The job with this *number* is back, or its worker has ended: cancel its timer."""

    number: int

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(slots=True, eq=False)
class Settle:
    """Give *answer* to all who wait for *flight*. *kept*: no write has come since the store was asked."""

    flight: Flight
    answer: Answer[Any] = field(repr=False)
    kept: bool

    def __init__(self, flight: Flight, answer: Answer[Any], kept: bool) -> None:
        self.flight, self.answer, self.kept = flight, answer, kept


@dataclass(slots=True, eq=False)
class Fail:
    """All who wait for *flight* get what may be served stale, or *error*; *kept* as in `Settle`."""

    flight: Flight
    error: SecretsError
    kept: bool


@dataclass(slots=True, eq=False)
class Refuse:
    """One caller who waits for no flight gets what may be served stale, or *error*."""

    waiter: Waiter
    error: SecretsError


@dataclass(slots=True, eq=False)
class ServeStale:
    """Those of *waiters* who take a stale value get it now: something fresh may take long, as *error* says."""

    waiters: tuple[Waiter, ...]
    error: SecretsError


@dataclass(slots=True, eq=False)
class NoteGone:
    """The time of *waiters* is over, whether or not they have said so. Each leaves its audit record."""

    waiters: tuple[Waiter, ...]


@dataclass(slots=True, eq=False)
class Drop:
    """A write to *lanes* has come back: what is in memory of them is no more to be served."""

    lanes: tuple[str, ...]


@dataclass(slots=True, eq=False)
class AskAnew:
    """A write that an earlier actor sent to *lanes* has ended: who has subscribed to them is to hear of it."""

    lanes: tuple[str, ...]


@dataclass(slots=True, eq=False)
class StartWorkers:
    """Have the supervisor start so many; report each with `Flights.worker_started`."""

    count: int


@dataclass(slots=True, eq=False)
class Adopt:
    """Watch *worker*, which an earlier actor left, and ask it to announce itself."""

    worker: Pid


@dataclass(slots=True, eq=False)
class Monitor:
    """Hear of the end of *worker*."""

    worker: Pid


@dataclass(slots=True, eq=False)
class Dismiss:
    """End *worker*, which is idle, by its supervisor: that hears of it before the next start, and has room then."""

    worker: Pid


@dataclass(slots=True, eq=False)
class CutOff:
    """End *worker*, which hangs, now: its supervisor does not start it again."""

    worker: Pid


@dataclass(slots=True, eq=False)
class Kill:
    """Kill *worker*, which has not announced itself: its supervisor starts another."""

    worker: Pid


@dataclass(slots=True, eq=False)
class SetTimer:
    """Send *message* back in *seconds*."""

    seconds: float
    message: object


@dataclass(slots=True, eq=False)
class Observe:
    """Tell the observer of *event*."""

    event: LifecycleEvent


@dataclass(slots=True, eq=False)
class Count:
    """Add one to the counter *metric* (see `domain/metrics.py`)."""

    metric: Any
    labels: tuple[str, ...] = ()


Action: TypeAlias = (
    Recall
    | Send
    | Disarm
    | Settle
    | Fail
    | Refuse
    | ServeStale
    | NoteGone
    | Drop
    | AskAnew
    | StartWorkers
    | Adopt
    | Monitor
    | Dismiss
    | CutOff
    | Kill
    | SetTimer
    | Observe
    | Count
)
