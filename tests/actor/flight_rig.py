"""Flights without an actor: a test says what happens, and these hands carry out what is to be done, as the actor would.

Workers are plain names. Nothing here has a thread, a clock or a store.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from secrets_actor.actor.actions import (
    Action,
    CutOff,
    Disarm,
    Dismiss,
    Fail,
    NoteGone,
    Recall,
    Refuse,
    Send,
    ServeStale,
    SetTimer,
    Settle,
    StartWorkers,
)
from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.credential_refresh import Moment
from secrets_actor.actor.flights import Flight, Flights, State
from secrets_actor.actor.messages import (
    CredentialsJob,
    FreshTimeOver,
    Job,
    JobDone,
    JobFailed,
    RenewCredentials,
    StoreJob,
    Waiter,
)
from secrets_actor.actor.worker_supply import WorkerSupply
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Get, Operation, Set
from secrets_actor.domain.ports import Answer, Backend, BackendFactory
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import Crashed, From, Pid
from tests.actor.token_credentials import Token, dated

START: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
TOKEN: Final = "33333333-3333-4333-8333-333333333333"
CALL_TIMEOUT: Final = 30.0


class _Source:
    def fetch(self, deadline: float) -> Token:
        raise AssertionError("no worker runs here")


class _LoginSource(_Source):
    def release(self, deadline: float) -> None:
        raise AssertionError("no worker runs here")


def _connect() -> Backend:
    raise AssertionError("no worker runs here")


def factory(*, credentials: bool = False, endpoint: str | None = "store:443", release: bool = False) -> BackendFactory:
    """A store behind *endpoint*, which may want credentials, and may want them back."""
    source = _LoginSource() if release else _Source() if credentials else None
    return BackendFactory("rig", _connect, source, endpoints=() if endpoint is None else (endpoint,))


def worker(name: str) -> Pid:
    """A worker, as far as flights are concerned."""
    return cast("Pid", name)


def write(name: str) -> Set:
    """A set."""
    return Set(name, SecretValue("v"), TOKEN)


@dataclass(eq=False)
class Hands:
    """Carry actions out. `replies` counts how often each caller was answered; `jobs` are with workers, by number."""

    factory: BackendFactory = field(default_factory=factory)
    max_workers: int = 4
    failures: int = 1
    memory: bool = False  # whether a recall finds something
    stale: bool = False  # whether there is something stale to serve
    clock: float = 1000.0
    hanging: set[Pid] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.number = 0
        self.jobs: dict[int, tuple[Pid, Job]] = {}
        self.sent: list[tuple[Pid, Job]] = []  # all that ever were
        self.timers: list[object] = []
        self.to_start = 0
        self.cut_off: list[Pid] = []
        self.dismissed: list[Pid] = []
        self.replies: dict[From[Any], list[object]] = {}
        self.done: list[Action] = []  # all that was to be done, in order
        self.supply = WorkerSupply[Any](self.max_workers, 60.0)
        self.flights = Flights(
            self.factory,
            0,
            self.supply,
            call_timeout=CALL_TIMEOUT,
            rules=BreakerRules(self.failures, jitter=0.0),
            chance=lambda: 0.5,
            hangs=lambda one: one in self.hanging,
            now=self.now,
            label="secrets",
        )

    @property
    def now(self) -> Moment:
        """The time."""
        return Moment(self.clock, START + timedelta(seconds=self.clock))

    # --- what happens ---------------------------------------------------------------------------------------------

    def ask(self, operation: Operation[Any], seconds: float = 10.0) -> Waiter:
        """Somebody asks, and waits for so many *seconds*."""
        caller: From[Any] = From()
        waiter = Waiter(caller, operation, self.clock, self.clock + seconds)
        self.replies[caller] = []
        self.carry_out(self.flights.asked(waiter, self.now))
        return waiter

    def give_up(self, waiter: Waiter) -> None:
        """It waits no longer: its caller's own thread, or a timer of the running actor, has seen to that."""
        waiter.reply_to.fail(TimeoutError())

    def tell_gave_up(self) -> None:
        """A client tells that a caller of its own has given up."""
        self.carry_out(self.flights.caller_gave_up(self.now))

    def ready(self, name: str = "w1") -> Pid:
        """A worker comes."""
        self.to_start = max(0, self.to_start - 1)
        self.carry_out(self.flights.worker_ready(worker(name), self.number, self.now))
        return worker(name)

    @property
    def job(self) -> Job:
        """The job that was sent last, and is not back."""
        return list(self.jobs.values())[-1][1]

    def answer(self, job: Job | None = None, value: Any = None) -> None:
        """A worker is done with *job*, or with the last one."""
        job = job or self.job
        if isinstance(job, CredentialsJob):
            value = dated(value or Token("secret"))
        elif isinstance(job, StoreJob):
            value = Answer(value, "request-1")
        self.carry_out(self.flights.job_done(JobDone(self.jobs[job.number][0], job, value), self.now))

    def fail(self, error: SecretsError, job: Job | None = None) -> None:
        """*job*, or the last one, meets *error*."""
        job = job or self.job
        self.carry_out(self.flights.job_failed(JobFailed(self.jobs[job.number][0], job, error), self.now))

    def crash(self, one: Pid, *, comes_back: bool = True) -> None:
        """A worker ends."""
        reason = Crashed("ValueError", "backend.py:1", ValueError())
        self.carry_out(self.flights.worker_gone(one, reason, self.now))
        self.to_start += comes_back

    def overdue(self, number: int) -> None:
        """The timer of the job with this number fires."""
        self.carry_out(self.flights.overdue(number, self.now))

    def use(self, store: BackendFactory) -> None:
        """Another store comes into force."""
        self.number += 1
        self.carry_out(self.flights.backend_changed(store, self.number, self.now))

    def drain(self, seconds: float = 10.0) -> None:
        """The system is being stopped, and has so many *seconds*."""
        self.carry_out(self.flights.drain(self.clock + seconds, self.now))

    def renewal_due(self, which: int = -1) -> None:
        """A timer for a renewal fires: the last one, or another."""
        message = [one for one in self.timers if isinstance(one, RenewCredentials)][which]
        self.carry_out(self.flights.renewal_due(message, self.now))

    def fresh_time_over(self) -> None:
        """All timers that hurry fire."""
        fired = [one for one in self.timers if isinstance(one, FreshTimeOver)]
        self.timers = [one for one in self.timers if not isinstance(one, FreshTimeOver)]
        for message in fired:
            self.carry_out(self.flights.fresh_time_over(message, self.now))

    # --- what is to be done ---------------------------------------------------------------------------------------

    def carry_out(self, actions: list[Action]) -> None:
        """In order."""
        for action in actions:
            self._act(action)

    def _act(self, action: Action) -> None:
        self.done.append(action)
        match action:
            case Send(one, job, seconds):
                assert seconds > 0
                assert one not in [each for each, _ in self.jobs.values()], "one job at a time"
                self.jobs[job.number] = one, job
                self.sent.append((one, job))
            case Disarm(number):
                del self.jobs[number]
            case CutOff(one):
                self.jobs = {number: each for number, each in self.jobs.items() if each[0] != one}
                self.cut_off.append(one)
            case Settle(flight, answer, _):
                for waiter in flight.waiters:
                    self._reply(waiter, answer)
            case Fail(flight, error, _):
                for waiter in flight.waiters:
                    self._reply(waiter, error)
            case Refuse(waiter, error):
                self._reply(waiter, error)
            case NoteGone(waiters):
                for waiter in waiters:
                    self._reply(waiter, TimeoutError())
            case ServeStale(waiters, _):
                for waiter in waiters:
                    if self.stale and isinstance(waiter.operation, Get) and not waiter.gone:
                        self._reply(waiter, "stale")
            case Recall(flight):
                if self.memory:
                    for waiter in flight.waiters:
                        self._reply(waiter, "memory")
                self.carry_out(self.flights.recalled(flight, self.memory, self.now))
            case SetTimer(_, message):
                self.timers.append(message)
            case StartWorkers(count):
                self.to_start += count
            case Dismiss(one):
                self.dismissed.append(one)

    def _reply(self, waiter: Waiter, what: object) -> None:
        if not waiter.caller.recorded:  # as `replies.py` does: once a caller is answered, or noted as gone, no more
            waiter.caller.recorded = True
            self.replies[waiter.reply_to].append(what)
            if not waiter.gone:
                waiter.reply_to.reply(what)

    # --- to look at -----------------------------------------------------------------------------------------------

    def flight_of(self, waiter: Waiter) -> Flight:
        """The flight that *waiter* waits for."""
        return next(one for one in self.flights if waiter in one.waiters)

    def state(self, waiter: Waiter) -> State:
        """Where the flight of *waiter* is."""
        return next((one.state for one in self.flights if waiter in one.waiters), State.LANDED)

    def store_job(self) -> StoreJob:
        """The last job, which is one for the store."""
        assert isinstance(self.job, StoreJob)
        return self.job
