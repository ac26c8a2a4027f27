"""From a flight that may take off to its outcome: workers, keys, alarms, the breaker.

Rule 1: every job that is sent has an alarm. A job not done by its deadline costs its worker its life.
Rule 2: a job whose worker ended goes to another worker, MAX_CRASHES times: a set keeps its token, so that it cannot
        write twice.
Rule 3: without keys nothing is sent (key_fetches.py). Keys that the store refused are dropped and fetched anew, once
        for each flight, which is sent again if they are others.
Rule 4: nobody's job is not done: a flight that all have given up on is cancelled before it is sent.
Rule 5: a job that the pool knows, waiting or given, is in `_flights`. What comes from a worker that is not on the job
        any more (it was cut off, or is an earlier actor's) is of use only if nobody else is on it.
Rule 6: when another store comes into force, workers of the one before finish what they are on and are let go.
Rule 7: while the breaker of the store's endpoint is open, nothing is sent, and what waits is refused at once; a write
        that was sent before is told what became of it then, for it may have taken effect.
Rule 8: what is sent to a store that did not answer lately (the probe, and what is under way when the breaker opens)
        goes on in the background, and so does what waits for keys when the last fetch of keys has failed: who waits for
        it and takes a stale value has that, after PATIENCE at most.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from random import random
from typing import Any, Final

from secrets_actor.actor.alarms import Alarms
from secrets_actor.actor.counting import gauges
from secrets_actor.actor.endpoint_watch import EndpointWatch, is_answer
from secrets_actor.actor.failures import out_of_time, workers_crashed
from secrets_actor.actor.flights import Flight, Outcomes
from secrets_actor.actor.jobs import (
    FetchCredentials,
    GaveUp,
    HireAgain,
    Hurry,
    Job,
    JobDone,
    JobFailed,
    Nudge,
    Overdue,
    Rest,
    Unadopted,
    WorkerReady,
)
from secrets_actor.actor.key_fetches import KEYS, MAX_CRASHES, PATIENCE, KeyFetches
from secrets_actor.actor.keyring import Keyring
from secrets_actor.actor.pool import Pool
from secrets_actor.actor.present_kit import PresentKit
from secrets_actor.actor.staff import Crew, Staff
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.metrics import NO_METER, RESENT, Meter
from secrets_actor.domain.ports import CallContext
from secrets_actor.otp import CallDone, Down, ExitReason, GenServer, Pid, cast

# A job ends this share of its time early, but at most this many seconds, so that the worker's own error, which knows
# more than an alarm, is there before the caller's time is up.
HEADROOM_SHARE: Final = 0.1
HEADROOM: Final = 0.05
# Seconds that a probe has, if its caller has less: a store that is slow is to be heard of, too. Not a write, which is
# not to take effect when nobody waits for it any more.
PROBE_TIME: Final = 5.0
# Seconds a worker may be late, on a busy machine, before that costs its life. Its callers do not wait for it.
GRACE: Final = 0.2


class Dispatcher:
    """Part of the secrets actor: runs in its thread, sends in its name."""

    def __init__(
        self,
        server: GenServer,
        outcomes: Outcomes,
        present: PresentKit,
        crew: Crew,
        call_timeout: float,
        wall_clock: Callable[[], datetime],
        meter: Meter = NO_METER,
        chance: Callable[[], float] = random,
    ) -> None:
        self._server, self._outcomes, self._present = server, outcomes, present
        self._number, self._factory = present.now
        self._call_timeout, self._meter = call_timeout, meter
        self._clock = server.node.clock
        self._pool = Pool[Pid](crew.max_workers)
        self._flights: dict[int, Flight] = {}
        self._alarms = Alarms(server)
        self._staff = Staff(server, crew, self._pool, call_timeout, self._failed, self._patience)
        self._keys = Keyring(wall_clock, self._clock.now)
        self._fetches = KeyFetches(server, self, self._pool, self._keys, call_timeout, meter)
        self.watch = EndpointWatch(server, crew.breaker, chance, self._factory)
        meter.watch("dispatcher", gauges(server, self._pool, self.watch))
        self._leaving: set[Pid] = set()  # workers of a store that is not in force any more

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._staff.adopt()

    def store_changed(self) -> None:
        """Another store is in force: workers of the old one get no new jobs, and its keys are nobody's."""
        self._number, self._factory = self._present.now
        self.watch.store_changed(self._factory)
        self._leaving.update(self._pool.workers)
        self._dismiss()
        self._fetches.store_changed(self._number)
        self._assign()

    def _dismiss(self) -> None:
        for worker in self._leaving.intersection(self._pool.idle):
            self._pool.dismiss(worker)
            self._leaving.discard(worker)
            self._staff.dismiss(worker)

    def submit(self, flight: Flight, *, first: bool = False) -> None:
        """Have *flight* done, when there are keys and a worker for it."""
        if flight.deadline is None:
            self._cancel(flight)
            return
        refusal = self._refusal(flight)
        if refusal is not None:
            self._outcomes.failed(flight, refusal)
            return
        if self._factory.credentials is not None and not self._keys.are_fresh():
            if self._keys.must_wait():
                self._fetches.lock_out(flight)
                self._assign()
                return
            self._fetches.start()
        self._flights[flight.id] = flight
        self._pool.submit(flight.id, first=first)
        self._assign()

    def _refusal(self, flight: Flight) -> SecretsError | None:
        refusal = self.watch.refusal(flight)
        return flight.doubt if refusal and flight.doubt and flight.operation.writes else refusal

    @property
    def trouble_with_keys(self) -> SecretsError | None:
        """Why there were no keys the last time, if there are none."""
        return self._fetches.trouble

    def refuse(self, flight: Flight, error: SecretsError) -> None:
        """*flight* has waited for keys, and there are none."""
        self.watch.withdrawn(flight)
        self._outcomes.failed(flight, error)

    def handle(self, message: Any) -> bool:
        """Take a message that concerns workers. False if it does not."""
        match message:
            case JobDone(worker, job, answer):
                if self._finished(worker, job.flight):
                    self._job_done(job.flight, answer)
                elif job.flight > KEYS and self._pool.withdraw(job.flight):
                    self._job_done(job.flight, answer)  # its worker ended right after it
            case JobFailed(worker, job, error):
                if self._finished(worker, job.flight):
                    self._job_failed(job, error)
            case WorkerReady(worker, number):
                if worker.is_alive() and self._pool.ready(worker):
                    self._server.monitor(worker)
                    if number != self._number:
                        self._leaving.add(worker)
                        self._dismiss()
            case Hurry(job):
                flight, trouble = self._flights.get(job), self.watch.refusal_of_another()
                waits_for_keys = None if flight is not None else self._fetches.waiting(job)
                if flight is not None and trouble is not None:
                    self._outcomes.hurried(flight, trouble)
                elif waits_for_keys is not None and self._fetches.trouble is not None:
                    self._outcomes.hurried(waits_for_keys, self._fetches.trouble)
            case GaveUp():
                self._gave_up()
            case Down(_, Pid() as worker, reason):
                self._worker_gone(worker, reason)
            case Overdue():
                self._overdue(message)
            case CallDone(tag, done) if callable(tag):
                tag(done)
            case Nudge():
                self._staff.nudge()
            case HireAgain():
                self._staff.hire_again()
            case Rest():
                self._staff.rest()
            case Unadopted(workers):
                self._staff.end_strangers(workers)
            case _:
                return False
        self._assign()
        return True

    # --- sending --------------------------------------------------------------------------------------------------

    def _assign(self) -> None:
        while True:
            plan = self._pool.assign()
            self._staff.start(plan.start)
            unwanted = sum(not self._send(worker, job) for worker, job in plan.give)
            if not unwanted:
                break
        self._staff.watch()

    def _send(self, worker: Pid, job: int) -> bool:
        """Send a job to *worker*; False, and the worker is free again, if nobody wants it any more."""
        now = self._clock.now()
        if job <= KEYS:
            deadline = self._fetches.deadline(now)
            cast(worker, FetchCredentials(job, deadline))
        else:
            flight = self._flights[job]
            latest, keys = flight.deadline, self._keys.current()
            if latest is None or latest <= now:
                return self._turned_away(worker, job, self._cancel)
            if keys is None and self._factory.credentials is not None:  # refused or expired since it was submitted
                return self._turned_away(worker, job, self._fetches.lock_out)
            if (refused := flight.refused) is not None and refused[0] == keys:
                return self._turned_away(worker, job, lambda flight: self.refuse(flight, refused[1]))
            deadline = latest
            if self.watch.is_probe(flight):
                deadline = latest if flight.operation.writes else max(latest, now + PROBE_TIME)
                self._server.send_after(PATIENCE, Hurry(flight.id))
            flight.started, flight.latest = True, deadline
            self.watch.sent(flight)
            headroom = min(HEADROOM, (deadline - now) * HEADROOM_SHARE)
            context = CallContext(deadline - headroom, keys, flight.repeated, [])
            flight.sendings.append((now, context.attempts))
            cast(worker, Job(job, flight.operation, context, flight.lanes))
        self._alarms.arm(job, deadline - now + GRACE)
        return True

    def _patience(self, job: int) -> float:
        """For how many seconds a job can wait for a worker yet."""
        if job <= KEYS:
            return self._fetches.patience(self._clock.now())
        return (self._flights[job].deadline or 0.0) - self._clock.now()

    def _cancel(self, flight: Flight) -> None:
        self.watch.withdrawn(flight)
        self._outcomes.cancelled(flight)

    def _turned_away(self, worker: Pid, job: int, instead: Callable[[Flight], None]) -> bool:
        self._pool.done(worker)
        instead(self._flights.pop(job))
        return False

    def _finished(self, worker: Pid, job: int) -> bool:
        if self._pool.holder(job) is not worker:
            return False
        self._pool.done(worker)
        self._dismiss()
        self._alarms.disarm(job)
        return True

    def _job_done(self, job: int, answer: Any) -> None:
        if job <= KEYS:
            self._fetches.done(job, answer)
        else:
            flight = self._flights.pop(job)
            self.watch.answered(flight)
            self._outcomes.done(flight, answer)

    def _again(self, flight: Flight, doubt: SecretsError | None = None) -> None:
        del self._flights[flight.id]
        flight.started, flight.repeated, flight.doubt = False, True, doubt or flight.doubt
        self._meter.count(RESENT)
        self._outcomes.delayed(flight)
        self.submit(flight, first=True)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _job_failed(self, job: Job | FetchCredentials, error: SecretsError) -> None:
        if isinstance(job, FetchCredentials):
            self._failed(job.flight, error)
            return
        flight = self._flights[job.flight]
        if is_answer(error):
            self.watch.answered(flight)
        if self._keys.refused(flight, job.context.credentials, error):
            self._again(flight)
            return
        now = self._clock.now()
        if now >= job.context.deadline and (flight.deadline or 0.0) > now + HEADROOM:
            self._lost(flight, error)
            self._again(flight, error)  # its time was up, but some joined later and have time left
            return
        self._failed(job.flight, error)

    def _failed(self, job: int, error: SecretsError) -> None:
        if job <= KEYS:
            self._fetches.failed(job, error)
            return
        flight = self._flights.pop(job)
        self._lost(flight, error)
        self._outcomes.failed(flight, error)

    def _lost(self, flight: Flight, error: SecretsError, *, goes_on: bool = False) -> None:
        """*flight* met *error*, which may speak against the store's endpoint. *goes_on*: its answer may come yet."""
        if self.watch.failed(flight, error, flight.latest):
            self._refuse_all()
            for other in tuple(self._flights.values()):
                if goes_on or other is not flight:
                    self._outcomes.hurried(other, error)

    def _gave_up(self) -> None:
        """A caller has given up. If the store has been silent for long, that counts as if the caller's deadline had
        passed: the flight's own may be much later."""
        if self.watch.hears_nothing():
            for flight in tuple(self._flights.values()):
                if flight.started and self.watch.hears_nothing(flight) and any(one.gone for one in flight.waiters):
                    self._lost(flight, out_of_time(flight.operation), goes_on=True)
                    return

    def _refuse_all(self) -> None:
        """The breaker has opened: whoever waits for a worker hears it now."""
        for job in self._pool.waiting:
            refusal = self._refusal(self._flights[job]) if job > KEYS else None
            if refusal is not None:
                self._pool.withdraw(job)
                self._outcomes.failed(self._flights.pop(job), refusal)

    def _worker_gone(self, worker: Pid, reason: ExitReason) -> None:
        self._leaving.discard(worker)
        job = self._pool.gone(worker, comes_back=not reason.expected)
        if job is None:
            return
        self._alarms.disarm(job)
        if job <= KEYS:
            self._fetches.crashed(job, reason)
            return
        flight = self._flights[job]
        flight.crashes += 1
        error = workers_crashed(reason, flight.crashes, flight.operation)
        if flight.crashes < MAX_CRASHES:
            self._again(flight, error)
        else:
            self._failed(job, error)

    def _overdue(self, overdue: Overdue) -> None:
        job = overdue.flight
        worker = self._pool.holder(job)
        if worker is None or not self._alarms.rings(overdue):
            return
        self._alarms.disarm(job)
        self._pool.gone(worker, comes_back=False)
        self._staff.cut_off(worker)
        if job <= KEYS:
            self._fetches.hung(job, worker)
            return
        flight = self._flights[job]
        if (flight.deadline or 0.0) > self._clock.now():
            self._lost(flight, out_of_time(flight.operation))
            self._again(flight, out_of_time(flight.operation))
        else:
            self._failed(job, out_of_time(flight.operation))
