"""Decides what happens to each flight, from a caller's question to the store's answer. PURE.

A *flight* is one question to the store, together with all callers that wait for its answer. This module is told what
happens (a caller asks, a worker answers, a timer fires) and at what time. It returns a list of actions (actions.py),
and the secrets actor carries them out in that order. Nothing else changes a flight.

Rule 1: TABLE gives, for each state of a flight and each event, the next state and the deeds to do. A pair that is not
        in the table is a mistake in this program: `UnexpectedEvent` is raised, and the flight stays as it was.
Rule 2: reads of the same version in the same epoch of a lane share a flight, queued or under way. A write behind the
        flight opens a new epoch, so a read behind that write gets a flight of its own. A read that insists on a fresh
        answer does not join a flight that is with a worker already. No read joins a flight that was sent to a store
        which has been silent since. In both cases the read's new flight supersedes the other one, because the other
        one's answer may arrive later and yet be older.
Rule 3: a flight is not sent if nobody waits for it any more, nor without credentials if the store takes some. When the
        store refuses credentials, they are dropped and fetched anew, once for each flight; the flight is sent again if
        the new ones are different.
Rule 4: every job that is sent has a timer. If a job is not done by its deadline, its worker is cut off. If a worker
        ends while it has a job, the job goes to another worker, until MAX_CRASHES workers have ended over it. That is
        safe for a set, too: it keeps its token, so it cannot write twice.
Rule 5: a job is known by the number of its sending. A worker that no longer has the job (it was cut off, or belongs to
        an earlier actor) may still report; its answer is used only while the flight waits for another worker.
Rule 6: while the breakers of all endpoints of the store are open, nothing is sent, and waiting flights are refused at
        once. A write that was sent before is refused with the error of that sending, because it may have taken effect.
Rule 7: three kinds of flight go on in the background: the probe, a flight under way when the breaker opens, and a
        flight that waits for credentials after the last fetch of them failed. Their answer may take long. A caller
        that waits for one and takes a stale value gets the stale value after at most PATIENCE.
Rule 8: once the actor drains, and no flight and no fetch is left, the credentials are given back, if their source can
        do that. Until then the actor has not drained. When another store comes into force, the credentials of the store
        before it are given back once no job is under way that may use them, or fetch more of them.
Rule 9: when a write comes back, its lanes are dropped from the cache, whichever incarnation of the actor sent it. If it
        was an earlier incarnation, the reads under way in those lanes are out of date, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple, cast

from msgspec import Struct

from secrets_actor.actor.actions import (
    Action,
    AskAnew,
    Count,
    CutOff,
    Disarm,
    Drop,
    Fail,
    NoteGone,
    Observe,
    Recall,
    Refuse,
    Send,
    ServeStale,
    SetTimer,
    Settle,
    StartWorkers,
)
from secrets_actor.actor.breaker import BreakerRules, Circuit
from secrets_actor.actor.credential_refresh import EXPIRED, CredentialRefresh, Fetch, Moment, Release, hangs
from secrets_actor.actor.credential_state import DatedCredentials, same
from secrets_actor.actor.endpoint_breakers import BreakerClosed, BreakerOpened, EndpointBreakers, Sent, Turn, is_answer
from secrets_actor.actor.error_translation import out_of_time, workers_crashed
from secrets_actor.actor.lanes import Lanes
from secrets_actor.actor.messages import (
    CredentialsJob,
    FreshTimeOver,
    Job,
    JobDone,
    JobFailed,
    ReleaseJob,
    RenewCredentials,
    StoreJob,
    Waiter,
)
from secrets_actor.actor.worker_supply import WorkerSupply, no_thread
from secrets_actor.domain import metrics
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsExpired, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Get, Operation, token_of, version_key
from secrets_actor.domain.ports import RELEASE, Answer, BackendFactory, CallContext, CredentialSource
from secrets_actor.domain.tracing import Sending
from secrets_actor.otp import ExitReason, LifecycleEvent, Pid

# A job over which this many workers have ended is taken to be the cause, and is not given to another worker.
MAX_CRASHES: Final = 3
# The worker is told to end a job early, by this share of its time but at most this many seconds. So the worker's own
# error, which says more than a timer can, arrives before the caller's deadline.
HEADROOM_SHARE: Final = 0.1
HEADROOM: Final = 0.05
# A probe has at least this many seconds, even if its caller has less, so that a slow store can be found to be well. A
# write gets no extra time, because it must not take effect when nobody waits for it any more.
PROBE_TIME: Final = 5.0
# A worker may be late by this many seconds, as on a busy machine, before it is cut off. Callers do not wait that long.
GRACE: Final = 0.2
# When the last try failed, a caller that takes a stale value waits this many seconds for a fresh one. A store that is
# well again has answered by then.
PATIENCE: Final = 0.25
# Seconds that the giving back of credentials may take (rule 8). A store that does not answer must not hold up the end
# of a program: what was not given back ends by itself.
RELEASE_TIME: Final = 3.0
# All incarnations of the actor share this counter, so that an answer to an earlier one's question cannot be taken for
# an answer to one of ours.
_numbers = itertools.count(1)


# --- the table ----------------------------------------------------------------------------------------------------


class State(StrEnum):
    """The states of a flight."""

    QUEUED = "queued"  # its turn in its lanes has not come
    READY = "ready"  # its turn has come; this module is deciding the next step
    WAITING_FOR_CREDENTIALS = "waiting_for_credentials"
    WAITING_FOR_WORKER = "waiting_for_worker"
    SENT = "sent"  # a worker has it
    LANDED = "landed"  # all its callers have been answered, or have given up


class Event(StrEnum):
    """The events that a flight can meet."""

    GRANTED = "granted"  # its turn in its lanes came at once
    GRANTED_LATER = "granted_later"  # its turn came after a wait, in which a write may have filled the cache
    RECALLED = "recalled"  # all its callers have been answered from memory
    NOT_RECALLED = "not_recalled"  # memory does not have the answer for all of them
    ABANDONED = "abandoned"  # nobody waits any more
    REFUSED = "refused"  # the breaker is open, there are no credentials, or there is no worker
    LACKS_CREDENTIALS = "lacks_credentials"
    CREDENTIALS_CAME = "credentials_came"  # new ones, or the fetch failed and the old ones are used on
    ADMITTED = "admitted"  # it may be sent as soon as there is a worker for it
    ASSIGNED = "assigned"  # it has been given to a worker
    RETURNED = "returned"  # it came back without an answer, and is to be sent once more
    ANSWERED = "answered"
    FAILED = "failed"  # it ended with an error for all its callers
    HURRIED = "hurried"  # it may take long, so callers that take a stale value get one now


class Deed(StrEnum):
    """The steps that an event causes. Each is carried out by the method of `Flights` with its name."""

    RECALL = "recall"
    ADMIT = "admit"
    AWAIT_CREDENTIALS = "await credentials"
    AWAIT_WORKER = "await worker"
    SEND = "send"
    WITHDRAW = "withdraw"
    REMOVE_GONE = "remove gone"
    FREE_PROBE = "free probe"
    SERVE_STALE = "serve stale"
    SETTLE = "settle"
    FAIL = "fail"
    NOTE_GONE = "note gone"
    LAND = "land"


class Row(NamedTuple):
    """One entry of TABLE: the next state, and the deeds that are done, in that order, once it is reached."""

    state: State
    deeds: tuple[Deed, ...] = ()


_ABANDONED: Final = Row(State.LANDED, (Deed.FREE_PROBE, Deed.NOTE_GONE, Deed.LAND))
_REFUSED: Final = Row(State.LANDED, (Deed.FREE_PROBE, Deed.FAIL, Deed.LAND))
_LACKS_CREDENTIALS: Final = Row(State.WAITING_FOR_CREDENTIALS, (Deed.AWAIT_CREDENTIALS,))
TABLE: Final[Mapping[State, Mapping[Event, Row]]] = {
    State.QUEUED: {
        Event.GRANTED: Row(State.READY, (Deed.ADMIT,)),
        Event.GRANTED_LATER: Row(State.READY, (Deed.RECALL,)),
    },
    State.READY: {
        Event.RECALLED: Row(State.LANDED, (Deed.LAND,)),
        Event.NOT_RECALLED: Row(State.READY, (Deed.ADMIT,)),
        Event.ABANDONED: _ABANDONED,
        Event.REFUSED: _REFUSED,
        Event.LACKS_CREDENTIALS: _LACKS_CREDENTIALS,
        Event.ADMITTED: Row(State.WAITING_FOR_WORKER, (Deed.AWAIT_WORKER,)),
    },
    State.WAITING_FOR_CREDENTIALS: {
        Event.CREDENTIALS_CAME: Row(State.READY, (Deed.ADMIT,)),
        Event.REFUSED: _REFUSED,
        Event.HURRIED: Row(State.WAITING_FOR_CREDENTIALS, (Deed.SERVE_STALE,)),
    },
    State.WAITING_FOR_WORKER: {
        Event.ASSIGNED: Row(State.SENT, (Deed.SEND,)),
        # The worker before ended or was cut off, and its answer arrived all the same (rule 5).
        Event.ANSWERED: Row(State.LANDED, (Deed.WITHDRAW, Deed.SETTLE, Deed.LAND)),
        Event.ABANDONED: _ABANDONED,
        Event.REFUSED: Row(State.LANDED, (Deed.WITHDRAW, *_REFUSED.deeds)),
        Event.LACKS_CREDENTIALS: _LACKS_CREDENTIALS,  # the store refused them, or they expired, while it waited
        Event.HURRIED: Row(State.WAITING_FOR_WORKER, (Deed.SERVE_STALE,)),
    },
    State.SENT: {
        Event.ANSWERED: Row(State.LANDED, (Deed.SETTLE, Deed.LAND)),
        Event.FAILED: Row(State.LANDED, (Deed.FAIL, Deed.LAND)),
        Event.RETURNED: Row(State.READY, (Deed.REMOVE_GONE, Deed.ADMIT)),
        Event.HURRIED: Row(State.SENT, (Deed.SERVE_STALE,)),
    },
    State.LANDED: {},
}


class Former(Struct, frozen=True, eq=False):
    """A source of credentials that is not in force any more, and the numbers of the sendings that were under way when
    another one came into force. Those that are not back yet may use its credentials (rule 8)."""

    source: CredentialSource[Any]
    numbers: frozenset[int]


class UnexpectedEvent(Exception):  # its name has no "Error", as with the other errors of this project
    """TABLE has no *event* for a flight in *state*: a mistake in this program. Nothing has changed."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a flight that is {state} cannot be {event}")
        self.state, self.event = state, event


