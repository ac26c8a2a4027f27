"""A system starts, stops, starts again, and tells its owner when it is over."""

import gc
import os
import threading
from pathlib import Path
from typing import NoReturn

import pytest

import secrets_actor
from secrets_actor import DeadlineExceeded, ServerDown, Settings, StartFailed, System, Unreachable
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.otp import LifecycleEvent, ProcessDisowned
from secrets_actor.runtime.settings import LogSettings
from secrets_actor.testing import FakeStore, find
from tests.actor.rig import (
    PATIENCE,
    RigStore,
    Watch,
    eventually,
    failure,
    in_background,
    kill,
    running,
    settings,
    supervisor,
    whole,
    workers,
)


def test_a_with_block_starts_and_stops(tmp_path: Path) -> None:
    with secrets_actor.start(settings(tmp_path)) as system:
        system.secrets.set("a", "v")
        assert repr(system) == "<System local_encrypted running>"
        assert system.running
        assert system.wait(0.0) is None
    assert repr(system) == "<System local_encrypted stopped>"
    assert str(system.wait(0.0)) == "shutdown"
    assert repr(system.wait(0.0)) == "<ExitReason: shutdown>"
    system.stop()


def test_a_system_that_was_stopped_can_be_started_again_and_finds_its_secrets(tmp_path: Path) -> None:
    system = System(settings(tmp_path, ttl_seconds=0))
    for _ in range(3):
        with system:
            if not system.secrets.list():
                system.secrets.set("a", "v")
            assert system.secrets.get("a").reveal() == "v"
            assert system.wait(0.0) is None
        assert type(failure(lambda: system.secrets.get("a"))) is ServerDown


def test_starting_twice_is_starting_once(system: System) -> None:
    root = find(system, "secrets_actor")

    assert system.start() is system
    assert find(system, "secrets_actor") is root


def test_a_system_that_never_ran_has_no_tree_and_stops_at_once(tmp_path: Path) -> None:
    system = System(settings(tmp_path))

    assert type(failure(system.tree)) is StartFailed
    assert type(failure(lambda: system.secrets.get("a"))) is ServerDown
    assert system.whereis("secrets") is None
    system.stop()


def test_a_tree_that_cannot_come_up_says_which_child_and_why(tmp_path: Path, rig_store: RigStore) -> None:
    import secrets_actor.telemetry.audit_process as module

    init = module.AuditProcess.init
    system = System(settings(tmp_path), backend=rig_store.factory())
    try:
        module.AuditProcess.init = lambda self: 1 / 0  # type: ignore[assignment,method-assign,return-value]
        error = failure(system.start)
    finally:
        module.AuditProcess.init = init  # type: ignore[method-assign]
    assert type(error) is StartFailed
    assert "process infra/audit failed to start: ZeroDivisionError at test_system.py:" in str(error)
    assert "shutdown" not in str(error)
    assert not system.running
    with system:
        system.secrets.set("a", "v")


def test_the_tree_is_that_of_the_design(system: System, rig_store: RigStore) -> None:
    rig_store.put("a", "v")
    system.secrets.get("a")
    eventually(lambda: workers(system), "a worker in the picture")
    shown = [(node.id, node.strategy or node.restart) for node in system.tree().root.walk()]

    assert shown == [
        ("secrets_actor", "rest_for_one"),
        ("infra", "one_for_one"),
        ("timers", "permanent"),
        ("audit", "permanent"),
        ("core", "rest_for_one"),
        ("workers", "dynamic"),
        ("worker", "transient"),
        ("secrets", "permanent"),
        ("background", "one_for_one"),
        ("subscribers", "dynamic"),
        ("prefetches", "dynamic"),
    ]


def test_an_owner_may_stop_the_system_when_it_gives_up(tmp_path: Path, rig_store: RigStore) -> None:
    called = threading.Event()

    def on_give_up(_reason: object) -> None:
        system.stop()
        called.set()

    system = System(settings(tmp_path), backend=rig_store.factory(), on_give_up=on_give_up).start()
    root = supervisor(system, "secrets_actor")
    killing = in_background(root.kill)

    assert killing.result(5) is None
    assert called.is_set()
    assert str(system.wait(5)) == "killed"
    system.stop()


