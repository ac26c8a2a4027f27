"""A worker may die at any moment, be it killed, crashed or hung: its caller notices nothing, or gets a typed error."""

import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secrets_actor import DeadlineExceeded, Secret, SecretNotFound, SecretValue, ServerDown, System, WorkerCrashed
from secrets_actor.actor.worker_supply import MAX_HUNG
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, BackendFactory, CallContext
from secrets_actor.errors import InvalidAnswer
from secrets_actor.otp import LifecycleEvent, Pid, ProcessCrashed
from secrets_actor.results import SecretBatch, SecretPage, SetReceipt
from tests.actor.rig import (
    RigStore,
    Watch,
    eventually,
    failure,
    in_background,
    kill,
    process,
    running,
    settings,
    some_worker,
    supervisor,
    whole,
    workers,
)


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_a_worker_killed_in_the_middle_of_a_get_costs_the_caller_nothing(
    system: System, rig_store: RigStore, after: bool
) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get", after=after)
    getting = in_background(lambda: system.secrets.get("a").reveal())
    worker = hold.wait()
    worker.kill()
    hold.wait()
    assert rig_store.closed == 1, "the connection of the dead is closed"
    hold.go.set()

    assert getting.result(10) == "v"
    eventually(lambda: whole(system))


@pytest.mark.parametrize("after", [False, True], ids=["before it took effect", "after it took effect"])
def test_a_worker_killed_in_the_middle_of_a_set_leaves_one_version(
    system: System, rig_store: RigStore, after: bool
) -> None:
    hold = rig_store.hold("set", after=after)
    setting = in_background(lambda: system.secrets.set("a", "v"))
    hold.wait().kill()
    hold.wait()
    hold.go.set()

    receipt = setting.result(10)
    eventually(lambda: not system.tree().disowned)
    assert [token for token, _ in rig_store.versions["a"]] == [receipt.version_id]
    assert system.secrets.get("a").reveal() == "v"


def crash(operation: Operation[object], _context: CallContext) -> None:
    if getattr(operation, "secret_id", None) == "poison":
        raise RuntimeError("hunter2")


def test_a_job_that_crashes_three_workers_is_given_up_with_what_they_died_of(
    system: System, rig_store: RigStore, watch: Watch
) -> None:
    rig_store.before = crash
    token = str(uuid.uuid4())

    error = failure(lambda: system.secrets.set("poison", "v", token=token))
    assert type(error) is WorkerCrashed
    assert (error.error_type, error.token) == ("RuntimeError", token)
    assert "hunter2" not in str(error)
    assert rig_store.count("set") == 3

    error = failure(lambda: system.secrets.get("poison"))
    assert type(error) is WorkerCrashed
    assert (error.error_type, error.token) == ("RuntimeError", None)
    eventually(lambda: watch.count("ProcessCrashed", "worker") == 6)
    system.secrets.set("a", "v")
    assert system.secrets.get("a").reveal() == "v"
    assert watch.count("ProcessCrashed", "secrets") == 0
    eventually(lambda: whole(system))


def test_a_job_that_crashed_two_workers_and_not_the_third_succeeds(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    left = [2]

    def twice(operation: Operation[object], _context: CallContext) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise SystemExit(1)  # even this ends one worker, and not the program

    rig_store.before = twice
    assert system.secrets.get("a").reveal() == "v"


ARN = "arn:x:secretsmanager:here:000000000000:secret:a-000000"
GOOD = Secret("a", ARN, SecretValue("hunter2"), "1" * 32, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))
OTHER = Secret("b", ARN, SecretValue("hunter2"), "1" * 32, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))


def get(system: System) -> object:
    return system.secrets.get("a", refresh=True)


def get_many(system: System) -> object:
    error = system.secrets.get_many(["a"]).errors["a"]
    raise error


