"""What flights.py has the secrets actor do: plain values, each with all that it takes to carry it out. PURE.

The actor carries them out in the order in which they come, and decides nothing over again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec import Struct

from secrets_actor.actor.messages import Job, Waiter
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.ports import Answer
from secrets_actor.otp import LifecycleEvent, Pid

if TYPE_CHECKING:
    from secrets_actor.actor.flights import Flight


class Recall(Struct, eq=False):
    """See whether all who wait for *flight* can be answered from memory now; report it with `Flights.recalled`."""

    flight: Flight


class Send(Struct, eq=False):
    """Have *worker* do *job*, and say `CallbackOverdue` with its number in *seconds*, unless `Disarm` comes before."""

    worker: Pid
    job: Job
    seconds: float


class Disarm(Struct, eq=False):
    """The job with this *number* is back, or its worker has ended: cancel its timer."""

    number: int


class Settle(Struct, eq=False):
    """Give *answer* to all who wait for *flight*. *kept*: no write has come since the store was asked."""

    flight: Flight
    answer: Answer[Any]
    kept: bool


class Fail(Struct, eq=False):
    """All who wait for *flight* get what may be served stale, or *error*; *kept* as in `Settle`."""

    flight: Flight
    error: SecretsError
    kept: bool


class Refuse(Struct, eq=False):
    """One caller who waits for no flight gets what may be served stale, or *error*."""

    waiter: Waiter
    error: SecretsError


class ServeStale(Struct, eq=False):
    """Those of *waiters* who take a stale value get it now: something fresh may take long, as *error* says."""

    waiters: tuple[Waiter, ...]
    error: SecretsError


class NoteGone(Struct, eq=False):
    """The time of *waiters* is over, whether or not they have said so. Each leaves its audit record."""

    waiters: tuple[Waiter, ...]


class Drop(Struct, eq=False):
    """A write to *lanes* has come back: what is in memory of them is no more to be served."""

    lanes: tuple[str, ...]


class AskAnew(Struct, eq=False):
    """A write that an earlier actor sent to *lanes* has ended: who has subscribed to them is to hear of it."""

    lanes: tuple[str, ...]


class StartWorkers(Struct, eq=False):
    """Have the supervisor start so many; report each with `Flights.worker_started`."""

    count: int


class Adopt(Struct, eq=False):
    """Watch *worker*, which an earlier actor left, and ask it to announce itself."""

    worker: Pid


class Monitor(Struct, eq=False):
    """Hear of the end of *worker*."""

    worker: Pid


class Dismiss(Struct, eq=False):
    """End *worker*, which is idle, by its supervisor: that hears of it before the next start, and has room then."""

    worker: Pid


class CutOff(Struct, eq=False):
    """End *worker*, which hangs, now: its supervisor does not start it again."""

    worker: Pid


class Kill(Struct, eq=False):
    """Kill *worker*, which has not announced itself: its supervisor starts another."""

    worker: Pid


class SetTimer(Struct, eq=False):
    """Send *message* back in *seconds*."""

    seconds: float
    message: object


class Observe(Struct, eq=False):
    """Tell the observer of *event*."""

    event: LifecycleEvent


class Count(Struct, eq=False):
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
