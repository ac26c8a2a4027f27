"""The secrets actor: takes messages, carries out what `flights.py` decides, and never blocks.

Rule 1: operations of one secret take effect in the order in which they came (lanes.py); concurrent gets of one version
        share one flight. What happens to a flight is decided in flights.py, and nowhere else; the actor only carries it
        out.
Rule 2: a write drops its lanes from the cache before it is sent and after it is done. outcome_effects.py says what is
        kept then, and what any other answer does to the cache and to subscribers.
Rule 3: every caller is answered once, and every answer is audited (replies.py). A caller without a deadline gets the
        configured timeout.
Rule 4: a value past its TTL is served only if the store could not answer (stale_answers.py), and is marked then. It is
        never served after the store has refused.
Rule 5: the age of a value counts from the time at which the store was asked for it, because the value may have changed
        right after that.
Rule 6: when the wall clock leaps, the values in memory are taken to be older by the same time: the machine may have
        slept without noticing (`clock.WallLeaps`).
Rule 7: actions are carried out in the order in which they were decided, and all those of one message before the next
        message is taken. If an action leads to others (such as asking anew for an entry), these are queued behind the
        present ones. So a long chain of them is a loop, and does not use up the stack.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from random import random
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor import actions as do
from secrets_actor.actor.breaker import Circuit
from secrets_actor.actor.cache import Cache
from secrets_actor.actor.credential_refresh import Moment
from secrets_actor.actor.current_backend import CurrentBackend
from secrets_actor.actor.error_translation import out_of_time, translated
from secrets_actor.actor.flights import HEADROOM, HEADROOM_SHARE, Flights
from secrets_actor.actor.messages import (
    AdoptionOver,
    Announce,
    CallerGaveUp,
    CallerTimedOut,
    CheckWallClock,
    Drain,
    EndIdleWorkers,
    FreshTimeOver,
    JobDone,
    JobFailed,
    Overdue,
    Ping,
    RenewCredentials,
    StartWorkersAgain,
    Sweep,
    UseBackend,
    Waiter,
    WorkerReady,
    WorkersOverdue,
)
from secrets_actor.actor.outcome_effects import OutcomeEffects
from secrets_actor.actor.replies import Replies
from secrets_actor.actor.stale_answers import STALE, stale_answer
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.actor.worker_supply import HUNG, PoolOptions, WorkerSupply
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import Overloaded, SecretsError, ServerDown, UnknownMessage
from secrets_actor.domain.metrics import NO_METER, Meter, Reading
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    STORE_MESSAGES,
    CurrentVersions,
    Get,
    Invalidate,
    Operation,
    refreshed,
    with_token,
)
from secrets_actor.domain.ports import AuditSink, BackendFactory
from secrets_actor.domain.secret import Source
from secrets_actor.otp import (
    CallDone,
    Down,
    From,
    GenServer,
    Handled,
    LifecycleEvent,
    OtpError,
    Pid,
    Reply,
    StartChild,
    StartError,
    TerminatePid,
    Timer,
    WhichChildren,
    cast,
    lacks_thread,
    no_more,
)
from secrets_actor.uuids import new_uuid

_OPERATIONS: Final = STORE_MESSAGES
# Seconds between two sweeps of the cache. No value stays in memory for longer than that after it may not be served.
SWEEP: Final = 30.0
# Seconds between two looks at the wall clock.
WALL_CLOCK_CHECK: Final = 1.0


class ClockLeapt(LifecycleEvent, frozen=True):
    """The wall clock has leapt ahead by so many *seconds*: the machine has slept without noticing, or the clock was
    set. The values in memory are taken to be older by that time."""

    seconds: float


class Limits(Struct, frozen=True):
    """*call_timeout*: the seconds that a caller without a deadline waits. *max_pending*: how many callers may wait at a
    time."""

    call_timeout: float
    max_pending: int


class SecretsActor(GenServer):
    """Takes the messages of `domain/operations`, and answers each with its answer type or a SecretsError."""

    may_wait = False

    def __init__(
        self,
        *,
        current_backend: CurrentBackend,
        cache: Cache,
        audit: AuditSink,
        pool: PoolOptions,
        limits: Limits,
        wall_clock: Callable[[], datetime],
        subscriptions: Subscriptions,
        meter: Meter = NO_METER,
        leaps: Callable[[], float] | None = None,
    ) -> None:
        self._current_backend, self._table, self._audit, self._pool = current_backend, cache, audit, pool
        self._limits, self._wall_clock, self._meter = limits, wall_clock, meter
        self._subscriptions, self._leaps = subscriptions, leaps
        self._drained_by: list[From[Any]] = []  # the callers of `Drain`; while there are any, no operation is taken
        self._to_do: deque[do.Action] = deque()
        self._carries_out = False  # whether `_carry_out` is running (rule 7)
        self._overdue_timers: dict[int, Timer] = {}  # by the number of the job

    def init(self) -> None:
        """Make the parts of this incarnation, and ask the supervisor for workers of an earlier one, to adopt them."""
        number, factory = self._current_backend.now
        pool = self._pool
        self._effects = OutcomeEffects(self._table.writer(), self._subscriptions, self._wall_clock)
        self._replies = Replies(self._audit, self.node.clock.now, self.reply_all)
        supply = WorkerSupply[Any](pool.max_workers, pool.idle)
        self._flights = Flights(
            factory,
            number,
            supply,
            call_timeout=self._limits.call_timeout,
            rules=pool.breaker,
            chance=random,
            hangs=lambda worker: worker in self.node.disowned,
            now=self._now(),
            label=self.me.label,
        )
        supply.await_adoption()
        self.call_async(pool.supervisor, WhichChildren(), self._workers_found)
        self._meter.watch("secrets actor", self._gauges)
        self.send_after(SWEEP, Sweep())
        if self._leaps is not None:
            self.send_after(WALL_CLOCK_CHECK, CheckWallClock())

    def translate(self, error: BaseException) -> BaseException:
        """Return *error* as a SecretsError, so that callers through pykka get only these, too."""
        return translated(error)

    def status(self) -> str:
        """Return a few words about the state, for the drawing of the tree. For any thread."""
        draining = ", draining" if self._drained_by else ""
        waiting = f"{self._flights.waiting} of {self._limits.max_pending} waiting"
        return f"{waiting}, {len(self._table)} cached, breaker {self._flights.circuit}{draining}"

    def _gauges(self) -> Iterable[Reading]:
        """Return the readings for the metrics. For any thread. An actor that has ended gives only one: no caller waits
        for it."""
        lives = self.me.is_alive()
        yield metrics.WAITING, (), self._flights.waiting if lives else 0
        if not lives:
            return
        supply, state = self._flights.supply, self._flights.circuit
        idle = len(supply.idle)
        yield metrics.QUEUE, (), len(supply.waiting)
        yield metrics.WORKERS, ("idle",), idle
        yield metrics.WORKERS, ("busy",), len(supply.workers) - idle
        for circuit in Circuit:
            yield metrics.BREAKER, (circuit.value,), float(circuit is state)
        for moment, date in zip(("end", "renewal"), self._flights.credential_dates, strict=True):
            if date is not None:
                yield metrics.CREDENTIALS, (moment,), date.timestamp()

    def _now(self) -> Moment:
        return Moment(self.node.clock.now(), self._wall_clock())

    # --- messages -------------------------------------------------------------------------------------------------

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """Take an operation, or another request."""
        if isinstance(request, _OPERATIONS):
            self._admit(request, caller)
            if caller.note is not None:
                caller.note.taken = True
        elif isinstance(request, Invalidate):
            self._invalidate(request, caller)
        elif isinstance(request, UseBackend):
            self._use_backend(request.factory)
            return Reply(None)
        elif isinstance(request, Ping):
            return Reply(None)
        elif isinstance(request, Drain):
            self._drained_by.append(caller)
            now = self._now()
            until = now.clock + self._limits.call_timeout if caller.deadline is None else caller.deadline
            self._carry_out(self._flights.drain(until, now))
        else:
            caller.fail(UnknownMessage(f"the secrets actor has no operation {type(request).__name__}"))
        return None

    def handle_info(self, message: Any) -> Handled:
        """Take a message of a worker, a timer or a monitor, or an operation whose caller wants no answer."""
        flights = self._flights
        match message:
            case JobDone():
                self._carry_out(flights.job_done(message, self._now()))
            case JobFailed():
                self._carry_out(flights.job_failed(message, self._now()))
            case WorkerReady(worker, number):
                if worker.is_alive():
                    self._carry_out(flights.worker_ready(worker, number, self._now()))
            case Down(_, Pid() as worker, reason):
                self._carry_out(flights.worker_gone(worker, reason, self._now()))
            case Overdue(number):
                self._overdue_timers.pop(number, None)
                self._carry_out(flights.overdue(number, self._now()))
            case RenewCredentials():
                self._carry_out(flights.renewal_due(message, self._now()))
            case FreshTimeOver():
                self._carry_out(flights.fresh_time_over(message, self._now()))
            case CallDone(tag, done) if callable(tag):
                tag(done)
            case WorkersOverdue():
                self._carry_out(flights.workers_overdue(self._now()))
            case StartWorkersAgain():
                self._carry_out(flights.start_again(self._now()))
            case EndIdleWorkers():
                self._carry_out(flights.end_idle(self._now()))
            case AdoptionOver(workers):
                self._carry_out(flights.end_unannounced(workers, self._now()))
            case CallerTimedOut(waiter):
                self._caller_timed_out(waiter)
            case CallerGaveUp():
                self._carry_out(flights.caller_gave_up(self._now()))
            case Sweep(left):
                left = self._effects.sweep(self.node.clock.now(), left)
                self.send_after(0.0 if left else SWEEP, Sweep(left))
            case CheckWallClock():
                self._check_wall_clock()
            case Invalidate():
                self._invalidate(message, self._nobody(message))
            case _ if isinstance(message, _OPERATIONS):
                self._admit(message, self._nobody(message))
        return None

    def _check_wall_clock(self) -> None:
        clock_leapt = 0.0 if self._leaps is None else self._leaps()
        if clock_leapt:
            self._effects.clock_leapt(clock_leapt)
            self._flights.outdate_reads()
            self.node.observe(ClockLeapt(self.me.label, round(clock_leapt, 3)))
        self.send_after(WALL_CLOCK_CHECK, CheckWallClock())

    def _caller_timed_out(self, waiter: Waiter) -> None:
        error = out_of_time(waiter.operation)
        stale = stale_answer(self._table, waiter.operation, error, self.node.clock.now())
        if stale is None or waiter.gone:
            waiter.reply_to.fail(error)  # the audit record is written when the flight lands
        else:
            self._replies.answer(waiter, stale, STALE)

    def _invalidate(self, message: Invalidate, caller: From[Any]) -> None:
        """Do what `Invalidate` says at once, even while the actor drains or too many callers wait: it does not wait for
        anything, and does not ask the store."""
        self._outdate(SecretId(message.secret_id).lanes)
        self._replies.answer(self._waiter(message, caller), None, "actor")

    def _outdate(self, lanes: tuple[str, ...]) -> None:
        self._flights.invalidated(lanes)
        self._effects.invalidated(lanes, self.node.clock.now())

    def _use_backend(self, factory: BackendFactory) -> None:
        now = self._now()
        self._current_backend.replace(factory)
        self._effects.backend_changed(now.clock)
        self._carry_out(self._flights.backend_changed(factory, self._current_backend.now[0], now))

    # --- callers --------------------------------------------------------------------------------------------------

    def _admit(self, operation: Operation[Any], caller: From[Any]) -> None:
        operation = with_token(operation, new_uuid)
        waiter = self._waiter(operation, caller)
        if self._drained_by:
            self._replies.refuse(waiter, ServerDown("the system is being stopped: this was not begun"), "actor")
        elif isinstance(operation, Get) and self._answered_from_memory(operation, waiter):
            pass
        elif self._flights.waiting >= self._limits.max_pending:
            error = Overloaded(f"{self._limits.max_pending} callers are waiting already; try again later")
            self._replies.refuse(waiter, error, "actor")
        else:
            # The cache drops a write's secret before anything else is decided. The client relies on it: it looks into
            # the cache again once the write is taken up, even if its caller has given up meanwhile.
            if operation.writes:
                self._effects.write_begun(operation)
            self._carry_out(self._flights.asked(waiter, self._now()))

    def _answered_from_memory(self, get: Get, waiter: Waiter) -> bool:
        now = waiter.arrived
        cached = self._table.read(get, now)
        if cached is not None:
            self._replies.answer(waiter, cached, Source.CACHE)
            if self._table.asks_refresh(get, now):
                self._ask_in_background(refreshed(get))
            return True
        missing = self._table.missing(get, now)
        if missing is not None:
            self._replies.refuse(waiter, missing, Source.CACHE)
        return missing is not None

    def _ask_in_background(self, get: Get) -> None:
        if not self._drained_by:
            self._admit(get, self._nobody(get))

    def _ask_anew(self, secret_ids: Iterable[str]) -> None:
        for secret_id in secret_ids:
            self._ask_in_background(Get(secret_id, refresh=True))

    def _nobody(self, operation: Operation[Any]) -> From[Any]:
        """Return a caller for *operation* whose answer nobody waits for. If it is a refresh, the outcome is counted."""
        caller: From[Any] = From()
        if isinstance(operation, Get) and operation.refresh:
            meter = self._meter
            caller.on_settled(lambda done: meter.count(metrics.REFRESHES, "ahead", _outcome(done.error)))
        return caller

    def _waiter(self, operation: Operation[Any], caller: From[Any]) -> Waiter:
        now, deadline, allowed, early = self.node.clock.now(), caller.deadline, self._limits.call_timeout, 0.0
        if deadline is not None:
            if caller.note is not None:  # one of our clients, which ends its waiting itself: no timer is needed
                return Waiter(caller, operation, now, deadline)
            if deadline - now < allowed:
                # pykka's own timeout error would say less, so the actor's error comes a little earlier.
                allowed = deadline - now
                early = min(HEADROOM, allowed * HEADROOM_SHARE) / 2
        waiter = Waiter(caller, operation, now, now + allowed)
        timer = self.send_after(allowed - early, CallerTimedOut(waiter))
        caller.on_settled(lambda _: self.cancel_timer(timer))
        return waiter

    # --- carrying actions out -------------------------------------------------------------------------------------

    def _carry_out(self, actions: list[do.Action]) -> None:
        """Carry out *actions*, and the further ones that they lead to (rule 7)."""
        self._to_do.extend(actions)
        if self._carries_out:
            return
        self._carries_out = True
        try:
            while self._to_do:
                self._act(self._to_do.popleft())
        finally:
            self._carries_out = False
        if self._drained_by:
            self._tell_if_drained()

    def _act(self, action: do.Action) -> None:
        match action:
            case do.Send(worker, job, seconds):
                cast(worker, job)
                self._overdue_timers[job.number] = self.send_after(seconds, Overdue(job.number))
            case do.Disarm(number):
                timer = self._overdue_timers.pop(number, None)
                if timer is not None:
                    self.cancel_timer(timer)
            case do.Settle(flight, answer, kept):
                now = self.node.clock.now()
                anew = self._effects.answered(flight, answer, kept, now)
                if isinstance(flight.operation, CurrentVersions):
                    for name in self._effects.told_versions(flight, answer.value, now):
                        self._outdate((name,))
                self._replies.settle(flight, answer, Source.BACKEND)
                self._ask_anew(anew)
            case do.Fail(flight, error, kept):
                now = self.node.clock.now()
                anew = self._effects.failed(flight, error, kept, now)
                for waiter in flight.waiters:
                    self._refuse(waiter, error, now)
                self._ask_anew(anew)
            case do.Refuse(waiter, error):
                self._refuse(waiter, error, waiter.arrived)
            case do.ServeStale(waiters, error):
                now = self.node.clock.now()
                for waiter in waiters:
                    if not waiter.gone:
                        self._served_stale(waiter, error, now)
            case do.NoteGone(waiters):
                for waiter in waiters:
                    self._replies.refuse(waiter, out_of_time(waiter.operation), "actor")
            case do.Recall(flight):
                found = self._recalled(flight.waiters)
                self._carry_out(self._flights.recalled(flight, found, self._now()))
            case do.Drop(lanes):
                self._effects.drop(lanes)
            case do.AskAnew(lanes):
                self._ask_anew(self._effects.in_doubt(lanes))
            case do.SetTimer(seconds, message):
                self.send_after(seconds, message)
            case do.Count(metric, labels):
                self._meter.count(metric, *labels)
            case do.Observe(event):
                self.node.observe(event)
            case _:
                self._act_on_workers(action)

    def _act_on_workers(self, action: do.Action) -> None:
        supervisor = self._pool.supervisor
        match action:
            case do.StartWorkers(count):
                self._start_workers(count)
            case do.Monitor(worker):
                self.monitor(worker)
            case do.Adopt(worker):
                self.monitor(worker)
                cast(worker, Announce())
            case do.Dismiss(worker):
                cast(supervisor, TerminatePid(worker))
            case do.CutOff(worker):
                worker.finish(HUNG)
            case do.Kill(worker):
                worker.kill()

    def _refuse(self, waiter: Waiter, error: SecretsError, now: float) -> None:
        """Give *waiter* a value that may be served stale, or else *error*."""
        waiter.caller.meets(error.code)
        if not self._served_stale(waiter, error, now):
            self._replies.refuse(waiter, error, Source.BACKEND)

    def _served_stale(self, waiter: Waiter, error: SecretsError, now: float) -> bool:
        """Give *waiter* a value that may be served stale in place of *error*. Return whether there is one."""
        stale = stale_answer(self._table, waiter.operation, error, now)
        if stale is None:
            return False
        waiter.caller.meets(error.code)
        self._replies.answer(waiter, stale, STALE)
        return True

    def _recalled(self, waiters: list[Waiter]) -> bool:
        """Answer *waiters* from memory if it has the answers for all of them, and return whether it has: a set that was
        before them in the lane may have filled the cache."""
        now = self.node.clock.now()
        found = [isinstance(one.operation, Get) and self._table.read(one.operation, now) for one in waiters]
        if not waiters or not all(found):
            return False
        for waiter, secret in zip(waiters, found, strict=True):
            self._replies.answer(waiter, secret, Source.CACHE)
        return True

    def _tell_if_drained(self) -> None:
        if self._flights.drained:
            for caller in self._drained_by:
                caller.reply(None)

    # --- the supervisor of the workers ----------------------------------------------------------------------------

    def _workers_found(self, done: Any) -> None:
        """Take the supervisor's answer to the question which workers there are. After an error, adopt none."""
        present: list[tuple[Pid, bool]] = []
        if not isinstance(done.error, OtpError):
            pids = [child.pid for child in done.result() if child.pid is not None]
            present = [(pid, not pid.mailbox_idle()) for pid in pids]
        self._carry_out(self._flights.adopt(present, self._now()))

    def _start_workers(self, count: int) -> None:
        label = self._pool.spec.id
        hung = sum([pid.label == label for pid in self.node.disowned])  # cut off, but their threads have not ended
        instead = self._flights.hang(count, hung, self._now())
        if instead is not None:
            self._carry_out(instead)
            return
        for _ in range(count):
            self.call_async(self._pool.supervisor, StartChild(self._pool.spec), self._worker_started)

    def _worker_started(self, done: Any) -> None:
        """Take the supervisor's answer to a request to start a worker.

        An error that is no failed start needs nothing to be done. If the supervisor has no room for a worker, the
        present workers will announce themselves. If there is no supervisor, this actor is about to end with it.
        """
        now = self._now()
        if done.error is None:
            self._carry_out(self._flights.worker_started(now))
        elif isinstance(done.error, StartError):
            if lacks_thread(done.error.reason):
                self._carry_out(self._flights.no_thread(now, final=no_more()))
            else:
                self._carry_out(self._flights.worker_not_started(type(done.error).__name__, now))


def _outcome(error: BaseException | None) -> str:
    """Return the outcome as the label of a counter: `ok`, an error's code, or `ended` for an error of the OTP layer."""
    return "ok" if error is None else error.code if isinstance(error, SecretsError) else "ended"