def test_an_owner_may_start_the_system_anew_when_it_gives_up(tmp_path: Path, rig_store: RigStore) -> None:
    system = System(settings(tmp_path), backend=rig_store.factory(), on_give_up=lambda _reason: system.start())
    with running(system, rig_store):
        system.secrets.set("a", "v")
        supervisor(system, "secrets_actor").kill()

        assert system.secrets.get("a", refresh=True).reveal() == "v"
        assert system.running
        assert system.wait(0.0) is None
        eventually(lambda: whole(system))


def test_an_owner_whose_callback_raises_is_told_so_and_the_end_goes_on(
    tmp_path: Path, rig_store: RigStore, watch: Watch
) -> None:
    def on_give_up(_reason: object) -> None:
        raise RuntimeError("hunter2")

    system = System(settings(tmp_path), backend=rig_store.factory(), observer=watch, on_give_up=on_give_up).start()
    root = supervisor(system, "secrets_actor")
    root.kill()

    assert root.wait(5) is not None
    assert str(system.wait(5)) == "killed"
    assert watch.count("CallbackFailed", "secrets_actor") == 1
    assert "hunter2" not in (tmp_path / "log").read_text()
    system.stop()


def test_stopping_is_no_giving_up(tmp_path: Path, rig_store: RigStore) -> None:
    reasons: list[object] = []
    with running(System(settings(tmp_path), backend=rig_store.factory(), on_give_up=reasons.append), rig_store):
        pass
    assert reasons == []


def test_an_observer_hears_of_every_event_and_may_raise(tmp_path: Path, rig_store: RigStore) -> None:
    seen: list[LifecycleEvent] = []

    def observe(event: LifecycleEvent) -> None:
        seen.append(event)
        raise RuntimeError("no")

    with running(System(settings(tmp_path), backend=rig_store.factory(), observer=observe), rig_store) as system:
        system.secrets.set("a", "v")
        kill(system, "secrets")
        assert system.secrets.get("a").reveal() == "v"
    assert {type(event).__name__ for event in seen} >= {"ProcessStarted", "ProcessEnded", "JobStarted"}


def test_two_systems_in_one_program_do_not_meet(tmp_path: Path) -> None:
    first, second = settings(tmp_path / "1"), settings(tmp_path / "2")
    for folder in ("1", "2"):
        (tmp_path / folder).mkdir()
    with secrets_actor.start(first) as one, secrets_actor.start(second) as two:
        one.secrets.set("a", "1")
        assert two.secrets.list() == ()
        kill(one, "secrets")
        assert one.whereis("secrets") is not two.whereis("secrets")


def test_two_systems_may_share_one_store(tmp_path: Path) -> None:
    with System(settings(tmp_path, ttl_seconds=0)) as one, System(settings(tmp_path, ttl_seconds=0)) as two:
        one.secrets.set("a", "1")
        assert two.secrets.get("a").reveal() == "1"
        two.secrets.set("a", "2")
        assert one.secrets.get("a").reveal() == "2"


def open_files() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_starting_and_stopping_50_times_leaves_no_thread_and_no_file(tmp_path: Path) -> None:
    def once(number: int) -> None:
        with System(settings(tmp_path, ttl_seconds=0)) as system:
            system.secrets.set("a", str(number))
            assert system.secrets.get("a").reveal() == str(number)

    before = set(threading.enumerate())  # another test may have left a worker that hangs
    once(-1)  # whatever is made once and kept
    eventually(
        lambda: not any("#" in one.name for one in set(threading.enumerate()) - before), "the end of its threads"
    )
    before |= set(threading.enumerate())
    files = open_files()
    for number in range(50):
        once(number)

    eventually(lambda: set(threading.enumerate()) <= before, "the end of all their threads")
    assert open_files() <= files