# --- one flight ---------------------------------------------------------------------------------------------------


class Flight(Struct, eq=False):
    """One question to the store, and the waiters for its answer. Only `Flights` changes it.

    An operation whose order does not matter is in no `lanes`. Times are clock seconds.
    """

    id: int
    operation: Operation[Any]
    lanes: tuple[str, ...] = ()
    epoch: int = 0  # of its lanes, before it entered them; without lanes, the count of all changes (`Lanes.changes`)
    key: Hashable = None  # reads with an equal key may join it; None: nothing may
    waiters: list[Waiter] = []
    state: State = State.QUEUED
    number: int = 0  # of its last sending
    sent_at: float = 0.0  # the time of its last sending
    breakers: EndpointBreakers | None = None  # the breakers of the store that it was last sent to
    only: str | None = None  # the endpoint that its last sending could go to, if there was just one
    latest: float = 0.0  # the latest deadline of its waiters at its last sending; for a probe that reads, maybe later
    crashes: int = 0  # how many workers have ended while they had it
    repeated: bool = False  # it was sent before, and came back without an answer: it may have taken effect
    doubt: SecretsError | None = None  # the error of an earlier sending, which may have taken effect all the same
    refused: tuple[Credentials | None, SecretsError] | None = None  # credentials that the store refused, and its error
    superseded: bool = False  # a later flight has its key, so its own answer is not kept (rule 2)
    serves_stale: bool = False  # it may take long: its waiters that take a stale value have been given one
    sendings: list[Sending] = []

    @property
    def deadline(self) -> float | None:
        """The latest deadline of the callers that still wait; None if nobody does."""
        latest = None
        for waiter in self.waiters:
            if not waiter.gone and (latest is None or waiter.deadline > latest):
                latest = waiter.deadline
        return latest