def set_a(system: System) -> object:
    return system.secrets.set("a", "v")


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (get, None),
        (get, "text"),
        (get, Answer("no secret")),
        (get, Answer(OTHER)),
        (get, Answer(GOOD, origin=["h"])),  # type: ignore[arg-type]
        (get, Answer(GOOD, origin="user:hunter2@host")),
        (get_many, Answer(SecretBatch({}, {}))),
        (get_many, Answer(SecretBatch({"a": OTHER}, {}))),
        (get_many, Answer(SecretBatch({}, {"a": ValueError("hunter2")}))),  # type: ignore[dict-item]
        (lambda system: system.secrets.get_many(["a"]), Answer(None)),
        (set_a, Answer(None)),
        (set_a, Answer(SetReceipt("a", ARN, 5, True))),  # type: ignore[arg-type]
        (set_a, Answer(SetReceipt("a", None, "1" * 32, True))),  # type: ignore[arg-type]
        (set_a, Answer(SetReceipt("b", ARN, "1" * 32, True))),
        (lambda system: system.secrets.list(), Answer(None)),
        (lambda system: list(system.secrets.iterate()), Answer(None)),
        (lambda system: list(system.secrets.versions("a")), Answer(None)),
        (lambda system: list(system.secrets.policies("a")), Answer(None)),
        (lambda system: system.secrets.describe("a"), Answer(SecretPage(()))),
        (lambda system: system.secrets.tag("a", {"k": "v"}), Answer("text")),
    ],
)
def test_an_answer_that_is_wrong_is_an_error_of_that_call_and_ends_nobody(
    tmp_path: Path, watch: Watch, call: Callable[[System], object], answer: object
) -> None:
    class Odd:
        name = "odd"

        def perform(self, operation: object, context: object) -> object:
            return answer

        def close(self) -> None:
            raise RuntimeError("nor can it be closed")

    factory = BackendFactory("odd", Odd)  # type: ignore[arg-type]
    with running(System(settings(tmp_path), backend=factory, observer=watch)) as system:
        error = failure(lambda: call(system))
        assert type(error) is InvalidAnswer
        assert "the backend odd answers a " in str(error)
        assert "hunter2" not in str(error)
        assert (error.token is None) == (call is not set_a), "a write may have taken effect"
        assert watch.count("ProcessCrashed") == 0


def test_what_a_backend_notes_or_raises_wrongly_ends_nobody(system: System, rig_store: RigStore, watch: Watch) -> None:
    rig_store.put("a", "v")

    def note(_operation: object, context: CallContext) -> None:
        context.attempts.append("GET /secret 200")  # type: ignore[arg-type]

    def refuse(operation: object, context: CallContext) -> None:
        note(operation, context)
        error = SecretNotFound("there is none")
        error.origin = ["h"]  # type: ignore[assignment]
        raise error

    rig_store.before = note
    assert type(failure(lambda: system.secrets.get("a"))) is InvalidAnswer
    rig_store.before = refuse
    error = failure(lambda: system.secrets.get("a"))
    assert type(error) is SecretNotFound, "a refusal stays one, whatever is wrong with the rest of it"
    assert (error.origin, watch.count("ProcessCrashed")) == ("rig", 0)


def test_a_backend_that_cannot_be_opened_costs_workers_and_not_the_actor(tmp_path: Path, watch: Watch) -> None:
    def connect() -> object:
        raise OSError("hunter2")

    with running(System(settings(tmp_path), backend=BackendFactory("odd", connect), observer=watch)) as system:  # type: ignore[arg-type]
        error = failure(lambda: system.secrets.get("a"))
        assert type(error) is WorkerCrashed
        assert error.error_type == "OSError"
        assert "hunter2" not in str(error)


def test_a_worker_cut_off_while_it_connects_closes_what_it_then_opened(tmp_path: Path, rig_store: RigStore) -> None:
    connecting, go = threading.Semaphore(0), threading.Event()

    def connect() -> object:
        connecting.release()
        go.wait(10)
        return rig_store.factory().connect()

    rig_store.put("a", "v")
    with running(System(settings(tmp_path), backend=BackendFactory("slow", connect))) as system:  # type: ignore[arg-type]
        getting = in_background(lambda: system.secrets.get("a").reveal())
        assert connecting.acquire(timeout=10)
        eventually(lambda: len(workers(system)) == 1)
        some_worker(system).kill()
        assert connecting.acquire(timeout=10)
        go.set()
        assert getting.result(10) == "v"
        eventually(lambda: rig_store.closed == 1)