def test_a_stopped_system_has_its_log_closed_and_one_that_is_started_again_has_it_open(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def is_open() -> bool:
        return str(log) in {os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")}

    system, other = System(settings(tmp_path)), System(settings(tmp_path, log=LogSettings(output=str(log))))
    with other:
        for number in range(2):
            with system:
                system.secrets.set("a", str(number))
            assert log.read_text().count('"set"') == number + 1
            assert is_open(), "the other's"
    assert not is_open()
    with running(system):
        system.secrets.set("a", "v")
        eventually(is_open)
        supervisor(system, "secrets_actor").kill()  # what is below it ends by itself, and may tell
    assert not is_open()


def test_a_stop_from_several_threads_at_once_is_one_stop(system: System) -> None:
    stops = [in_background(system.stop) for _ in range(4)]

    assert [one.result(10) for one in stops] == [None] * 4
    assert not system.running


def test_of_several_threads_that_start_it_at_once_each_finds_it_running(tmp_path: Path) -> None:
    for _ in range(5):
        system, at_once = System(settings(tmp_path)), threading.Barrier(8)

        def start(system: System = system, at_once: threading.Barrier = at_once) -> object:
            at_once.wait(10)
            return system.start().running, system.wait(0.0)

        starts = [in_background(start) for _ in range(8)]
        try:
            assert [one.result(10) for one in starts] == [(True, None)] * 8
            system.secrets.set("a", "v")
        finally:
            system.stop()
        assert str(system.wait(0.0)) == "shutdown"


@pytest.mark.parametrize("timeout", [0.0, 0.4])
def test_a_stop_keeps_its_time_however_many_threads_hang(tmp_path: Path, rig_store: RigStore, timeout: float) -> None:
    rig_store.put("a", "v")
    hold, calls = rig_store.hold("get"), 12
    with running(System(settings(tmp_path, max_workers=calls), backend=rig_store.factory()), rig_store) as system:
        asked = [in_background(lambda n=n: failure(lambda: system.secrets.get(f"a{n}"))) for n in range(calls)]
        for _ in range(calls):
            hold.wait()
        begun = clock_now()
        system.stop(timeout)
        assert clock_now() - begun < timeout + 0.5
        assert not system.running
        assert {type(one.result(10)) for one in asked} == {ServerDown}
        begun = clock_now()
        system.stop(timeout)
        assert clock_now() - begun < timeout + 0.5


class Stuck:
    """A store that answers nothing, and whose connections cannot be closed either, until `go` is set."""

    name = "stuck"

    def __init__(self, go: threading.Event) -> None:
        self.go = go

    def perform(self, operation: object, context: object) -> NoReturn:
        self.go.wait(20)
        raise Unreachable("it was let go")

    def close(self) -> None:
        self.go.wait(20)


def test_a_connection_that_cannot_be_closed_holds_up_nobody(tmp_path: Path) -> None:
    go = threading.Event()
    system = System(
        settings(tmp_path, call_timeout_seconds=0.2, max_workers=3, breaker_failures=0),
        backend=BackendFactory("stuck", lambda: Stuck(go)),  # type: ignore[arg-type,return-value]
    )
    try:
        system.start()
        for number in range(4):
            begun = clock_now()
            assert type(failure(lambda n=number: system.secrets.get(f"a{n}"))) is DeadlineExceeded
            assert clock_now() - begun < 2
        eventually(lambda: len(system.tree().disowned) >= 3)
        begun = clock_now()
        system.stop(0.4)
        assert clock_now() - begun < 1.2
    finally:
        go.set()
        system.stop()


def test_a_stop_lets_a_callback_that_is_running_end() -> None:
    """It has a second for that. A thread that is cut off is left behind, and a log tells of it."""
    store, seen = FakeStore(), list[LifecycleEvent]()
    began, go_on, ended = threading.Event(), threading.Event(), threading.Event()

    def callback(_change: object) -> None:
        began.set()
        assert go_on.wait(PATIENCE)
        ended.set()

    with System(Settings(), backend=store.factory(), observer=seen.append) as system:
        system.subscribe("a", callback)
        system.secrets.set("a", "x")
        assert began.wait(PATIENCE)
        stopping = threading.Thread(target=system.stop)
        stopping.start()
        eventually(lambda: system.whereis("prefetches") is None, "the turn of the subscribers, which are stopped next")
        go_on.set()
        stopping.join(PATIENCE)

    assert ended.is_set()
    assert not [one for one in seen if isinstance(one, ProcessDisowned)]
