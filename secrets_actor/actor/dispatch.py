"""From a flight that may take off to its outcome: workers, keys, alarms.

Rule 1: every job that is sent has an alarm. A job not done by its deadline costs its worker its life.
Rule 2: a job whose worker ended goes to another worker, MAX_CRASHES times: a set keeps its token, so that it cannot
        write twice.
Rule 3: keys are fetched by a worker; all who need them wait for the one fetch. Keys that the store refused are dropped
        and fetched anew, once for each flight; it goes again if they are others by then, as a rotated file's are. A
        fetch that fails while the old keys are good is nobody's failure, and ends early enough for those who wait to go
        with the old ones.
Rule 4: nobody's job is not done: a flight that all have given up on is cancelled before it is sent.
Rule 5: a job that the pool knows, waiting or given, is in `_flights`. What comes from a worker that is not on the job
        any more (it was cut off, or is an earlier actor's) is of use only if nobody else is on it.
Rule 6: when another store comes into force, workers of the one before finish what they are on and are let go.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from secrets_actor.actor.alarms import Alarms
from secrets_actor.actor.failures import out_of_time, workers_crashed
from secrets_actor.actor.flights import Flight, Outcomes
from secrets_actor.actor.jobs import (
    FetchCredentials,
    Job,
    JobDone,
    JobFailed,
    Nudge,
    Overdue,
    Unadopted,
    WorkerReady,
)
from secrets_actor.actor.keyring import Keyring, RenewalFailed
from secrets_actor.actor.pool import Pool
from secrets_actor.actor.present_kit import PresentKit
from secrets_actor.actor.staff import Crew, Staff
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import ExpiredToken, SecretsError
from secrets_actor.domain.ports import CallContext
from secrets_actor.otp import CallDone, Down, ExitReason, GenServer, Pid, cast

# A job that ended this many workers will end the next one, too.
MAX_CRASHES: Final = 3
# A job ends this share of its time early, but at most this many seconds, so that the worker's own error, which knows
# more than an alarm, is there before the caller's time is up.
HEADROOM_SHARE: Final = 0.1
HEADROOM: Final = 0.05
# Seconds a worker may be late, on a busy machine, before that costs its life. Its callers do not wait for it.
GRACE: Final = 0.2
# A fetch that is to replace good keys has this share of the configured call time.
RENEWAL_SHARE: Final = 0.5
KEYS: Final = 0  # job ids of fetches of credentials: this one, and one less for each store after the first


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
    ) -> None:
        self._server, self._outcomes, self._present = server, outcomes, present
        self._number, self._kit = present.now
        self._call_timeout = call_timeout
        self._clock = server.node.clock
        self._pool = Pool[Pid](crew.max_workers)
        self._flights: dict[int, Flight] = {}
        self._alarms = Alarms(server)
        self._staff = Staff(server, crew, self._pool, call_timeout, self._failed)
        self._keys = Keyring(wall_clock)
        self._keys_crashes = 0
        self._leaving: set[Pid] = set()  # workers of a store that is not in force any more

    def adopt(self) -> None:
        """Ask the supervisor who is there already."""
        self._staff.adopt()

    def store_changed(self) -> None:
        """Another store is in force: workers of the old one get no new jobs, and its keys are nobody's."""
        self._pool.withdraw(self._keys_job)
        self._number, self._kit = self._present.now
        self._keys_crashes = 0
        self._leaving.update(self._pool.workers)
        self._dismiss()
        for flight in self._keys.start_over():
            self.submit(flight)
        self._assign()

    @property
    def _keys_job(self) -> int:
        """The job id of a fetch of keys for the store in force."""
        return KEYS - self._number

    def _dismiss(self) -> None:
        for worker in self._leaving.intersection(self._pool.idle):
            self._pool.dismiss(worker)
            self._leaving.discard(worker)
            self._staff.dismiss(worker)

    def submit(self, flight: Flight, *, first: bool = False) -> None:
        """Have *flight* done, when there are keys and a worker for it."""
        if flight.deadline is None:
            self._outcomes.cancelled(flight)
            return
        if self._kit.credentials is not None:
            if self._keys.must_wait():
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
            self._pool.submit(self._keys_job, first=True)

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
        if job <= KEYS:
            deadline = now + self._call_timeout * (1 if self._keys.current() is None else RENEWAL_SHARE)
            cast(worker, FetchCredentials(job, deadline))
        else:
            flight = self._flights[job]
            latest, keys = flight.deadline, self._keys.current()
            if latest is None or latest <= now:
                return self._turned_away(worker, job, self._outcomes.cancelled)
            if keys is None and self._kit.credentials is not None:  # refused or expired since it was submitted
                return self._turned_away(worker, job, self._lock_out)
            if (refused := flight.refused) is not None and refused[0] == keys:
                return self._turned_away(worker, job, lambda flight: self._outcomes.failed(flight, refused[1]))
            deadline, flight.started = latest, True
            headroom = min(HEADROOM, (deadline - now) * HEADROOM_SHARE)
            context = CallContext(deadline - headroom, keys, repeated=flight.repeated)
            cast(worker, Job(job, flight.operation, context, flight.lane))
        self._alarms.arm(job, deadline - now + GRACE)
        return True

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
        if job == self._keys_job:
            self._keys_fetched(answer)
        elif job > KEYS:
            self._outcomes.done(self._flights.pop(job), answer)

    def _again(self, flight: Flight) -> None:
        del self._flights[flight.id]
        flight.started, flight.repeated = False, True
        self._outcomes.delayed(flight)
        self.submit(flight, first=True)

    # --- what goes wrong ------------------------------------------------------------------------------------------

    def _job_failed(self, job: Job | FetchCredentials, error: SecretsError) -> None:
        if isinstance(job, FetchCredentials):
            self._failed(job.flight, error)
            return
        flight = self._flights[job.flight]
        if self._keys.refused(flight, job.context.credentials, error):
            self._again(flight)
            return
        now = self._clock.now()
        if now >= job.context.deadline and (flight.deadline or 0.0) > now + HEADROOM:
            self._again(flight)  # its time was up, but some joined later and have time left
            return
        self._failed(job.flight, error)

    def _failed(self, job: int, error: SecretsError) -> None:
        if job == self._keys_job:
            self._keys_failed(error)
        elif job > KEYS:
            self._outcomes.failed(self._flights.pop(job), error)

    def _worker_gone(self, worker: Pid, reason: ExitReason) -> None:
        self._leaving.discard(worker)
        job = self._pool.gone(worker, comes_back=not reason.expected)
        if job is None:
            return
        self._alarms.disarm(job)
        if job <= KEYS:
            self._fetcher_gone(job, reason)
            return
        flight = self._flights[job]
        flight.crashes += 1
        if flight.crashes < MAX_CRASHES:
            self._again(flight)
        else:
            self._failed(job, workers_crashed(reason, MAX_CRASHES, flight.operation))

    def _fetcher_gone(self, job: int, reason: ExitReason) -> None:
        if job != self._keys_job:
            return
        self._keys_crashes += 1
        if self._keys_crashes < MAX_CRASHES:
            self._pool.submit(job, first=True)
        else:
            self._failed(job, workers_crashed(reason, MAX_CRASHES))

    def _overdue(self, overdue: Overdue) -> None:
        job = overdue.flight
        worker = self._pool.holder(job)
        if worker is None or not self._alarms.rings(overdue):
            return
        self._alarms.disarm(job)
        self._pool.gone(worker, comes_back=True)
        worker.kill()
        if job <= KEYS:
            self._failed(job, out_of_time(None))
            return
        flight = self._flights[job]
        if (flight.deadline or 0.0) > self._clock.now():
            self._again(flight)
        else:
            self._failed(job, out_of_time(flight.operation))

    def _keys_fetched(self, credentials: Credentials) -> None:
        self._keys_crashes = 0
        expired = ExpiredToken("the keys that were fetched have expired already: check this machine's clock")
        self._let_go(self._keys.fetched(credentials), expired)

    def _keys_failed(self, error: SecretsError) -> None:
        self._keys_crashes = 0
        if self._keys.current() is not None:
            self._server.node.observe(RenewalFailed(self._server.me.label, str(error)))
        self._let_go(self._keys.failed(), error)

    def _let_go(self, waiting: list[Flight], error: SecretsError) -> None:
        """Send *waiting* on their way with the keys there are, new or old; without any, *error* is what they get."""
        usable = self._keys.current() is not None
        for flight in waiting:
            self.submit(flight) if usable else self._outcomes.failed(flight, error)
