"""The actions that flights.py decides on: plain values, each with all that is needed to carry it out. PURE.

The secrets actor carries them out in the order in which they come, and does not decide anything a second time.
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
    """See whether all callers of *flight* can be answered from memory now. Report it with `Flights.recalled`."""

    flight: Flight


class Send(Struct, eq=False):
    """Have *worker* do *job*. Set a timer that sends `Overdue` with the job's number in *seconds*, unless `Disarm`
    comes before."""

    worker: Pid
    job: Job
    seconds: float


class Disarm(Struct, eq=False):
    """The job with this *number* is back, or its worker has ended: cancel its timer."""

    number: int


class Settle(Struct, eq=False):
    """Give *answer* to all callers of *flight*. *kept*: no write has come since the store was asked."""

    flight: Flight
    answer: Answer[Any]
    kept: bool


class Fail(Struct, eq=False):
    """Give each caller of *flight* a value that may be served stale, or else *error*. *kept* is as in `Settle`."""

    flight: Flight
    error: SecretsError
    kept: bool


class Refuse(Struct, eq=False):
    """Give *waiter*, a caller without a flight, a value that may be served stale, or else *error*."""

    waiter: Waiter
    error: SecretsError


class ServeStale(Struct, eq=False):
    """Give a stale value now to those of *waiters* that take one. A fresh value may take long; *error* says why."""

    waiters: tuple[Waiter, ...]
    error: SecretsError


class NoteGone(Struct, eq=False):
    """The time of *waiters* is over, whether or not they have said so. Write the audit record of each."""

    waiters: tuple[Waiter, ...]


class Drop(Struct, eq=False):
    """A write to *lanes* has come back: remove their secrets from memory."""

    lanes: tuple[str, ...]


class AskAnew(Struct, eq=False):
    """A write that an earlier actor sent to *lanes* has ended: ask the store anew for their subscribers."""

    lanes: tuple[str, ...]


class StartWorkers(Struct, eq=False):
    """Have the supervisor start *count* workers. Report each start with `Flights.worker_started`, or the method for its
    failure."""

    count: int


class Adopt(Struct, eq=False):
    """Watch *worker*, which an earlier actor left, and ask it to announce itself."""

    worker: Pid


class Monitor(Struct, eq=False):
    """Monitor *worker*, so that the actor hears of its end."""

    worker: Pid


class Dismiss(Struct, eq=False):
    """Have the supervisor end *worker*, which is idle. So the supervisor knows of the end before it gets the next
    request to start one, and has room for it."""

    worker: Pid


class CutOff(Struct, eq=False):
    """End *worker*, which hangs, at once, with a reason for which its supervisor does not start it again."""

    worker: Pid


class Kill(Struct, eq=False):
    """Kill *worker*, which has not announced itself: its supervisor starts another one."""

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
