"""The secrets actor: decides, sends, replies; never blocks.

Rule 1: operations of one secret take effect in the order in which they came (lanes.py); concurrent gets of one version
        are one flight (flights.py). How a flight is carried out is the dispatcher's business (dispatch.py).
Rule 2: a write drops its lanes from the cache before it is sent and after it is done. What is kept then, and what any
        other answer does to the cache, keeper.py says.
Rule 3: every caller is answered once, and every answer is audited (desk.py). A caller who names no deadline gets the
        configured one.
Rule 4: a value past its TTL is served, marked, only where the store could not answer (fallback.py), and never
        after the store has said no.
Rule 5: a value is as old as the time at which the store was asked for it, for it may have changed right then.
Rule 6: when the wall clock leaps, what is in memory is taken to be as much older: the machine may have slept without
        knowing (`clock.WallLeaps`).
Rule 7: an answer to a question of an earlier incarnation, if it was a write, drops its lanes from the cache and
        outdates what is being read in them. It does nothing else.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.counting import told
from secrets_actor.actor.desk import Desk
from secrets_actor.actor.dispatch import HEADROOM, HEADROOM_SHARE, Dispatcher
from secrets_actor.actor.failures import out_of_time, translated
from secrets_actor.actor.fallback import STALE, stale_answer
from secrets_actor.actor.flights import Flight, Flights, Waiter
from secrets_actor.actor.jobs import Drain, GiveUp, Glance, Job, JobDone, JobFailed, Sweep, UseStore
from secrets_actor.actor.keeper import Keeper
from secrets_actor.actor.lanes import Lanes
from secrets_actor.actor.present_kit import PresentKit
from secrets_actor.actor.staff import Crew
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.actor.version_watch import VersionWatch
from secrets_actor.domain.errors import Overloaded, SecretsError, ServerDown, UnknownMessage
from secrets_actor.domain.metrics import JOINED, NO_METER, WAITING, Meter
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import MESSAGES, Get, Operation, with_token
from secrets_actor.domain.ports import Answer, AuditSink, BackendFactory
from secrets_actor.domain.secret import Source
from secrets_actor.otp import From, GenServer, Handled, LifecycleEvent, Reply
from secrets_actor.records import dataclass

_OPERATIONS: Final = MESSAGES
# Seconds between two looks for what may not be served any more: no value stays in memory for longer than that.
SWEEP: Final = 30.0
# Seconds between two looks at the wall clock.
GLANCE: Final = 1.0


class ClockLeapt(LifecycleEvent, frozen=True):
    """The wall clock is *seconds* ahead at once: the machine slept and does not know of it, or the clock was set. What
    is in memory counts as so much older."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """*call_timeout*: seconds for a caller who names no deadline. *max_pending*: callers who may wait at a time."""

    call_timeout: float
    max_pending: int


class SecretsActor(GenServer):
    """Takes the messages of `domain/operations`, and answers each with its answer type or a SecretsError."""

    may_wait = False

    def __init__(
        self,
        *,
        present: PresentKit,
        cache: Cache,
        audit: AuditSink,
        crew: Crew,
        limits: Limits,
        wall_clock: Callable[[], datetime],
        subscriptions: Subscriptions,
        meter: Meter = NO_METER,
        leaps: Callable[[], float] | None = None,
    ) -> None:
        self._subscriptions, self._leaps = subscriptions, leaps
        self._present, self._table, self._audit, self._crew = present, cache, audit, crew
        self._limits, self._wall_clock, self._meter = limits, wall_clock, meter
        self._lanes, self._flights = Lanes(), Flights()
        self._startable: deque[int] = deque()
        self._starting = False
        self._drained_by: list[From[Any]] = []  # who waits for the end of all that is under way

    def init(self) -> None:
        """Take over the workers of an earlier incarnation, if there are any."""
        self._cache = self._table.pen()
        self._keeper = Keeper(self._cache, self._lanes, self._wall_clock)
        self._desk = Desk(self._audit, self.node.clock.now, self.reply_all)
        self._watch = VersionWatch(self._subscriptions, self.node.clock.now, self._ask_in_background)
        call_timeout = self._limits.call_timeout
        wall_clock, meter = self._wall_clock, self._meter
        self._dispatcher = Dispatcher(self, self, self._present, self._crew, call_timeout, wall_clock, meter)
        self._dispatcher.adopt()
        meter.watch("secrets actor", lambda: ((WAITING, (), self._flights.waiting if self.me.is_alive() else 0),))
        self.send_after(SWEEP, Sweep())
        if self._leaps is not None:
            self.send_after(GLANCE, Glance())

    def translate(self, error: BaseException) -> BaseException:
        """Every error of ours is a SecretsError, for pykka's askers too."""
        return translated(error)

    def status(self) -> str:
        """For the picture of the tree; any thread may ask."""
        draining = ", draining" if self._drained_by else ""
        waiting = f"{self._flights.waiting} of {self._limits.max_pending} waiting"
        return f"{waiting}, {len(self._table)} cached, breaker {self._dispatcher.watch.state}{draining}"

    # --- messages -------------------------------------------------------------------------------------------------

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """An operation."""
        if isinstance(request, _OPERATIONS):
            self._admit(request, caller)
            if caller.note is not None:
                caller.note.taken = True
        elif isinstance(request, UseStore):
            self._use_store(request.factory)
            return Reply(None)
        elif isinstance(request, Drain):
            self._drained_by.append(caller)
            self._tell_if_drained()
        else:
            caller.fail(UnknownMessage(f"the secrets actor has no operation {type(request).__name__}"))
        return None

    def handle_info(self, message: Any) -> Handled:
        """What workers, timers and monitors say, and operations told by whoever wants no answer."""
        if isinstance(message, (JobDone, JobFailed)):
            job = message.job
            if isinstance(job, Job) and job.lanes and job.operation.writes:
                self._cache.drop(*job.lanes)
                if self._flights.get(job.flight) is None:
                    self._lanes.outdate(job.lanes)
                    self._watch.ask_anew(job.lanes)
        if self._dispatcher.handle(message):
            return None
        if isinstance(message, GiveUp):
            self._give_up(message.waiter)
        elif isinstance(message, Sweep):
            left = self._cache.sweep(self.node.clock.now(), message.left)
            self.send_after(0.0 if left else SWEEP, Sweep(left))
        elif isinstance(message, Glance):
            self._glance()
        elif isinstance(message, _OPERATIONS):
            self._admit(message, told(self._meter, message))
        return None

    def _glance(self) -> None:
        leapt = 0.0 if self._leaps is None else self._leaps()
        if leapt:
            self._cache.age(leapt)
            self._lanes.outdate_all()  # what is being read now is as old as that, too
            self._subscriptions.age(leapt)
            self.node.observe(ClockLeapt(self.me.label, round(leapt, 3)))
        self.send_after(GLANCE, Glance())

    def _give_up(self, waiter: Waiter) -> None:
        error = out_of_time(waiter.operation)
        stale = stale_answer(self._table, waiter.operation, error, self.node.clock.now())
        if stale is None or waiter.gone:
            waiter.caller.fail(error)  # the record is made when his flight lands
        else:
            self._desk.answer(waiter, stale, STALE)

    def _use_store(self, factory: BackendFactory) -> None:
        """Jobs that are under way are finished by the store before; what they read is not kept."""
        self._present.replace(factory)
        self._cache.clear()
        self._lanes.outdate_all()
        self._watch.store_changed()
        self._dispatcher.store_changed()

    # --- the way in -----------------------------------------------------------------------------------------------

    def _admit(self, operation: Operation[Any], caller: From[Any]) -> None:
        operation = with_token(operation, _new_token)
        waiter = self._waiter(operation, caller)
        if self._drained_by:
            self._desk.refuse(waiter, ServerDown("the system is being stopped: this was not begun"), "actor")
            return
        if isinstance(operation, Get) and self._answered_from_memory(operation, waiter):
            return
        if self._flights.waiting >= self._limits.max_pending:
            error = Overloaded(f"{self._limits.max_pending} callers are waiting already; try again later")
            self._desk.refuse(waiter, error, "actor")
            return
        secret_id = getattr(operation, "secret_id", None)
        if secret_id is None:
            flight = self._flights.new(operation, epoch=self._lanes.changes)
            self._flights.board(flight, waiter)
            self._dispatcher.submit(flight)
        else:
            self._queue(operation, SecretId(secret_id), waiter)

    def _answered_from_memory(self, get: Get, waiter: Waiter) -> bool:
        now = waiter.arrived
        cached = self._table.read(get, now)
        if cached is not None:
            self._desk.answer(waiter, cached, Source.CACHE)
            if self._table.asks_refresh(get, now):
                self._ask_in_background(get.refreshed())
            return True
        missing = self._table.missing(get, now)
        if missing is not None:
            self._desk.refuse(waiter, missing, Source.CACHE)
        return missing is not None

    def _ask_in_background(self, get: Get) -> None:
        if not self._drained_by:
            self._admit(get, told(self._meter, get))

    def _waiter(self, operation: Operation[Any], caller: From[Any]) -> Waiter:
        now, deadline, allowed, early = self.node.clock.now(), caller.deadline, self._limits.call_timeout, 0.0
        if deadline is not None:
            if caller.note is not None:  # a client of ours, which sees to it itself
                return Waiter(caller, operation, now, deadline)
            if deadline - now < allowed:  # pykka's own error would tell less: ours comes a little before it
                allowed = deadline - now
                early = min(HEADROOM, allowed * HEADROOM_SHARE) / 2
        waiter = Waiter(caller, operation, now, now + allowed)
        alarm = self.send_after(allowed - early, GiveUp(waiter))
        caller.on_settled(lambda _: self.cancel_timer(alarm))
        return waiter

    def _queue(self, operation: Operation[Any], secret_id: SecretId, waiter: Waiter) -> None:
        lanes = secret_id.lanes
        if operation.writes:
            self._cache.drop(*lanes)
        epoch = self._lanes.epoch(lanes)
        key = None
        if isinstance(operation, Get):
            key = (str(secret_id), operation.version, epoch)
            flight = self._flights.joinable(key, fresh=operation.refresh)
            joins = flight is not None and not self._too_old(flight, operation)
            if self._need_not_wait(waiter, self._flights.under_way(key), joins):
                return
            if flight is not None and joins:
                self._meter.count(JOINED)
                self._flights.board(flight, waiter)
                return
        flight = self._flights.new(operation, lanes, epoch, key)
        self._flights.board(flight, waiter)
        flight.queued = not (startable := self._lanes.enter(lanes, flight.id, writes=operation.writes))
        self._start(startable)

    def _need_not_wait(self, waiter: Waiter, flight: Flight | None, joins: bool) -> bool:
        """Whether *waiter* has his answer already, as *flight* for the same is on its way to a store that does not
        answer: to join it is to wait long, and another one would be refused, and would supersede it for nothing."""
        if flight is None or not (flight.hurried or (flight.started and not joins)):
            return False
        refusal = self._dispatcher.watch.refusal_of_another()
        if refusal is not None:
            self._fail(waiter, refusal, waiter.arrived)
            return True
        trouble = self._dispatcher.trouble_with_keys if flight.hurried else None
        return trouble is not None and self._serve_stale(waiter, trouble, waiter.arrived)

    def _too_old(self, flight: Flight, get: Get) -> bool:
        """Whether what *flight* brings may be older than *get* takes."""
        if get.max_age is None or not flight.started:
            return False
        return self.node.clock.now() - flight.sent_at > get.max_age

    def _start(self, tickets: list[int]) -> None:
        """Submit flights whose turn it is. A flight that nobody wants lands at once and makes room for the next: the
        loop, not the stack, takes that chain."""
        self._startable.extend(tickets)
        if self._starting:
            return
        self._starting = True
        try:
            while self._startable:
                flight = self._flights.get(self._startable.popleft())
                if flight is not None and not (flight.queued and self._answered_meanwhile(flight)):
                    self._dispatcher.submit(flight)
        finally:
            self._starting = False

    def _answered_meanwhile(self, flight: Flight) -> bool:
        """Whether all who wait have their answer from the cache: a set that was before them has filled it."""
        now = self.node.clock.now()
        found = [isinstance(one.operation, Get) and self._table.read(one.operation, now) for one in flight.waiters]
        if not flight.waiters or not all(found):
            return False
        for waiter, secret in zip(flight.waiters, found, strict=True):
            self._desk.answer(waiter, secret, Source.CACHE)
        self._land(flight)
        return True

    # --- the way back (called by the dispatcher) ------------------------------------------------------------------

    def done(self, flight: Flight, answer: Answer[Any]) -> None:
        """The store answered *flight*."""
        self._watch.done(flight, answer.value, self._keeper.done(flight, answer.value, self.node.clock.now()))
        self._desk.settle(flight, answer.value, Source.BACKEND, answer.request_id)
        self._land(flight)

    def failed(self, flight: Flight, error: SecretsError) -> None:
        """*flight* came to nothing."""
        now = self.node.clock.now()
        self._watch.failed(flight, error, self._keeper.failed(flight, error, now))
        for waiter in flight.waiters:
            self._fail(waiter, error, now)
        self._land(flight)

    def _fail(self, waiter: Waiter, error: SecretsError, now: float) -> None:
        """Give *waiter* what may be served stale, or *error*."""
        waiter.asker.meets(error.code)
        if not self._serve_stale(waiter, error, now):
            self._desk.refuse(waiter, error, Source.BACKEND)

    def _serve_stale(self, waiter: Waiter, error: SecretsError, now: float) -> bool:
        stale = stale_answer(self._table, waiter.operation, error, now)
        if stale is None:
            return False
        waiter.asker.meets(error.code)
        self._desk.answer(waiter, stale, STALE)
        return True

    def hurried(self, flight: Flight, error: SecretsError) -> None:
        """*flight* may take long: who takes something stale has it now."""
        flight.hurried, now = True, self.node.clock.now()
        for waiter in flight.waiters:
            if not waiter.gone:
                self._serve_stale(waiter, error, now)

    def cancelled(self, flight: Flight) -> None:
        """All who waited for *flight* have given up."""
        self._desk.fail(flight, out_of_time(flight.operation), "actor")
        self._land(flight)

    def delayed(self, flight: Flight) -> None:
        """*flight* is to be sent once more: those who have given up wait no longer, and count no longer."""
        for waiter in self._flights.disembark(flight):
            self._desk.refuse(waiter, out_of_time(flight.operation), "actor")

    def _land(self, flight: Flight) -> None:
        self._flights.land(flight)
        if flight.lanes:
            self._start(self._lanes.leave(flight.lanes, flight.id))
        self._tell_if_drained()

    def _tell_if_drained(self) -> None:
        if not len(self._flights):
            for caller in self._drained_by:
                caller.reply(None)


def _new_token() -> str:
    return str(uuid.uuid4())