def test_a_worker_that_hangs_is_cut_off_and_its_caller_told_on_time(
    system: System, rig_store: RigStore, watch: Watch
) -> None:
    rig_store.put("b", "v")
    rig_store.hold("get", "a")
    begun = clock_now()

    error = failure(lambda: system.secrets.get("a", timeout=0.5))

    assert type(error) is DeadlineExceeded
    assert 0.5 <= clock_now() - begun < 1.0
    eventually(lambda: watch.count("ProcessDisowned", "worker") == 1)
    assert system.secrets.get("b").reveal() == "v"
    assert system.tree().disowned != ()


def test_a_set_that_hangs_says_that_its_outcome_is_unknown_and_can_be_repeated(
    system: System, rig_store: RigStore
) -> None:
    hold = rig_store.hold("set", after=True)

    error = failure(lambda: system.secrets.set("a", "v", timeout=0.3))
    assert type(error) is DeadlineExceeded
    assert error.token is not None
    hold.go.set()

    assert system.secrets.set("a", "v", token=error.token).version_id == error.token
    assert len(rig_store.versions["a"]) == 1


def test_a_get_that_others_joined_later_goes_on_when_the_first_callers_time_is_up(
    system: System, rig_store: RigStore
) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get", "a")
    hasty = in_background(lambda: system.secrets.get("a", timeout=0.3))
    hold.wait()
    patient = in_background(lambda: system.secrets.get("a", timeout=10).reveal())
    assert type(hasty.exception(5)) is DeadlineExceeded
    hold.wait()  # a second worker has it
    assert not patient.done()
    hold.go.set()

    assert patient.result(10) == "v"


