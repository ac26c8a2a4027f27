"""From a flight that may take off to its outcome: workers, keys, alarms.

Rule 1: every job that is sent has an alarm. A job not done by its deadline costs its worker its life.
Rule 2: a job whose worker ended goes to another worker, MAX_CRASHES times: a set keeps its token, so that it cannot
        write twice.
Rule 3: keys are fetched by a worker; all who need them wait for the one fetch. Keys that the store refused are dropped;
        expired ones are fetched anew, once for each flight.
Rule 4: nobody's job is not done: a flight that all have given up on is cancelled before it is sent.
Rule 5: a job that the pool knows, waiting or given, is in `_flights`. What comes from a worker that is not on the job
        any more (it was cut off, or is an earlier actor's) is of use only if nobody else is on it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from secrets_actor.actor.alarms import Alarms
from secrets_actor.actor.failures import out_of_time, workers_crashed
from secrets_actor.actor.flights import Flight, Outcomes
from secrets_actor.actor.jobs import FetchCredentials, Job, JobDone, JobFailed, Nudge, Overdue, Unadopted, WorkerReady
from secrets_actor.actor.keyring import Keyring
from secrets_actor.actor.pool import Pool
from secrets_actor.actor.staff import Crew, Staff
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, ExpiredToken, SecretsError
from secrets_actor.domain.ports import BackendKit, CallContext
from secrets_actor.otp import CallDone, Down, ExitReason, GenServer, Pid, cast

# A job that ended this many workers will end the next one, too.
MAX_CRASHES: Final = 3
# A job ends this share of its time early, but at most this many seconds, so that the worker's own error, which knows
# more than an alarm, is there before the caller's time is up.
HEADROOM_SHARE: Final = 0.1
HEADROOM: Final = 0.05
# Seconds a worker may be late, on a busy machine, before that costs its life. Its callers do not wait for it.
GRACE: Final = 0.2
KEYS: Final = 0  # the job id of a fetch of credentials; flights count from 1


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
        self._server, self._outcomes, self._kit = server, outcomes, kit
        self._call_timeout = call_timeout
        self._clock = server.node.clock
        self._pool = Pool[Pid](crew.max_workers)
        self._flights: dict[int, Flight] = {}
        self._alarms = Alarms(server)
        self._staff = Staff(server, crew, self._pool, call_timeout, self._failed)
        self._keys = Keyring(wall_clock)
        self._keys_crashes = 0

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._staff.adopt()

    def submit(self, flight: Flight, *, first: bool = False) -> None:
        """Have *flight* done, when there are keys and a worker for it."""
        if flight.deadline is None:
            self._outcomes.cancelled(flight)
            return
        if self._kit.credentials is not None:
            if self._keys.current() is None:
                self._lock_out(flight)
                self._assign()
                return
            self._fetch_keys()
        self._flights[flight.id] = flight
        self._pool.submit(flight.id, first=first)
        self._assign()

    def _lock_out(self, flight: Flight) -> None:
        self._keys.lock_out(flight)
        self._fetch_keys()

    def _fetch_keys(self) -> None:
        if self._keys.start_fetch():
            self._pool.submit(KEYS, first=True)

    def handle(self, message: Any) -> bool:
        """Take a message that concerns workers. False if it does not."""
        match message:
            case JobDone(worker, job, answer):
                if self._finished(worker, job.flight):
                    self._job_done(job.flight, answer)
                elif job.flight != KEYS and self._pool.withdraw(job.flight):
                    self._job_done(job.flight, answer)  # its worker ended right after it
            case JobFailed(worker, job, error):
                if self._finished(worker, job.flight):
                    self._job_failed(job, error)
            case WorkerReady(worker):
                if worker.is_alive() and self._pool.ready(worker):
                    self._server.monitor(worker)
            case Down(_, Pid() as worker, reason):
                self._worker_gone(worker, reason)
            case Overdue():
                self._overdue(message)
            case CallDone(tag, done) if callable(tag):
                tag(done)
            case Nudge():
                self._staff.nudge()
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
        if job == KEYS:
            deadline = now + self._call_timeout
            cast(worker, FetchCredentials(KEYS, deadline))
        else:
            flight = self._flights[job]
            latest, keys = flight.deadline, self._keys.current()
            if latest is None or latest <= now:
                self._pool.done(worker)
                self._outcomes.cancelled(self._flights.pop(job))
                return False
            if keys is None and self._kit.credentials is not None:  # refused or expired since it was submitted
                self._pool.done(worker)
                self._lock_out(self._flights.pop(job))
                return False
            deadline, flight.started = latest, True
            headroom = min(HEADROOM, (deadline - now) * HEADROOM_SHARE)
            context = CallContext(deadline - headroom, keys)
            cast(worker, Job(job, flight.operation, context, flight.lane))
        self._alarms.arm(job, deadline - now + GRACE)
        return True

    def _finished(self, worker: Pid, job: int) -> bool:
        if self._pool.holder(job) is not worker:
            return False
        self._pool.done(worker)
        self._alarms.disarm(job)
        return True

    def _job_done(self, job: int, answer: Any) -> None:
        if job == KEYS:
            self._keys_fetched(answer)
        else:
            self._outcomes.done(self._flights.pop(job), answer)

    def _again(self, flight: Flight) -> None:
        del self._flights[flight.id]
        flight.started = False
        self._outcomes.delayed(flight)
        self.submit(flight, first=True)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _job_failed(self, job: Job | FetchCredentials, error: SecretsError) -> None:
        if isinstance(job, FetchCredentials):
            self._failed(KEYS, error)
            return
        flight = self._flights[job.flight]
        if isinstance(error, CredentialsError):
            self._keys.rejected(job.context.credentials)
            if isinstance(error, ExpiredToken) and not flight.reauthorised:
                flight.reauthorised = True
                self._again(flight)
                return
        now = self._clock.now()
        if now >= job.context.deadline and (flight.deadline or 0.0) > now + HEADROOM:
            self._again(flight)  # its time was up, but some joined later and have time left
            return
        self._failed(job.flight, error)

    def _failed(self, job: int, error: SecretsError) -> None:
        if job == KEYS:
            self._keys_failed(error)
        else:
            self._outcomes.failed(self._flights.pop(job), error)

    def _worker_gone(self, worker: Pid, reason: ExitReason) -> None:
        job = self._pool.gone(worker, comes_back=not reason.expected)
        if job is None:
            return
        self._alarms.disarm(job)
        if job == KEYS:
            self._keys_crashes += 1
            if self._keys_crashes < MAX_CRASHES:
                self._pool.submit(KEYS, first=True)
            else:
                self._failed(KEYS, workers_crashed(reason, MAX_CRASHES))
            return
        flight = self._flights[job]
        flight.crashes += 1
        if flight.crashes < MAX_CRASHES:
            self._again(flight)
        else:
            self._failed(job, workers_crashed(reason, MAX_CRASHES, flight.operation))

    def _overdue(self, overdue: Overdue) -> None:
        job = overdue.flight
        worker = self._pool.holder(job)
        if worker is None or not self._alarms.rings(overdue):
            return
        self._alarms.disarm(job)
        self._pool.gone(worker, comes_back=True)
        worker.kill()
        if job == KEYS:
            self._failed(KEYS, out_of_time(None))
            return
        flight = self._flights[job]
        if (flight.deadline or 0.0) > self._clock.now():
            self._again(flight)
        else:
            self._failed(job, out_of_time(flight.operation))

    def _keys_fetched(self, credentials: Credentials) -> None:
        self._keys_crashes = 0
        waiting = self._keys.fetched(credentials)
        if self._keys.current() is not None:
            for flight in waiting:
                self.submit(flight)
            return
        error = ExpiredToken("the keys that were fetched have expired already: check this machine's clock")
        for flight in waiting:
            self._outcomes.failed(flight, error)

    def _keys_failed(self, error: SecretsError) -> None:
        self._keys_crashes = 0
        for flight in self._keys.failed():
            self._outcomes.failed(flight, error)
