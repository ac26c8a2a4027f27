"""Messages that cross each other: an answer behind the news of its worker's death, a timer behind its job's return.

Such orders come about by chance and rarely. So here workers do nothing but hand over the jobs that they get, and a test
answers for them, when and as often as it likes.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from secrets_actor import SecretNotFound, System, Unreachable, WorkerCrashed
from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.actor.current_backend import CurrentBackend
from secrets_actor.actor.messages import (
    Announce,
    CredentialsJob,
    Job,
    JobDone,
    JobFailed,
    Overdue,
    StoreJob,
    WorkerReady,
    WorkersOverdue,
)
from secrets_actor.actor.secrets_actor import Limits, SecretsActor
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.actor.worker_supply import PoolOptions
from secrets_actor.clock import utc_now
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory
from secrets_actor.domain.secret import Secret, SecretValue, SetReceipt
from secrets_actor.errors import UnknownMessage
from secrets_actor.messages import Restore, Set
from secrets_actor.otp import (
    Cast,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    GenServer,
    Handled,
    Kind,
    Name,
    Node,
    Pid,
    Restart,
    StartChild,
    Strategy,
    Supervisor,
    TimerServer,
    call,
    current,
    spawn,
    stop,
)
from tests.actor.rig import ARN, PATIENCE, RigStore, eventually, failure, in_background, process, some_worker, workers
from tests.actor.token_credentials import Token, dated

FLAGS: Final = Flags(Strategy.REST_FOR_ONE, intensity=10, period=10.0)


def secret(name: str, value: str) -> Secret:
    return Secret(name, ARN.format(name), SecretValue(value), value, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


class NoAudit:
    def record(self, record: object) -> None:
        """Not here."""


class Source:
    """Credentials that no worker fetches."""

    def fetch(self, deadline: float) -> Token:
        raise AssertionError("no worker fetches here")


def connect() -> Backend:
    raise AssertionError("no worker connects here")


class ScriptedWorker(GenServer):
    """Hands over what it is given, and is free again at once."""

    def __init__(
        self, owner: Name, jobs: "queue.Queue[tuple[Pid, Job]]", begins: Callable[[], object] = lambda: None
    ) -> None:
        self._owner, self._jobs, self._begins = owner, jobs, begins

    def init(self) -> None:
        self._begins()
        self._owner.send(WorkerReady(self.me, 0))

    def handle_cast(self, message: Any) -> Handled:
        if isinstance(message, Announce):
            self._owner.send(WorkerReady(self.me, 0))
        else:
            self._jobs.put((self.me, message))
        return None


class Core:
    """The secrets actor and its workers, whose part is played by a test."""

    def __init__(self, *, credentials: bool = False, max_workers: int = 1) -> None:
        self.node, self.cache = Node(None), Cache(CacheRules(ttl=60.0))
        self.jobs: queue.Queue[tuple[Pid, Job]] = queue.Queue()
        self.looking: Callable[[], object] = lambda: None  # called before the actor looks at the wall clock
        self.beginning: Callable[[], object] = lambda: None  # called by each worker before it reports for work
        self._max_workers = max_workers
        self._present = CurrentBackend(BackendFactory("script", connect, Source() if credentials else None))

    @contextmanager
    def running(self) -> Iterator["Core"]:
        node, owner = self.node, self.node.name("secrets")
        worker = ChildSpec(
            "worker", lambda: ScriptedWorker(owner, self.jobs, self.beginning), restart=Restart.TRANSIENT
        )
        children = [
            ChildSpec("timers", TimerServer, name="timers"),
            ChildSpec(
                "workers", lambda: DynamicSupervisor(FLAGS, self._max_workers), kind=Kind.SUPERVISOR, name="workers"
            ),
            ChildSpec("secrets", lambda: self._actor(worker), name="secrets"),
        ]
        root = spawn(node, lambda: Supervisor(FLAGS, children), label="core")
        try:
            yield self
        finally:
            stop(root)

    def _actor(self, worker: ChildSpec) -> SecretsActor:
        return SecretsActor(
            current_backend=self._present,
            cache=self.cache,
            audit=NoAudit(),
            pool=PoolOptions(self.node.name("workers"), worker, self._max_workers),
            limits=Limits(call_timeout=30.0, max_pending=100),
            wall_clock=self._wall_time,
            subscriptions=Subscriptions(),
        )

    def _wall_time(self) -> datetime:
        self.looking()
        return utc_now()

    def pid(self, name: str) -> Pid:
        """The process that has *name* now."""
        eventually(lambda: self.node.registry.whereis(name), f"a process {name}")
        pid = self.node.registry.whereis(name)
        assert pid is not None
        return pid

    @property
    def actor(self) -> Pid:
        """The secrets actor of now."""
        return self.pid("secrets")

    def ask(self, operation: Operation[Any]) -> Any:
        """What the actor answers."""
        return call(self.actor, operation, PATIENCE)

    def next_job(self) -> tuple[Pid, Job]:
        """The next job that a worker was given, and which worker."""
        return self.jobs.get(timeout=PATIENCE)

    def done(self, worker: Pid, job: Job, answer: Any) -> None:
        """As if *worker* said so."""
        self.actor.post(JobDone(worker, job, Answer(answer) if isinstance(job, StoreJob) else dated(answer)))

    def serve(self, answer: Any) -> Job:
        """Answer the next job."""
        worker, job = self.next_job()
        self.done(worker, job, answer)
        return job


def test_an_answer_that_comes_behind_its_workers_death_is_taken_while_the_job_waits() -> None:
    with Core(max_workers=2).running() as core:
        getting = in_background(lambda: core.ask(Get("a")).reveal())
        worker, job = core.next_job()
        go_on = occupied(core.pid("workers"))  # so that no other worker comes
        worker.kill()
        core.done(worker, job, secret("a", "v"))

        assert getting.result(10) == "v"
        assert core.jobs.empty()
        go_on.set()
        again = in_background(lambda: core.ask(Get("a", refresh=True)).reveal())
        core.serve(secret("a", "w"))
        assert again.result(10) == "w"


def occupied(supervisor: Pid) -> threading.Event:
    """Have *supervisor* start a child that takes its time, until the event is set."""
    begun, go = threading.Event(), threading.Event()

    def start() -> GenServer:
        begun.set()
        go.wait(20)
        return GenServer()

    spec = ChildSpec("slow", start, restart=Restart.TEMPORARY)
    in_background(lambda: call(supervisor, StartChild(spec), 30))
    assert begun.wait(10)
    return go


def test_an_answer_of_a_worker_whose_job_another_has_is_left_to_that_other() -> None:
    with Core().running() as core:
        getting = in_background(lambda: core.ask(Get("a")).reveal())
        dead, job = core.next_job()
        dead.kill()
        other, same = core.next_job()
        actor = core.actor
        core.done(dead, job, secret("a", "old"))
        actor.post(JobFailed(dead, job, Unreachable("the connection was given up")))
        eventually(actor.mailbox_idle)
        assert not getting.done()
        core.done(other, same, secret("a", "v"))

        assert getting.result(10) == "v"
        assert core.actor is actor


def test_a_timer_for_a_job_that_came_back_or_was_sent_anew_cuts_nobody_off() -> None:
    with Core().running() as core:
        getting = in_background(lambda: core.ask(Get("a")).reveal())
        dead, first = core.next_job()
        dead.kill()
        worker, second = core.next_job()
        assert first.number != second.number
        for number in (first.number, 0, 10**9):  # the timer of the first sending, and two that never were
            core.actor.post(Overdue(number))
        eventually(core.actor.mailbox_idle)
        assert worker.is_alive()
        core.done(worker, second, secret("a", "v"))
        assert getting.result(10) == "v"
        core.actor.post(Overdue(second.number))

        again = in_background(lambda: core.ask(Get("a", refresh=True)).reveal())
        same, third = core.next_job()
        core.done(same, third, secret("a", "w"))
        assert again.result(10) == "w"
        assert same is worker


def test_an_earlier_actors_credentials_and_jobs_mean_nothing_to_the_next() -> None:
    ours, theirs = (Token(whose) for whose in ("ours", "theirs"))
    with Core(credentials=True).running() as core:
        getting = in_background(lambda: core.ask(Get("a")).reveal())
        worker, fetch = core.next_job()
        assert isinstance(fetch, CredentialsJob)
        core.done(worker, fetch, ours)
        job = core.serve(secret("a", "v"))
        assert getting.result(10) == "v"
        before = core.actor
        before.kill()
        eventually(lambda: core.actor is not before)
        actor = core.actor
        for number in (fetch.number, 0):
            stray = CredentialsJob(number, fetch.deadline)
            actor.post(JobDone(worker, stray, dated(theirs)))
            actor.post(JobFailed(worker, stray, Unreachable("no")))
        actor.post(JobFailed(worker, job, SecretNotFound("no")))

        again = in_background(lambda: core.ask(Get("a", refresh=True)).reveal())
        assert isinstance(core.serve(ours), CredentialsJob)
        signed = core.serve(secret("a", "w"))
        assert again.result(10) == "w"
        assert isinstance(signed, StoreJob)
        assert signed.context.credentials is ours
        assert core.actor is actor


def test_no_worker_to_be_had_is_an_error_and_no_wait() -> None:
    """A worker that cannot begin: the supervisor says so, and the caller hears it at once."""
    with Core().running() as core:
        core.beginning = lambda: 1 / 0
        error = failure(lambda: core.ask(Get("a")))
        assert type(error) is WorkerCrashed
        assert error.error_type == "StartError"
        core.beginning = lambda: None
        getting = in_background(lambda: core.ask(Get("a")).reveal())
        core.serve(secret("a", "v"))
        assert getting.result(10) == "v"


def test_unexpected_messages_are_no_reason_to_end(system: System, rig_store: RigStore) -> None:
    actor = process(system, "secrets")
    dead = workers_once(system)
    for message in ("gossip", None, WorkersOverdue(), WorkerReady(dead, 0), Cast):
        actor.post(message)
    system.ref.tell("gossip")
    system.ref.tell(Operation())
    assert type(failure(lambda: system.ref.ask(Operation()))) is UnknownMessage
    assert type(failure(lambda: system.ref.ask("gossip"))) is UnknownMessage
    assert type(failure(lambda: system.secrets.ask(Operation()))) is UnknownMessage

    system.secrets.set("a", "v")
    assert system.secrets.get("a").reveal() == "v"
    assert system.whereis("secrets") is actor


def workers_once(system: System) -> Pid:
    """A worker, dead."""
    system.secrets.list()
    eventually(lambda: workers(system))
    worker = some_worker(system)
    worker.kill()
    return worker


def test_an_operation_that_the_store_does_not_know_is_an_error_of_its_own(local: System) -> None:
    assert type(failure(lambda: local.secrets.ask(Restore("missing")))) is SecretNotFound


def test_a_killed_actor_that_goes_on_running_writes_no_more_into_the_cache() -> None:
    """Its thread cannot be killed. What it does after its end must not undo what its successor did."""
    caught, go_on = threading.Event(), threading.Event()
    with Core().running() as core:
        in_background(lambda: core.ask(Get("a")))
        worker, job = core.next_job()
        killed = core.actor

        def hold_up() -> None:
            """The first actor, which looks at the clock when it gets the answer."""
            if current() is killed:
                caught.set()
                go_on.wait(PATIENCE)

        core.looking = hold_up
        killed.post(JobDone(worker, job, Answer(secret("a", "old"))))
        assert caught.wait(PATIENCE)
        killed.kill()
        eventually(lambda: core.actor is not killed)
        setting = in_background(lambda: core.ask(Set("a", SecretValue("new"))))
        core.serve(SetReceipt("a", ARN.format("a"), "0" * 32, created=False))
        setting.result(10)
        go_on.set()
        eventually(lambda: not core.node.disowned, "the end of its thread")

        kept = core.cache.read(Get("a"), core.node.clock.now())
        assert kept is not None
        assert kept.reveal() == "new"


def test_many_sets_and_gets_told_and_asked_at_once_all_come_to_an_end(system: System, rig_store: RigStore) -> None:
    for number in range(200):
        system.ref.tell(Set(f"k{number % 7}", SecretValue(str(number))))
    eventually(lambda: rig_store.count("set") == 200)
    eventually(process(system, "secrets").mailbox_idle)

    assert [system.secrets.get(f"k{k}").reveal() for k in range(7)] == [str(max(range(k, 200, 7))) for k in range(7)]