def test_callers_with_little_time_on_a_store_that_hangs_do_not_bring_the_tree_down(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    """The backend keeps to its deadline, if late: nobody is killed for that, so no restarts are counted."""

    def hang(_operation: Operation[object], context: CallContext) -> None:
        threading.Event().wait(max(0.0, context.deadline - clock_now()) + 0.05)

    rig_store.before = hang
    caller_gave_up: list[object] = []
    system = System(settings(tmp_path), backend=rig_store.factory(), observer=watch, on_give_up=caller_gave_up.append)
    with running(system, rig_store):
        callers = [
            in_background(lambda k=k: [failure(lambda: system.secrets.get(f"k{k}", timeout=0.03)) for _ in range(12)])
            for k in range(16)
        ]
        errors = [error for caller in callers for error in caller.result(30)]

        assert {type(error) for error in errors} <= {DeadlineExceeded, SecretNotFound}
        assert len(errors) == 16 * 12
        assert caller_gave_up == []
        assert watch.count("ChildRestarted", "core") == 0


def test_when_the_workers_supervisor_dies_callers_of_reads_notice_nothing(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    hold = rig_store.hold("get")
    getting = in_background(lambda: system.secrets.get("a").reveal())
    hold.wait()
    kill(system, "workers")
    hold.go.set()

    assert getting.result(10) == "v"
    eventually(lambda: whole(system))


def test_when_the_workers_supervisor_dies_a_set_is_refused_with_its_token(system: System, rig_store: RigStore) -> None:
    hold = rig_store.hold("set", after=True)
    setting = in_background(lambda: system.secrets.set("a", "v"))
    hold.wait()
    process(system, "workers").kill()
    error = setting.exception(10)
    hold.go.set()

    assert type(error) is ServerDown
    assert system.secrets.set("a", "v", token=error.token).version_id == error.token
    assert len(rig_store.versions["a"]) == 1


def test_killing_every_worker_again_and_again_loses_no_call(system: System, rig_store: RigStore) -> None:
    for name in "abcd":
        rig_store.put(name, name)
    over = threading.Event()
    wrong: list[object] = []

    def ask(name: str) -> int:
        made = 0
        while not over.is_set():
            made += 1
            try:
                if system.secrets.get(name, refresh=True).reveal() != name:
                    wrong.append(name)
            except WorkerCrashed:
                pass  # three in a row: so it is promised
        return made

    callers = [in_background(lambda name=name: ask(name)) for name in "abcdabcd"]
    killed = 0
    deadline = clock_now() + 10
    while killed < 60 and clock_now() < deadline:
        alive: list[Pid] = [pid for pid in workers(system) if pid.is_alive()]
        for pid in alive[:1]:
            pid.kill()
            killed += 1
        over.wait(0.01)
    over.set()

    assert all(caller.result(15) > 0 for caller in callers)
    assert wrong == []
    assert killed >= 20
    eventually(lambda: whole(system))


def test_a_tree_that_gives_up_answers_every_caller_and_tells_its_owner(tmp_path: Path, rig_store: RigStore) -> None:
    reasons: list[object] = []
    system = System(settings(tmp_path), backend=rig_store.factory(), on_give_up=reasons.append).start()
    hold = rig_store.hold("get")
    callers = [in_background(lambda k=k: system.secrets.get(f"k{k}", timeout=30)) for k in range(8)]
    hold.wait()
    core = supervisor(system, "core")
    deadline = clock_now() + 20
    while system.running and clock_now() < deadline:
        pid = system.whereis("secrets")
        if pid is not None:
            pid.kill()
        threading.Event().wait(0.001)

    assert not core.is_alive()
    assert system.wait(10) is not None
    assert reasons == [system.wait(0)]
    assert {type(caller.exception(10)) for caller in callers} == {ServerDown}
    assert type(failure(lambda: system.secrets.get("a", timeout=30))) is ServerDown
    assert type(failure(lambda: system.ref.ask(Get("a"), timeout=10))) is ServerDown
    hold.go.set()
    system.stop()


def test_a_new_actor_starts_no_worker_while_those_of_before_are_enough(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    for _ in range(8):
        assert system.secrets.get("a", refresh=True).reveal() == "v"
        process(system, "secrets").kill()

    assert system.secrets.get("a", refresh=True).reveal() == "v"
    assert rig_store.connections == 1


def test_calls_that_hang_cost_a_bounded_number_of_threads_and_the_rest_hear_why(
    tmp_path: Path, rig_store: RigStore
) -> None:
    hold, most = rig_store.hold("get"), 2
    bound = most * (1 + MAX_HUNG)
    system = System(
        settings(tmp_path, call_timeout_seconds=0.2, max_workers=most, breaker_failures=0), backend=rig_store.factory()
    )
    with running(system, rig_store):
        errors = [failure(lambda n=n: system.secrets.get(f"a{n}", timeout=0.3)) for n in range(2 * bound)]  # type: ignore[misc]
        assert type(errors[0]) is DeadlineExceeded
        last = errors[-1]
        assert type(last) is WorkerCrashed
        assert last.error_type == "hung"
        assert "calls to the store hang" in str(last)
        assert len(system.tree().disowned) <= bound
        hold.go.set()
        rig_store.put("a", "v")
        eventually(lambda: not system.tree().disowned)
        assert system.secrets.get("a", timeout=5).reveal() == "v"


@pytest.mark.parametrize("explains", [False, True])
def test_a_crash_of_a_backend_of_ones_own_is_explained_if_the_backend_says_so(tmp_path: Path, explains: bool) -> None:
    class Odd:
        name = "odd"

        def perform(self, operation: object, context: object) -> Answer[object]:
            raise RuntimeError("the broker said no")

        def close(self) -> None: ...

    told: list[LifecycleEvent] = []
    backend = BackendFactory("odd", Odd, explains=explains)
    with running(System(settings(tmp_path), backend=backend, observer=told.append)) as system:
        error = failure(lambda: system.secrets.get("a"))
    crashes = [event for event in told if isinstance(event, ProcessCrashed)]
    written = (tmp_path / "log").read_text()

    assert type(error) is WorkerCrashed
    assert "the broker said no" not in str(error)
    assert [("the broker said no" in event.reason, "in perform" in event.traceback) for event in crashes] == [
        (explains, explains)
    ] * 3
    assert ("the broker said no" in written) is explains
