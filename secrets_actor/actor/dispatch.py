"""From a flight that may take off to its outcome: workers, keys, alarms.

Rule 1: every job that is sent has an alarm. A job not done by its deadline costs its worker its life.
Rule 2: a job whose worker ended goes to another worker, MAX_CRASHES times: a set keeps its token, so that it cannot
        write twice.
Rule 3: keys are fetched by a worker; all who need them wait for the one fetch. Keys that the store refused are dropped;
        expired ones are fetched anew, once for each flight.
Rule 4: nobody's job is not done: a flight that all have given up on is cancelled before it is sent.
Rule 5: a new actor adopts the workers it finds; one that does not answer in time is ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from secrets_actor.actor.failures import out_of_time, workers_crashed
from secrets_actor.actor.flights import Flight, Outcomes
from secrets_actor.actor.jobs import (
    Announce,
    FetchCredentials,
    Job,
    JobDone,
    JobFailed,
    Nudge,
    Overdue,
    Unadopted,
    WorkerReady,
)
from secrets_actor.actor.keyring import Keyring
from secrets_actor.actor.pool import Pool
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, ExpiredToken, SecretsError, WorkerCrashed
from secrets_actor.domain.ports import BackendKit, CallContext
from secrets_actor.otp import (
    Address,
    CallDone,
    ChildSpec,
    Down,
    ExitReason,
    GenServer,
    OtpError,
    Pid,
    StartChild,
    Timer,
    WhichChildren,
    cast,
)

# A job that ended this many workers will end the next one, too.
MAX_CRASHES: Final = 3
# A job ends this share of its time early, but at most this many seconds, so that the worker's own error, which knows
# more than an alarm, is there before the caller's time is up.
HEADROOM_SHARE: Final = 0.1
HEADROOM: Final = 0.05
# Seconds after which a worker that was to come, and did not, is no longer counted on.
PATIENCE: Final = 1.0
KEYS: Final = 0  # the job id of a fetch of credentials; flights count from 1


@dataclass(frozen=True, slots=True)
class Crew:
    """Where workers come from: their supervisor, the spec of one, and how many there may be."""

    supervisor: Address
    spec: ChildSpec
    max_workers: int


class Dispatcher:
    """Part of the secrets actor: runs in its thread, sends in its name."""

    def __init__(
        self,
        server: GenServer,
        outcomes: Outcomes,
        kit: BackendKit,
        crew: Crew,
        call_timeout: float,
        wall_clock: Callable[[], datetime],
    ) -> None:
        self._server, self._outcomes, self._kit, self._crew = server, outcomes, kit, crew
        self._call_timeout = call_timeout
        self._clock = server.node.clock
        self._pool = Pool[Pid](crew.max_workers)
        self._flights: dict[int, Flight] = {}
        self._alarms: dict[int, Timer] = {}
        self._keys = Keyring(wall_clock)
        self._keys_crashes = 0
        self._nudged = False

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._server.call_async(self._crew.supervisor, WhichChildren(), self._adopt)

    def submit(self, flight: Flight, *, first: bool = False) -> None:
        """Have *flight* done, when there are keys and a worker for it."""
        if flight.deadline is None:
            self._outcomes.cancelled(flight)
            return
        if self._kit.credentials is not None:
            if self._keys.start_fetch():
                self._pool.submit(KEYS, first=True)
            if self._keys.current() is None:
                self._keys.lock_out(flight)
                self._assign()
                return
        self._flights[flight.id] = flight
        self._pool.submit(flight.id, first=first)
        self._assign()

    def handle(self, message: Any) -> bool:
        """Take a message that concerns workers. False if it does not."""
        match message:
            case JobDone(worker, job, answer):
                self._finished(worker, job.flight)
                if isinstance(answer, Credentials):
                    self._keys_crashes = 0
                    for flight in self._keys.fetched(answer):
                        self.submit(flight)
                else:
                    self._landed(job.flight, lambda flight: self._outcomes.done(flight, answer))
            case JobFailed(worker, job, error):
                self._finished(worker, job.flight)
                if isinstance(job, FetchCredentials):
                    self._keys_failed(error)
                else:
                    self._job_failed(job, error)
            case WorkerReady(worker):
                if worker.is_alive() and self._pool.ready(worker):
                    self._server.monitor(worker)
            case Down(_, Pid() as worker, reason):
                self._worker_gone(worker, reason)
            case Overdue(flight_id):
                self._overdue(flight_id)
            case CallDone(tag, done) if callable(tag):
                tag(done)
            case Nudge():
                self._nudged = False
                if self._pool.stuck:
                    self._pool.expect(-1)
            case Unadopted(workers):
                self._end_strangers(workers)
            case _:
                return False
        self._assign()
        return True

    # --- sending --------------------------------------------------------------------------------------------------

    def _assign(self) -> None:
        while True:
            plan = self._pool.assign()
            for _ in range(plan.start):
                self._server.call_async(self._crew.supervisor, StartChild(self._crew.spec), self._started)
            unwanted = sum(not self._send(worker, job) for worker, job in plan.give)
            if not unwanted:
                break
        if self._pool.stuck and not self._nudged:
            self._nudged = True
            self._server.send_after(PATIENCE, Nudge())

    def _send(self, worker: Pid, job: int) -> bool:
        """Send a job to *worker*; False, and the worker is free again, if nobody wants it any more."""
        now = self._clock.now()
        if job == KEYS:
            deadline = now + self._call_timeout
            cast(worker, FetchCredentials(KEYS, deadline))
        else:
            flight = self._flights[job]
            latest = flight.deadline
            if latest is None:
                self._pool.done(worker)
                del self._flights[job]
                self._outcomes.cancelled(flight)
                return False
            deadline, flight.started = latest, True
            headroom = min(HEADROOM, (deadline - now) * HEADROOM_SHARE)
            context = CallContext(deadline - headroom, self._keys.current())
            cast(worker, Job(job, flight.operation, context, flight.lane))
        self._alarms[job] = self._server.send_after(deadline - now, Overdue(job))
        return True

    def _finished(self, worker: Pid, job: int) -> None:
        self._pool.done(worker)
        self._disarm(job)

    def _disarm(self, job: int) -> None:
        alarm = self._alarms.pop(job, None)
        if alarm is not None:
            self._server.cancel_timer(alarm)

    def _landed(self, job: int, tell: Callable[[Flight], None]) -> None:
        flight = self._flights.pop(job, None)
        if flight is not None:  # else it was a predecessor's question
            tell(flight)

    def _again(self, flight: Flight) -> None:
        self._flights.pop(flight.id, None)
        flight.started = False
        self.submit(flight, first=True)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _job_failed(self, job: Job, error: SecretsError) -> None:
        flight = self._flights.get(job.flight)
        if isinstance(error, CredentialsError):
            self._keys.rejected()
            if flight is not None and isinstance(error, ExpiredToken) and not flight.reauthorised:
                flight.reauthorised = True
                self._again(flight)
                return
        now = self._clock.now()
        if flight is not None and now >= job.context.deadline and (flight.deadline or 0.0) > now + HEADROOM:
            self._again(flight)  # its time was up, but some joined later and have time left
            return
        self._landed(job.flight, lambda flight: self._outcomes.failed(flight, error))

    def _worker_gone(self, worker: Pid, reason: ExitReason) -> None:
        job = self._pool.gone(worker, comes_back=not reason.expected)
        if job is None:
            return
        self._disarm(job)
        if job == KEYS:
            self._keys_crashes += 1
            if self._keys_crashes < MAX_CRASHES:
                self._pool.submit(KEYS, first=True)
            else:
                self._keys_crashes = 0
                self._keys_failed(workers_crashed(reason, MAX_CRASHES))
            return
        flight = self._flights[job]
        flight.crashes += 1
        if flight.crashes < MAX_CRASHES:
            self._again(flight)
        else:
            self._landed(
                job,
                lambda flight: self._outcomes.failed(flight, workers_crashed(reason, MAX_CRASHES, flight.operation)),
            )

    def _overdue(self, job: int) -> None:
        self._alarms.pop(job, None)
        worker = self._pool.holder(job)
        if worker is None:
            return
        self._pool.gone(worker, comes_back=True)
        worker.kill()
        error = out_of_time(self._flights[job].operation if job in self._flights else None)
        if job == KEYS:
            self._keys_failed(error)
            return
        flight = self._flights[job]
        now = self._clock.now()
        if any(waiter.deadline > now and not waiter.gone for waiter in flight.waiters):
            self._again(flight)
        else:
            self._landed(job, lambda flight: self._outcomes.failed(flight, error))

    def _keys_failed(self, error: SecretsError) -> None:
        for flight in self._keys.failed():
            self._outcomes.failed(flight, error)

    # --- workers --------------------------------------------------------------------------------------------------

    def _started(self, done: Any) -> None:
        """The supervisor's answer to StartChild. The worker announces itself; only a failure is news."""
        if done.error is not None:
            self._pool.expect(-1)
            waiting = self._pool.waiting
            if waiting and self._pool.empty:
                self._pool.withdraw(waiting[0])
                error = WorkerCrashed("no worker could be started", error_type=type(done.error).__name__)
                if waiting[0] == KEYS:
                    self._keys_failed(error)
                else:
                    self._landed(waiting[0], lambda flight: self._outcomes.failed(flight, error))

    def _adopt(self, done: Any) -> None:
        if isinstance(done.error, OtpError):
            return
        workers = tuple(child.pid for child in done.result() if child.pid is not None)
        if workers:
            self._pool.expect(len(workers))
            for worker in workers:
                cast(worker, Announce())
            self._server.send_after(self._call_timeout, Unadopted(workers))

    def _end_strangers(self, workers: tuple[Pid, ...]) -> None:
        for worker in workers:
            if not self._pool.knows(worker):
                self._pool.expect(-1)
                worker.kill()
