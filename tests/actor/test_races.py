"""Messages that cross each other: an answer behind the news of its worker's death, an alarm behind its job's return.

Such orders come about by chance and rarely, so these tests put the messages into the actor's mailbox themselves.
"""

import sys
import threading
from pathlib import Path
from typing import Any

from secrets_actor import Restore, SecretNotFound, Set, System, UnknownMessage, Unreachable
from secrets_actor.actor.jobs import FetchCredentials, Job, JobDone, JobFailed, Nudge, Overdue, WorkerReady
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, CallContext
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import Cast, ChildSpec, GenServer, Pid, Restart, StartChild, call
from tests.actor.rig import (
    Shelf,
    Watch,
    eventually,
    failure,
    in_background,
    kill,
    process,
    running,
    settings,
    some_worker,
    workers,
)


def job_of(spy: "Spy") -> Job:
    """The job that was sent last."""
    eventually(lambda: spy.jobs)
    return spy.jobs[-1]


class Spy(Shelf):
    """Knows the jobs as the worker got them."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self.before = self.note

    def note(self, operation: Operation[Any], context: CallContext) -> None:
        frame = sys._getframe()
        while frame.f_code.co_name != "_perform":
            assert frame.f_back is not None
            frame = frame.f_back
        self.jobs.append(frame.f_locals["job"])


def started(tmp_path: Path, spy: Spy, **more: Any) -> System:
    return System(settings(tmp_path, **more), factory=spy.factory())


def test_an_answer_that_comes_behind_its_workers_death_is_taken_while_the_job_waits(tmp_path: Path) -> None:
    spy = Spy()
    spy.put("a", "v")
    with running(started(tmp_path, spy, max_workers=2), spy) as system:
        hold = spy.hold("get")
        getting = in_background(lambda: system.secrets.get("a").reveal())
        worker = hold.wait()
        job = job_of(spy)
        blocked = occupied(process(system, "workers"))  # so that no other worker comes
        worker.kill()
        process(system, "secrets").post(JobDone(worker, job, Answer(spy.get(Get("a")))))

        assert getting.result(10) == "v"
        blocked.set()
        hold.go.set()
        assert system.secrets.get("a", refresh=True).reveal() == "v"


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


def test_an_answer_of_a_worker_whose_job_another_has_is_left_to_that_other(tmp_path: Path) -> None:
    spy = Spy()
    spy.put("a", "v")
    with running(started(tmp_path, spy), spy) as system:
        hold = spy.hold("get")
        getting = in_background(lambda: system.secrets.get("a").reveal())
        dead = hold.wait()
        job = job_of(spy)
        dead.kill()
        hold.wait()
        actor = process(system, "secrets")
        actor.post(JobDone(dead, job, Answer(spy.get(Get("a")))))
        actor.post(JobFailed(dead, job, Unreachable("the connection was given up")))
        eventually(actor.mailbox_idle)
        assert not getting.done()
        hold.go.set()

        assert getting.result(10) == "v"
        assert system.whereis("secrets") is actor


def test_an_alarm_for_a_job_that_came_back_or_was_sent_anew_cuts_nobody_off(tmp_path: Path, watch: Watch) -> None:
    spy = Spy()
    spy.put("a", "v")
    with running(System(settings(tmp_path), factory=spy.factory(), observer=watch), spy) as system:
        hold = spy.hold("get")
        getting = in_background(lambda: system.secrets.get("a").reveal())
        hold.wait().kill()
        hold.wait()
        actor = process(system, "secrets")
        for sending in (0, 1, 99):  # the first sending's alarm, and two that never were
            actor.post(Overdue(job_of(spy).flight, sending))
        actor.post(Overdue(10**9, 1))
        eventually(actor.mailbox_idle)
        hold.go.set()

        assert getting.result(10) == "v"
    assert watch.count("ProcessDisowned", "worker") == 1, "only the one that was killed"


def test_an_earlier_actors_credentials_and_jobs_mean_nothing_to_the_next(tmp_path: Path) -> None:
    class Keys:
        def fetch(self, deadline: float) -> Credentials:
            return Credentials("AKIA", SecretValue("ours"))

    spy = Spy()
    spy.put("a", "v")
    with running(System(settings(tmp_path), factory=spy.factory(Keys())), spy) as system:
        system.secrets.get("a")
        eventually(lambda: workers(system))
        stranger = some_worker(system)
        actor = kill(system, "secrets")
        theirs = Credentials("AKIA", SecretValue("theirs"))
        actor.post(JobDone(stranger, FetchCredentials(0, clock_now()), theirs))
        actor.post(JobFailed(stranger, FetchCredentials(0, clock_now()), Unreachable("no")))
        actor.post(JobFailed(stranger, job_of(spy), SecretNotFound("no")))

        assert system.secrets.get("a", refresh=True).reveal() == "v"
        keys = spy.contexts[-1].credentials
        assert keys is not None
        assert keys.secret_key.reveal() == "ours"
        assert system.whereis("secrets") is actor


def test_unexpected_messages_are_no_reason_to_end(system: System, shelf: Shelf) -> None:
    actor = process(system, "secrets")
    dead = workers_once(system)
    for message in ("gossip", None, Nudge(), WorkerReady(dead, 0), Cast):
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


def test_a_killed_actor_that_goes_on_running_writes_no_more_into_the_cache(system: System, shelf: Shelf) -> None:
    """Its thread cannot be killed. What it does after its end must not undo what its successor did."""
    shelf.put("a", "old")
    actor = process(system, "secrets")
    cache = system._parts.cache
    old = cache._pen
    assert old is not None
    actor.kill()
    eventually(lambda: process(system, "secrets") is not actor)
    eventually(lambda: cache._pen is not old)
    past = shelf.get(Get("a"))
    system.secrets.set("a", "new")

    old.store(Get("a"), past, system._parts.node.clock.now())  # as the dead one's thread would

    kept = cache.read(Get("a"), system._parts.node.clock.now())
    assert kept is not None
    assert kept.reveal() == "new"


def test_many_sets_and_gets_told_and_asked_at_once_all_come_to_an_end(system: System, shelf: Shelf) -> None:
    for number in range(200):
        system.ref.tell(Set(f"k{number % 7}", SecretValue(str(number))))
    eventually(lambda: shelf.count("set") == 200)
    eventually(process(system, "secrets").mailbox_idle)

    assert [system.secrets.get(f"k{k}").reveal() for k in range(7)] == [str(max(range(k, 200, 7))) for k in range(7)]
