"""The switches work through a whole system, and the helpers see and hurt the real tree."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from secrets_actor import (
    DeadlineExceeded,
    LocalSettings,
    SecretsError,
    Settings,
    StartFailed,
    System,
    Throttled,
    WorkerCrashed,
    child_spec,
)
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.errors import BackendTimeout, RequestFailed
from secrets_actor.messages import Get
from secrets_actor.otp import KILLED, Flags, LifecycleEvent, Node, Strategy, call, spawn, supervisor_spec
from secrets_actor.testing import FakeStore, ManualClock, fake_system, find, kill, settled

NAME = "db/password"
SECONDS = 10.0


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def test_a_system_sets_gets_lists_and_deletes_over_the_fake() -> None:
    with fake_system() as (system, store):
        system.secrets.set(NAME, "hunter2")
        assert system.secrets.get(NAME).reveal() == "hunter2"
        assert [info.name for info in system.secrets.list()] == [NAME]
        system.secrets.delete(NAME)

        assert store.calls == {"set": 1, "list": 1, "delete": 1}  # the get was answered from what the set has written
    assert not system.running


def test_a_worker_killed_while_held_costs_the_caller_nothing(pool: ThreadPoolExecutor) -> None:
    with fake_system() as (system, store):
        store.put(NAME, "hunter2")
        with store.hold("get") as gate:
            answer = pool.submit(system.secrets.get, NAME)
            gate.wait_until_held()
            first = gate.holders[0]

            killed = kill(system, first)

            assert killed.reason == KILLED
            gate.wait_until_held()
            assert gate.holders[0] is not first
            assert not answer.done()
        assert answer.result(SECONDS).reveal() == "hunter2"
        assert store.calls["get"] == 2


def test_a_set_whose_worker_is_killed_before_the_answer_makes_one_version(pool: ThreadPoolExecutor) -> None:
    with fake_system() as (system, store):
        store.put(NAME, "before")
        with store.hold("set", times=1, when="after") as gate:
            answer = pool.submit(system.secrets.set, NAME, "after")
            gate.wait_until_held()
            kill(system, gate.holders[0])
            receipt = answer.result(SECONDS)

        assert store.calls["set"] == 2
        assert store.version_ids(NAME)[1:] == (receipt.version_id,)
        assert system.secrets.get(NAME).reveal() == "after"


def test_the_actor_killed_while_a_get_is_held_costs_the_caller_nothing(pool: ThreadPoolExecutor) -> None:
    with fake_system() as (system, store):
        store.put(NAME, "hunter2")
        with store.hold("get", times=1) as gate:
            answer = pool.submit(system.secrets.get, NAME)
            gate.wait_until_held()

            kill(system, "secrets")

            assert answer.result(SECONDS).reveal() == "hunter2"


def test_the_stores_error_reaches_the_caller_and_the_next_get_succeeds() -> None:
    with fake_system() as (system, store):
        store.put(NAME, "hunter2")
        store.fail_next(Throttled("slow down", request_id="r-1"), operation="get")

        with pytest.raises(Throttled, match="slow down") as raised:
            system.secrets.get(NAME)

        assert raised.value.request_id == "r-1"
        assert system.secrets.get(NAME).reveal() == "hunter2"


def test_an_error_without_a_name_crashes_the_worker_and_another_answers() -> None:
    events: list[LifecycleEvent] = []
    with fake_system(observer=events.append) as (system, store):
        store.put(NAME, "hunter2")
        store.fail_next(ZeroDivisionError("a bug"), times=2)

        assert system.secrets.get(NAME).reveal() == "hunter2"

        assert store.calls["get"] == 3
        tree = settled(system)
        assert sum(node.restarts for node in tree.root.walk() if node.id == "worker") == 2
    assert "ProcessCrashed" in {type(event).__name__ for event in events}


def test_a_store_that_crashes_every_worker_is_named() -> None:
    with fake_system() as (system, store), store.failing(ZeroDivisionError("a bug")):
        with pytest.raises(WorkerCrashed) as raised:
            system.secrets.get(NAME)

        assert "ZeroDivisionError" in raised.value.error_type


def test_an_outage_ends_and_the_system_goes_on() -> None:
    with fake_system() as (system, store):
        store.put(NAME, "hunter2")
        with store.failing(RequestFailed("the line is down")):
            for _ in range(3):
                with pytest.raises(RequestFailed):
                    system.secrets.get(NAME)

        assert system.secrets.get(NAME).reveal() == "hunter2"


def test_time_stands_still_until_the_test_moves_it() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), ttl_seconds=60, ttl_jitter=0, refresh_ahead=0) as (system, store):
        store.put(NAME, "hunter2")
        system.secrets.get(NAME)
        clock.advance(59)
        assert (system.secrets.get(NAME).age, store.calls["get"]) == (59.0, 1)

        clock.advance(2)

        assert (system.secrets.get(NAME).age, store.calls["get"]) == (0.0, 2)


def test_a_store_that_hangs_past_the_deadline_is_a_typed_error(pool: ThreadPoolExecutor) -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), call_timeout_seconds=600) as (system, store):
        with store.hold("get") as gate:
            answer = pool.submit(system.secrets.get, NAME)
            gate.wait_until_held()

            clock.advance(600)

            assert isinstance(answer.exception(SECONDS), (BackendTimeout, DeadlineExceeded))
        assert system.secrets.list() == ()


def test_the_wall_clock_given_ends_recovery_windows() -> None:
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    with fake_system(FakeStore(recovery_window=7, wall_clock=lambda: now[0])) as (system, store):
        store.put(NAME, "hunter2")
        assert system.secrets.delete(NAME).deletion_date == now[0] + timedelta(days=7)
        assert len(system.secrets.list(include_deleted=True)) == 1

        now[0] += timedelta(days=7)

        assert system.secrets.list(include_deleted=True) == ()


def test_a_kit_with_a_credential_source_has_workers_fetch_keys_first() -> None:
    class Keys:
        fetched = 0

        def fetch(self, deadline: float) -> AwsCredentials:
            self.fetched += 1
            return AwsCredentials("AKIAIOSFODNN7EXAMPLE", "not-a-real-key")

    store, keys = FakeStore(), Keys()
    store.put(NAME, "hunter2")
    with System(Settings(), backend=store.factory(credentials=keys)) as system:
        assert system.secrets.get(NAME).reveal() == "hunter2"
    assert keys.fetched == 1


def test_a_setting_that_does_not_hold_is_refused_before_anything_starts() -> None:
    before = threading.active_count()

    with pytest.raises(SecretsError, match="max_workers"), fake_system(max_workers=0):
        pass
    with pytest.raises(TypeError), fake_system(no_such_setting=1):
        pass

    assert threading.active_count() == before


def test_a_settled_tree_has_nothing_under_way_and_one_that_never_settles_says_who(pool: ThreadPoolExecutor) -> None:
    with fake_system() as (system, store):
        store.put(NAME, "hunter2")
        with store.hold("get") as gate:
            answer = pool.submit(system.secrets.get, NAME)
            gate.wait_until_held()
            with pytest.raises(
                TimeoutError, match=r"not at rest: .*secrets is running, .*open calls 1.*worker#\d+ alive"
            ):
                settled(system, timeout=0.01)
        answer.result(SECONDS)

        tree = settled(system)

        assert all(node.state == "running" and not node.open_calls for node in tree.root.walk())
        assert {"infra", "core", "workers", "secrets", "worker"} <= {node.id for node in tree.root.walk()}


def test_settled_waits_until_what_was_killed_is_back() -> None:
    with fake_system() as (system, _):
        killed = [kill(system, name) for name in ("timers", "audit", "workers", "secrets")]

        tree = settled(system)

        serials = {node.serial for node in tree.root.walk()}
        assert not serials & {pid.serial for pid in killed}
        assert all(pid.reason == KILLED for pid in killed)


def test_a_process_is_found_by_name_id_serial_and_thread() -> None:
    with fake_system() as (system, _):
        actor = find(system, "secrets")
        assert actor.thread is not None

        assert find(system, actor.serial) is actor
        assert find(system, actor.thread) is actor
        assert actor is system.whereis("secrets")
        assert find(system, "secrets_actor").label == "secrets_actor"
        assert find(system, "core") is actor.parent
        for stranger in ("nobody", 0, threading.current_thread()):
            with pytest.raises(LookupError, match="there is no process"):
                find(system, stranger, timeout=0.01)
    with pytest.raises(LookupError):
        find(system, "core")


def test_a_process_that_is_being_restarted_is_waited_for() -> None:
    with fake_system() as (system, _):
        killed = [kill(system, "secrets") for _ in range(3)]

        assert len({pid.serial for pid in killed}) == 3
        assert find(system, "secrets").is_alive()


def test_a_system_that_was_never_started_has_no_tree_to_settle() -> None:
    with pytest.raises(StartFailed):
        settled(System(Settings(), backend=FakeStore().factory()))


def test_the_tree_of_a_hosted_system_ends_where_the_host_begins(tmp_path: Path) -> None:
    spec = child_spec(Settings(local=LocalSettings(path=tmp_path)), id="ours")
    assert spec.system is not None
    node = Node()
    top = supervisor_spec("host", Flags(Strategy.ONE_FOR_ONE, intensity=1, period=1.0), [spec])
    host = spawn(node, top.start, label="host")
    try:
        assert find(spec.system, "secrets_actor").node is not node
        assert settled(spec.system).root.id == "secrets_actor"
        with pytest.raises(LookupError):
            find(spec.system, "host", timeout=0.01)
    finally:
        host.kill()
        spec.system.stop()


def test_an_otp_server_calls_the_secrets_actor_by_an_address_that_survives_its_restart() -> None:
    with fake_system(ttl_seconds=0) as (system, store):
        store.put("a", "v")
        address = system.address
        before = system.whereis("secrets")
        assert before is not None
        assert call(address, Get("a")).text() == "v"

        kill(system, "secrets")
        settled(system)

        assert address.resolve() is not before
        assert call(address, Get("a")).text() == "v"