def _sent(flight: Flight) -> Sent:
    """The last sending of *flight*."""
    return Sent(flight.id, flight.sent_at, flight.latest, flight.only, flight.sendings[-1][1])


# --- all of them --------------------------------------------------------------------------------------------------


class RenewalFailed(LifecycleEvent, frozen=True):
    """A fetch of new credentials failed with *problem*. The old ones have not expired yet, and are used on."""

    problem: str


class ReleaseFailed(LifecycleEvent, frozen=True):
    """The credentials could not be given back, because of *problem*. They are good until their end."""

    problem: str


class Flights:
    """All flights that have not landed, and everything that they wait for: lanes, credentials, workers, the breakers.

    *factory* makes connections to the store in force; *number* counts the stores that have been in force so far.
    *call_timeout* is in seconds. *chance* returns random numbers from 0 to 1. *hangs* tells whether the thread of a
    worker that was cut off is still held up. *label* is the actor's label, for events.

    Every method that takes the time returns the actions to carry out, in that order.
    """

    def __init__(
        self,
        factory: BackendFactory,
        number: int,
        supply: WorkerSupply[Flight | Fetch | Release],
        *,
        call_timeout: float,
        rules: BreakerRules,
        chance: Callable[[], float],
        hangs: Callable[[Pid], bool],
        now: Moment,
        label: str = "",
    ) -> None:
        self._factory, self._number, self._supply = factory, number, supply
        self._call_timeout, self._rules, self._chance, self._hangs = call_timeout, rules, chance, hangs
        self._label = label
        self._breakers = EndpointBreakers(rules, chance, factory.endpoints)
        self._refresh = CredentialRefresh(now)
        self._lanes = Lanes()
        self._waiting = 0
        self._flights: dict[int, Flight] = {}
        self._open: dict[Hashable, Flight] = {}  # the flights that reads may join, by key
        self._sent: dict[
            int, tuple[Flight | Fetch | Release, Pid]
        ] = {}  # each job and its worker, by the number of the sending
        self._without_credentials: list[Flight] = []
        self._renewals = 0  # how many timers for a renewal were set; only the last one counts
        self._drains_until: float | None = None  # None: the actor does not drain
        # Rule 8: the sources to be given back to later, what is being given back, and whether the source in force has
        # had its turn.
        self._former: list[Former] = []
        self._releases: set[Release] = set()
        self._given_back = False
        self._actions: list[Action] = []
        self._deeds: dict[Deed, Callable[[Flight, Any, Moment], None]] = {
            Deed.RECALL: self._recall,
            Deed.ADMIT: self._admit,
            Deed.AWAIT_CREDENTIALS: self._await_credentials,
            Deed.AWAIT_WORKER: self._await_worker,
            Deed.SEND: self._send,
            Deed.WITHDRAW: self._withdraw,
            Deed.REMOVE_GONE: self._remove_gone,
            Deed.FREE_PROBE: self._free_probe,
            Deed.SERVE_STALE: self._serve_stale,
            Deed.SETTLE: self._settle,
            Deed.FAIL: self._fail,
            Deed.NOTE_GONE: self._note_gone,
            Deed.LAND: self._land,
        }

    # --- for display ----------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return self._waiting

    @property
    def circuit(self) -> Circuit:
        """The state of the breaker; if there are several, the best of their states. For any thread."""
        return self._breakers.state

    @property
    def supply(self) -> WorkerSupply[Flight | Fetch | Release]:
        """The workers. Any thread may look at them."""
        return self._supply

    @property
    def credential_dates(self) -> tuple[datetime | None, datetime | None]:
        """When the credentials end, and from when on they are renewed. For any thread."""
        return self._refresh.dates

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[Flight]:
        return iter(tuple(self._flights.values()))

    def on(self, flight: Flight, event: Event, detail: Any, now: Moment) -> list[Action]:
        """Tell *flight* of *event*. *detail* says more about the event, in the form that its deeds take.

        Something from outside is told through the methods below: each knows which event it means. Raises
        `UnexpectedEvent`, and changes nothing, if TABLE has no such pair."""
        self._on(flight, event, detail, now)
        return self._done(now)

    # --- the end ---------------------------------------------------------------------------------------------------

    def drain(self, until: float, now: Moment) -> list[Action]:
        """No caller asks any more. Give back the credentials when all is done, by *until* (clock seconds; rule 8)."""
        self._drains_until = until
        return self._done(now)

    @property
    def drained(self) -> bool:
        """Whether no flight is left, and the credentials were given back if they can be."""
        return not (self._flights or self._former or self._releases or self._has_to_release)

    @property
    def _has_to_release(self) -> bool:
        return not self._given_back and hasattr(self._factory.credentials, RELEASE)

    def _release_if_drained(self, until: float, now: Moment) -> None:
        source = self._factory.credentials
        if source is not None and self._has_to_release and not self._flights and not self._refresh.is_fetching:
            self._given_back = True
            self._release(source, min(until, now.clock + RELEASE_TIME))

    def _release_former(self) -> None:
        for former in tuple(self._former):
            if former.numbers.isdisjoint(self._sent):
                self._former.remove(former)
                self._release(former.source, math.inf)

    def _release(self, source: CredentialSource[Any], until: float) -> None:
        release = Release(source, until)
        self._releases.add(release)
        self._supply.submit(release, first=True)

    def _release_ended(self, release: Release, error: SecretsError | None) -> None:
        self._releases.discard(release)
        if error is not None:
            self._actions.append(Observe(ReleaseFailed(self._label, str(error))))

    # --- callers --------------------------------------------------------------------------------------------------

    def asked(self, waiter: Waiter, now: Moment) -> list[Action]:
        """A caller asks for something that is not in memory."""
        operation = waiter.operation
        secret_id = getattr(operation, "secret_id", None)
        if secret_id is None:
            flight = self._new(waiter, (), self._lanes.changes, None)
            self._on(flight, Event.GRANTED, None, now)
        else:
            self._queue(waiter, SecretId(secret_id), now)
        return self._done(now)

    def _queue(self, waiter: Waiter, secret_id: SecretId, now: Moment) -> None:
        operation, lanes = waiter.operation, secret_id.lanes
        epoch, key = self._lanes.epoch(lanes), None
        if isinstance(operation, Get):
            key = (str(secret_id), version_key(operation), epoch)
            flight = self._open.get(key)
            if flight is not None and self._joined(flight, waiter, operation, now):
                return
        flight = self._new(waiter, lanes, epoch, key)
        if self._lanes.enter(lanes, flight.id, writes=operation.writes):
            self._on(flight, Event.GRANTED, None, now)

    def _joined(self, flight: Flight, waiter: Waiter, get: Get, now: Moment) -> bool:
        """Whether *waiter* needs no flight of its own: it joined *flight*, which has the same key, or was refused.

        To join a flight that is under way to a store that does not answer is to wait long. While the breaker is open, a
        new flight would be refused, and would supersede *flight* in vain. So the waiter is refused at once. After the
        breaker's pause a new flight becomes the probe, and has an answer as soon as the store is well; *flight* may
        never have one.
        """
        is_sent = flight.state is State.SENT
        too_old = is_sent and get.max_age is not None and now.clock - flight.sent_at > get.max_age
        joins = not too_old and not (is_sent and (get.refresh or flight.serves_stale))
        if flight.serves_stale or (is_sent and not joins):
            if self._breakers.shut(now.clock):
                self._actions.append(Refuse(waiter, self._breakers.circuit_open(now.clock)))
                return True
            trouble = self._refresh.trouble(now) if flight.serves_stale else None
            if trouble is not None:
                self._actions.append(ServeStale((waiter,), trouble))
        if joins:
            self._actions.append(Count(metrics.JOINED))
            self._add(flight, waiter)
        return joins

    def _new(self, waiter: Waiter, lanes: tuple[str, ...], epoch: int, key: Hashable) -> Flight:
        """Return a new flight for *waiter*. With a *key*, it is the one to join from now on, and supersedes the flight
        that had the key before."""
        flight = Flight(next(_numbers), waiter.operation, lanes, epoch, key)
        self._flights[flight.id] = flight
        if key is not None:
            if key in self._open:
                self._open[key].superseded = True
            self._open[key] = flight
        self._add(flight, waiter)
        return flight

    def _add(self, flight: Flight, waiter: Waiter) -> None:
        flight.waiters.append(waiter)
        if (trace := waiter.caller.trace) is not None:
            trace.admitted, trace.sendings = waiter.arrived, flight.sendings
        self._waiting += 1

    def recalled(self, flight: Flight, found: bool, now: Moment) -> list[Action]:
        """The secrets actor has looked in memory (action `Recall`); *found*: all callers of *flight* are answered."""
        self._on(flight, Event.RECALLED if found else Event.NOT_RECALLED, None, now)
        return self._done(now)

    def outdate_reads(self) -> None:
        """The clock has leapt: the reads under way are older than they seem. None of their answers is kept."""
        self._lanes.outdate_all()

    def invalidated(self, lanes: Iterable[str]) -> None:
        """Somebody has changed the secrets in *lanes*. The reads under way there may be older than the change: their
        answers are not kept, and a caller that asks from now on does not join them."""
        self._lanes.outdate(lanes)

    def fresh_time_over(self, message: FreshTimeOver, now: Moment) -> list[Action]:
        """A flight has had PATIENCE seconds to bring a fresh value, and may be under way still."""
        flight = self._flights.get(message.flight)
        if flight is None:
            return []
        trouble: SecretsError | None = None
        if flight.state is State.WAITING_FOR_CREDENTIALS:
            trouble = self._refresh.trouble(now)
        elif flight.state in (State.SENT, State.WAITING_FOR_WORKER) and self._breakers.shut(now.clock):
            trouble = self._breakers.circuit_open(now.clock)
        if trouble is not None:
            self._on(flight, Event.HURRIED, trouble, now)
        return self._done(now)

    # --- jobs that come back --------------------------------------------------------------------------------------

    def job_done(self, done: JobDone, now: Moment) -> list[Action]:
        """A worker has done a job."""
        job = done.job
        self._drop_lanes_of_write(job)
        item = self._take_back(job)
        if isinstance(job, CredentialsJob):
            if isinstance(item, Fetch):
                self._fetched(item, cast("DatedCredentials", done.answer), now)
        elif isinstance(job, ReleaseJob):
            if isinstance(item, Release):
                self._release_ended(item, None)
        else:
            flight = item if isinstance(item, Flight) else self._flights.get(job.flight)
            if flight is not None and (item is not None or flight.state is State.WAITING_FOR_WORKER):
                answer = cast("Answer[Any]", done.answer)
                self._answered(flight, answer.origin, now)
                self._on(flight, Event.ANSWERED, answer, now)
        return self._done(now)

    def job_failed(self, failed: JobFailed, now: Moment) -> list[Action]:
        """A worker has finished a job with a typed error."""
        job, error = failed.job, failed.error
        self._drop_lanes_of_write(job)
        item = self._take_back(job)
        if isinstance(item, Fetch):
            self._fetch_failed(item, error, now)
        elif isinstance(item, Release):
            self._release_ended(item, error)
        elif item is not None and isinstance(job, StoreJob):
            self._job_met_error(item, job, error, now)
        return self._done(now)

    def _job_met_error(self, flight: Flight, job: StoreJob, error: SecretsError, now: Moment) -> None:
        if is_answer(error):
            self._answered(flight, error.origin, now)
        used = job.context.credentials
        if self._refresh.refused(used, error) and flight.refused is None:
            flight.refused = used, error
            self._on(flight, Event.RETURNED, None, now)  # None: a request that was refused has taken no effect
            return
        self._lost(flight, error, now)
        if now.clock >= job.context.deadline and (flight.deadline or 0.0) > now.clock + HEADROOM:
            # Its time was up, but some callers joined later and have time left.
            self._on(flight, Event.RETURNED, error, now)
        else:
            self._on(flight, Event.FAILED, error, now)

    def _drop_lanes_of_write(self, job: Job) -> None:
        """Carry out rule 9, if *job* is a write."""
        if isinstance(job, StoreJob) and job.lanes and job.operation.writes:
            self._actions.append(Drop(job.lanes))
            if job.flight not in self._flights:
                self._lanes.outdate(job.lanes)
                self._actions.append(AskAnew(job.lanes))

    def _take_back(self, job: Job) -> Flight | Fetch | Release | None:
        """Return what *job* was sent for, and mark its worker as idle. None if the worker no longer had it (rule 5)."""
        sent = self._sent.pop(job.number, None)
        if sent is None:
            return None
        item, worker = sent
        self._supply.done(worker)
        self._actions += self._supply.end_leaving()
        self._actions.append(Disarm(job.number))
        return item

    def overdue(self, number: int, now: Moment) -> list[Action]:
        """The job with this *number* was not done in time: cut its worker off."""
        sent = self._sent.pop(number, None)
        if sent is None:
            return []
        item, worker = sent
        self._supply.ended(worker, comes_back=False)
        self._actions.append(CutOff(worker))
        if isinstance(item, Fetch):
            self._fetch_failed(item, hangs(), now, hung_in=worker)
        elif isinstance(item, Release):
            self._release_ended(item, hangs())
        else:
            error = out_of_time(item.operation)
            self._lost(item, error, now)
            has_time = (item.deadline or 0.0) > now.clock
            self._on(item, Event.RETURNED if has_time else Event.FAILED, error, now)
        return self._done(now)

    def worker_gone(self, worker: Pid, reason: ExitReason, now: Moment) -> list[Action]:
        """A worker has ended."""
        item = self._supply.ended(worker, comes_back=not reason.expected)
        if item is not None:
            del self._sent[item.number]
            self._actions.append(Disarm(item.number))
            item.crashes += 1
            if isinstance(item, Fetch):
                self._fetch_crashed(item, reason, now)
            elif isinstance(item, Release):
                self._release_ended(item, workers_crashed(reason, 1))
            else:
                self._crashed(item, reason, now)
        return self._done(now)

    def _crashed(self, flight: Flight, reason: ExitReason, now: Moment) -> None:
        error = workers_crashed(reason, flight.crashes, flight.operation)
        if flight.crashes < MAX_CRASHES:
            self._on(flight, Event.RETURNED, error, now)
        else:
            self._lost(flight, error, now)
            self._on(flight, Event.FAILED, error, now)

    # --- the breakers ---------------------------------------------------------------------------------------------

    def _answered(self, flight: Flight, origin: str | None, now: Moment) -> None:
        """The store has answered *flight*. A refusal is an answer, too: the store is there."""
        # The answer of a store that is no longer in force says nothing about the present one.
        if flight.breakers is self._breakers:
            self._observe(self._breakers.answered(_sent(flight), origin, now.clock))

    def caller_gave_up(self, now: Moment) -> list[Action]:
        """A caller has given up. If the store has been silent for long, the breaker counts it as if the caller's
        deadline had passed: the flight's own deadline may be much later."""
        breakers, clock = self._breakers, now.clock
        if breakers.silent(clock):
            for flight in self:
                is_sent = flight.state is State.SENT and flight.breakers is breakers
                if is_sent and breakers.hears_nothing(_sent(flight), clock) and any(one.gone for one in flight.waiters):
                    self._lost(flight, out_of_time(flight.operation), now, goes_on=True)
                    break
        return self._done(now)

    def _lost(self, flight: Flight, error: SecretsError, now: Moment, *, goes_on: bool = False) -> None:
        """*flight* met *error*, which may count against an endpoint. *goes_on*: the flight is still under way.

        If that opens the breaker, refuse the flights that wait for a worker, and serve stale values for those under
        way (rules 6 and 7)."""
        if flight.breakers is not self._breakers:
            return
        opened = self._observe(self._breakers.lost(_sent(flight), error, now.clock))
        if not opened or self._breakers.state is Circuit.CLOSED:
            return
        for job in self._supply.waiting:
            if isinstance(job, Flight) and (refusal := self._refusal(job, now)) is not None:
                self._on(job, Event.REFUSED, refusal, now)
        for other in tuple(self._flights.values()):
            if (goes_on or other is not flight) and other.state in (State.SENT, State.WAITING_FOR_WORKER):
                self._on(other, Event.HURRIED, error, now)

    def _observe(self, turns: Iterable[Turn]) -> bool:
        """Tell the observer of *turns*, the breakers that have opened or closed. Whether one has opened."""
        opened = False
        for turn in turns:
            if turn.problem is None:
                self._actions.append(Observe(BreakerClosed(self._label, turn.endpoint)))
            else:
                pause = round(turn.pause, 3)
                self._actions.append(Observe(BreakerOpened(self._label, turn.endpoint, turn.problem, pause)))
                opened = True
        return opened

    def _refusal(self, flight: Flight, now: Moment) -> SecretsError | None:
        """Return the error for *flight* if the breaker does not let it go now (rule 6); None if it does."""
        if self._breakers.admits(flight.id, now.clock):
            return None
        if flight.doubt is not None and flight.operation.writes:
            return flight.doubt
        error = self._breakers.circuit_open(now.clock)
        if flight.repeated:
            # It may have taken effect: with the token, the program can repeat it without writing twice.
            error.token = token_of(flight.operation)
        return error

    # --- credentials ----------------------------------------------------------------------------------------------

    def _lacks_credentials(self, flight: Flight, now: Moment) -> None:
        """Let *flight* wait for credentials. Refuse it if a fetch hangs and it is too early for the next try."""
        worker = self._refresh.resting_worker(now)
        if worker is not None and self._hangs(worker):
            trouble = self._refresh.trouble(now)
            self._on(flight, Event.REFUSED, trouble and trouble.clone(), now)
            return
        if worker is not None:
            self._refresh.hangs_no_more()
        self._on(flight, Event.LACKS_CREDENTIALS, None, now)

    def _fetch_if_due(self, now: Moment) -> None:
        fetch = self._refresh.fetch_if_due(now)
        if fetch is not None:
            self._supply.submit(fetch, first=True)

    def _fetched(self, fetch: Fetch, credentials: DatedCredentials, now: Moment) -> None:
        if self._refresh.is_present(fetch):
            self._refresh.fetched(credentials, now)
            self._actions.append(Count(metrics.REFRESHES, ("credentials", "ok")))
            self._plan_renewal(now)
            self._go_on(CredentialsExpired(EXPIRED), now)  # the error is used if the new ones have expired already

    def _fetch_failed(self, fetch: Fetch, error: SecretsError, now: Moment, hung_in: Pid | None = None) -> None:
        if not self._refresh.is_present(fetch):
            return
        self._actions.append(Count(metrics.REFRESHES, ("credentials", error.code)))
        if self._refresh.current(now) is not None:
            self._actions.append(Observe(RenewalFailed(self._label, str(error))))
        self._refresh.failed(error, now, hung_in)
        self._plan_renewal(now)
        self._go_on(error, now)

    def _plan_renewal(self, now: Moment) -> None:
        """Set a timer for the next fetch if the credentials have to be renewed although no call needs them."""
        seconds = self._refresh.next_fetch_in(now)
        if seconds is not None and self._drains_until is None:
            self._renewals += 1
            self._actions.append(SetTimer(seconds, RenewCredentials(self._renewals)))

    def renewal_due(self, message: RenewCredentials, now: Moment) -> list[Action]:
        """The timer for a renewal has fired."""
        if message.number == self._renewals and self._drains_until is None:
            self._fetch_if_due(now)
            if not self._refresh.is_fetching:
                self._plan_renewal(now)  # a fetch in between, which a call needed, has put it off
        return self._done(now)

    def _fetch_crashed(self, fetch: Fetch, reason: ExitReason, now: Moment) -> None:
        if fetch.crashes >= MAX_CRASHES:
            self._fetch_failed(fetch, workers_crashed(reason, MAX_CRASHES), now)
        elif self._refresh.is_present(fetch):
            self._supply.submit(fetch, first=True)

    def _go_on(self, error: SecretsError, now: Moment) -> None:
        """Let the flights that wait for credentials go on with the present ones, new or old. If there are none, refuse
        the flights with *error*."""
        waiting, self._without_credentials = self._without_credentials, []
        event = Event.REFUSED if self._refresh.current(now) is None else Event.CREDENTIALS_CAME
        for flight in waiting:
            self._on(flight, event, error, now)

    # --- workers --------------------------------------------------------------------------------------------------

    def worker_ready(self, worker: Pid, number: int, now: Moment) -> list[Action]:
        """*worker* has announced itself and is idle. It was started for the store with this *number*."""
        self._actions += self._supply.announced(worker, present=number == self._number)
        return self._done(now)

    def adopt(self, present: Iterable[tuple[Pid, bool]] | None, now: Moment) -> list[Action]:
        """The supervisor has said which workers are there, and of each whether it is busy; None: it could not say."""
        self._actions += self._supply.adopt_all(present or (), self._call_timeout)
        return self._done(now)

    def worker_started(self, now: Moment) -> list[Action]:
        """The supervisor has started a worker."""
        self._supply.started()
        return self._done(now)

    def worker_not_started(self, error_type: str, now: Moment) -> list[Action]:
        """The supervisor could not start a worker."""
        self._refuse_jobs(self._supply.not_started(error_type), now)
        return self._done(now)

    def no_thread(self, now: Moment, *, final: bool) -> list[Action]:
        """A worker could not have a thread. *final*: no later try can have one, because the program is ending."""
        self._supply.expect(-1)
        self._pause(no_thread(), now, final=final)
        return self._done(now)

    def hang(self, wanted: int, hung: int, now: Moment) -> list[Action] | None:
        """*wanted* workers are to be started while *hung* ones hang. Return None if they may be started; otherwise the
        actions to carry out instead."""
        error = self._supply.hang(wanted, hung)
        if error is None:
            return None
        self._pause(error, now, final=True)
        return self._done(now)

    def _pause(self, error: SecretsError, now: Moment, *, final: bool) -> None:
        timers, refused = self._supply.pause(error, lambda job: self._patience(job, now), self._chance(), final=final)
        self._actions += timers
        self._refuse_jobs(refused, now)

    def _refuse_jobs(self, refused: Iterable[tuple[Flight | Fetch | Release, SecretsError]], now: Moment) -> None:
        for job, error in refused:
            if isinstance(job, Flight):
                self._on(job, Event.REFUSED, error, now)
            elif isinstance(job, Release):
                self._release_ended(job, error)
            else:
                self._fetch_failed(job, error, now)

    def _patience(self, job: Flight | Fetch | Release, now: Moment) -> float:
        """For how many seconds more *job* can wait for a worker. A fetch can wait until the first deadline of the
        flights that wait for it; 0 if none does."""
        if isinstance(job, Flight):
            return (job.deadline or 0.0) - now.clock
        if isinstance(job, Release):
            return job.until - now.clock
        deadlines = [flight.deadline or 0.0 for flight in self._without_credentials]
        return min(deadlines, default=now.clock) - now.clock

    def start_again(self, now: Moment) -> list[Action]:
        """The pause between two tries to start a worker is over."""
        self._supply.start_again()
        return self._done(now)

    def workers_overdue(self, now: Moment) -> list[Action]:
        """The workers that jobs wait for should have announced themselves by now."""
        self._supply.workers_overdue()
        return self._done(now)

    def end_idle(self, now: Moment) -> list[Action]:
        """It is time to end the workers that have been idle for long."""
        self._actions += self._supply.end_idle()
        return self._done(now)

    def end_unannounced(self, workers: tuple[Pid, ...], now: Moment) -> list[Action]:
        """*workers*, left by an earlier actor, should have announced themselves by now: end those that have not."""
        self._actions += self._supply.end_unannounced(workers)
        return self._done(now)

    def backend_changed(self, factory: BackendFactory, number: int, now: Moment) -> list[Action]:
        """The store of *factory* has come into force, as the *number*th one. The store before it finishes the jobs that
        are under way; their answers are not kept."""
        former = self._factory.credentials
        self._former = [one for one in self._former if one.source is not factory.credentials]
        if former is not None and former is not factory.credentials and self._has_to_release:
            self._former.append(Former(former, frozenset(self._sent)))
        self._factory, self._number, self._given_back = factory, number, False
        self._lanes.outdate_all()
        self._breakers = EndpointBreakers(self._rules, self._chance, factory.endpoints)
        self._actions += self._supply.outdate()
        fetch = self._refresh.start_over()
        if fetch is not None:
            self._supply.withdraw(fetch)
        # The flights that wait for credentials are admitted anew: the new store may take none, or needs others.
        waiting, self._without_credentials = self._without_credentials, []
        for flight in waiting:
            self._on(flight, Event.CREDENTIALS_CAME, None, now)
        return self._done(now)

    def _done(self, now: Moment) -> list[Action]:
        """Give jobs to workers, and return all actions collected since the last time."""
        if self._former:
            self._release_former()
        if self._drains_until is not None:
            self._release_if_drained(self._drains_until, now)
        supply, actions = self._supply, self._actions
        # A job may turn out not to be sent, and its worker is then idle again: so assign until all is sent.
        while (plan := supply.assign()).give or plan.start:
            if plan.start:
                actions.append(StartWorkers(plan.start))
            if sum([self._assigned(worker, job, now) for worker, job in plan.give]) == len(plan.give):
                break
        actions += supply.timers()
        self._actions = []
        return actions

    def _assigned(self, worker: Pid, job: Flight | Fetch | Release, now: Moment) -> bool:
        """Send *job* to *worker*. Return False, with the worker idle again, if the job must not be sent any more: much
        can have changed while it waited for a worker."""
        if isinstance(job, Fetch):
            job.number = number = next(_numbers)
            deadline = self._refresh.deadline(now, self._call_timeout)
            lacks = self._refresh.current(now) is None
            self._sent[number] = job, worker
            self._actions.append(Send(worker, CredentialsJob(number, deadline, lacks), deadline - now.clock + GRACE))
            return True
        if isinstance(job, Release):
            job.number = number = next(_numbers)
            self._sent[number] = job, worker
            deadline = min(job.until, now.clock + RELEASE_TIME)
            self._actions.append(Send(worker, ReleaseJob(number, deadline, job.source), deadline - now.clock + GRACE))
            return True
        latest = job.deadline
        credentials = self._refresh.current(now)
        if latest is None or latest <= now.clock:
            self._supply.done(worker)
            self._on(job, Event.ABANDONED, None, now)
        elif credentials is None and self._factory.credentials is not None:  # refused or expired since it was admitted
            self._supply.done(worker)
            self._lacks_credentials(job, now)
        elif job.refused is not None and same(job.refused[0], credentials):
            self._supply.done(worker)
            # The fetch brought the credentials that the store has refused already: they would be refused again.
            self._on(job, Event.REFUSED, job.refused[1], now)
        else:
            job.latest = latest
            self._on(job, Event.ASSIGNED, (worker, credentials), now)
            return True
        return False

    # --- carrying the table out -----------------------------------------------------------------------------------

    def _on(self, flight: Flight, event: Event, detail: Any, now: Moment) -> None:
        """Move *flight* to the next state for *event*, and do the deeds, each of which gets *detail*."""
        row = TABLE[flight.state].get(event)
        if row is None:
            raise UnexpectedEvent(flight.state, event)
        flight.state = row.state
        for deed in row.deeds:
            self._deeds[deed](flight, detail, now)

    def _recall(self, flight: Flight, _: Any, now: Moment) -> None:  # noqa: ARG002
        self._actions.append(Recall(flight))

    def _admit(self, flight: Flight, _: Any, now: Moment) -> None:
        """Decide the next step of a flight whose turn has come."""
        if flight.deadline is None:
            self._on(flight, Event.ABANDONED, None, now)
        elif (refusal := self._refusal(flight, now)) is not None:
            self._on(flight, Event.REFUSED, refusal, now)
        elif self._factory.credentials is None or self._refresh.is_fresh(now):
            self._on(flight, Event.ADMITTED, None, now)
        elif self._refresh.must_wait(now):
            self._lacks_credentials(flight, now)
        else:
            # The credentials are due for renewal, and good for a while yet: fetch new ones meanwhile.
            self._fetch_if_due(now)
            self._on(flight, Event.ADMITTED, None, now)

    def _await_credentials(self, flight: Flight, _: Any, now: Moment) -> None:
        self._without_credentials.append(flight)
        self._fetch_if_due(now)
        if self._refresh.trouble(now) is not None:
            self._actions.append(SetTimer(PATIENCE, FreshTimeOver(flight.id)))

    def _await_worker(self, flight: Flight, _: Any, now: Moment) -> None:  # noqa: ARG002
        self._supply.submit(flight, first=flight.repeated)

    def _send(self, flight: Flight, to: tuple[Pid, Credentials | None], now: Moment) -> None:
        worker, credentials = to
        clock, deadline = now.clock, flight.latest
        if self._breakers.goes_ahead(flight.id):
            if not flight.operation.writes:
                deadline = flight.latest = max(deadline, clock + PROBE_TIME)
            self._actions.append(SetTimer(PATIENCE, FreshTimeOver(flight.id)))
        flight.number = number = next(_numbers)
        avoid = self._breakers.avoided(flight.id)
        flight.breakers, flight.only, flight.sent_at = self._breakers, self._breakers.only(avoid), clock
        flight.serves_stale = False  # it was true of the wait before, or of the last worker; this sending may be quick
        left = deadline - clock
        context = CallContext(deadline - min(HEADROOM, left * HEADROOM_SHARE), credentials, flight.repeated, [], avoid)
        flight.sendings.append((clock, context.attempts))
        self._sent[number] = flight, worker
        job = StoreJob(number, flight.id, flight.operation, context, flight.lanes)
        self._actions.append(Send(worker, job, left + GRACE))

    def _withdraw(self, flight: Flight, _: Any, now: Moment) -> None:  # noqa: ARG002
        self._supply.withdraw(flight)

    def _remove_gone(self, flight: Flight, doubt: SecretsError | None, now: Moment) -> None:  # noqa: ARG002
        """*flight* is to be sent once more: take out the waiters that have given up, and count them no longer."""
        flight.repeated, flight.doubt = True, doubt or flight.doubt
        gone = tuple(waiter for waiter in flight.waiters if waiter.gone)
        if gone:
            flight.waiters = [waiter for waiter in flight.waiters if not waiter.gone]
            self._waiting -= len(gone)
            self._actions.append(NoteGone(gone))
        self._actions.append(Count(metrics.RESENT))

    def _free_probe(self, flight: Flight, _: Any, now: Moment) -> None:  # noqa: ARG002
        """*flight* ended before the store could say anything. If it was the probe, let the next flight be the probe."""
        self._breakers.withdrawn(flight.id)

    def _serve_stale(self, flight: Flight, error: SecretsError, now: Moment) -> None:  # noqa: ARG002
        flight.serves_stale = True
        self._actions.append(ServeStale(tuple(flight.waiters), error))

    def _settle(self, flight: Flight, answer: Answer[Any], now: Moment) -> None:  # noqa: ARG002
        self._actions.append(Settle(flight, answer, self._keeps(flight)))

    def _fail(self, flight: Flight, error: SecretsError, now: Moment) -> None:  # noqa: ARG002
        self._actions.append(Fail(flight, error, self._keeps(flight)))

    def _note_gone(self, flight: Flight, _: Any, now: Moment) -> None:  # noqa: ARG002
        self._actions.append(NoteGone(tuple(flight.waiters)))

    def _keeps(self, flight: Flight) -> bool:
        """Whether no write has come since *flight* was asked for, so that its answer may be kept in memory."""
        if not flight.lanes:
            return flight.epoch == self._lanes.changes
        # A write raised the epoch of each of its lanes by one itself, when it entered them.
        own = len(flight.lanes) if flight.operation.writes else 0
        return self._lanes.epoch(flight.lanes) == flight.epoch + own and not flight.superseded

    def _land(self, flight: Flight, _: Any, now: Moment) -> None:
        del self._flights[flight.id]
        self._waiting -= len(flight.waiters)
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]
        if flight.lanes:
            for ticket in self._lanes.leave(flight.lanes, flight.id):
                self._on(self._flights[ticket], Event.GRANTED_LATER, None, now)
