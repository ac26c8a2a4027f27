"""Deadlines when every worker hangs, the bound on those who wait, idle workers, and the end in good order."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor import DeadlineExceeded, Overloaded, SecretNotFound, ServerDown, System
from secrets_actor.actor.messages import Drain
from secrets_actor.actor.pool import Pool
from secrets_actor.domain.ports import CallContext
from secrets_actor.errors import RequestFailed
from secrets_actor.messages import Get
from secrets_actor.otp import CallTimeout, LifecycleEvent, call
from secrets_actor.testing import FakeStore, ManualClock, fake_system, settled
from tests.actor.rig import eventually, failure, in_background, process, some_worker, workers

SECONDS = 10.0


class Deaf(threading.Event):
    """Where workers hang that hear nothing: not their deadline, not that their connection was closed."""


class DeafStore(FakeStore):
    """Every operation hangs until the test lets go, whatever is done to the connection."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.go = Deaf()
        self.reached = threading.Semaphore(0)

    def _perform(self, connection: Any, operation: Any, context: CallContext) -> Any:
        self.reached.release()
        self.go.wait(2 * SECONDS)
        return super()._perform(connection, operation, replace(context, deadline=context.deadline + 2 * SECONDS))


# --- deadlines --------------------------------------------------------------------------------------------------------


def test_every_caller_has_his_answer_in_his_time_though_every_worker_hangs() -> None:
    """Four workers at most, all deaf: whoever waits in the queue behind them is told, too."""
    store = DeafStore()
    with fake_system(store, max_workers=4) as (system, _):
        asked = [in_background(lambda k=k: system.secrets.get(f"k{k}", timeout=0.3)) for k in range(12)]
        asked += [in_background(lambda: system.secrets.set("k0", "v", timeout=0.3))]
        asked += [in_background(lambda: system.secrets.list(timeout=0.3))]
        errors = [one.exception(SECONDS) for one in asked]
        store.go.set()

        assert {type(one) for one in errors} == {DeadlineExceeded}
        assert [bool(getattr(one, "token", None)) for one in errors] == [False] * 12 + [True, False]


def test_an_asker_without_a_deadline_has_the_configured_one_though_every_worker_hangs() -> None:
    clock = ManualClock()
    store = DeafStore(clock=clock)
    with fake_system(store, max_workers=1, call_timeout_seconds=5) as (system, _):
        futures = [system.ref.ask(Get(name), block=False) for name in "ab"]
        assert store.reached.acquire(timeout=SECONDS)
        eventually(lambda: process(system, "secrets").open_calls >= 2)
        clock.advance(5.0)
        errors = [failure(lambda future=future: future.get(timeout=SECONDS)) for future in futures]
        store.go.set()

        assert [type(one) for one in errors] == [DeadlineExceeded] * 2


def test_a_worker_that_hears_nothing_is_cut_off_and_another_takes_its_place() -> None:
    clock = ManualClock()
    store = DeafStore(clock=clock)
    with fake_system(store, max_workers=1, call_timeout_seconds=5) as (system, _):
        system.ref.tell(Get("a"))
        assert store.reached.acquire(timeout=SECONDS)
        deaf = some_worker(system)
        clock.advance(5.5)
        eventually(lambda: not deaf.is_alive())
        assert any("worker" in name for name in system.tree().disowned)
        store.go.set()
        store.put("a", "v")

        assert system.secrets.get("a").reveal() == "v"


def test_what_nobody_waits_for_any_more_is_not_begun() -> None:
    with fake_system(max_workers=1) as (system, store):
        store.put("a", "v")
        with store.hold("list") as gate:
            listing = in_background(system.secrets.list)
            gate.wait_until_held()
            for number in range(5):
                assert type(failure(lambda n=number: system.secrets.get(f"k{n}", timeout=0.01))) is DeadlineExceeded
        listing.result(SECONDS)
        settled(system)

        assert store.calls == {"list": 1}


# --- load -------------------------------------------------------------------------------------------------------------


def test_past_the_bound_callers_are_refused_at_once_and_the_tree_says_so() -> None:
    with fake_system(max_pending=3) as (system, store):
        store.put("cached", "v")
        system.secrets.get("cached")
        with ThreadPoolExecutor(3) as callers, store.hold("get") as gate:
            asked = [callers.submit(system.secrets.get, name) for name in "abc"]
            gate.wait_until_held(3)

            for _ in range(3):
                assert type(failure(lambda: system.secrets.get("d", timeout=SECONDS))) is Overloaded
            drawn = str(system.tree())
            assert "3 of 3 waiting, 1 cached" in drawn
            (node,) = [node for node in system.tree().root.walk() if node.name == "secrets"]
            assert node.status in drawn
            assert system.secrets.get("cached").source == "cache"
        assert [type(one.exception(SECONDS)) for one in asked] == [SecretNotFound] * 3
        settled(system)
        assert "0 of 3 waiting" in str(system.tree())
        assert store.calls["get"] == 4


# --- workers that have nothing to do ----------------------------------------------------------------------------------


def test_a_worker_with_nothing_to_do_is_let_go_and_one_that_works_is_not() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), worker_idle_seconds=60, ttl_seconds=0) as (system, store):
        store.put("a", "v")
        with ThreadPoolExecutor(3) as callers, store.hold("get") as gate:
            asked = [callers.submit(system.secrets.get, "a", stage=stage) for stage in ("AWSCURRENT", "x", "y")]
            gate.wait_until_held(3)
        assert asked[0].result(SECONDS).reveal() == "v"
        assert len(workers(system)) == 3

        for _ in range(3):
            settled(system)
            clock.advance(60)
            system.secrets.get("a")  # one of them is busy now and then
        eventually(lambda: len(workers(system)) == 1)

        settled(system)
        for _ in range(3):
            clock.advance(60)
            settled(system)
        eventually(lambda: workers(system) == [])
        assert system.secrets.get("a").reveal() == "v", "the next job has one come"


def test_the_pool_knows_who_has_rested() -> None:
    pool = Pool[str, int](4)
    for worker in "ab":
        pool.ready(worker)
    assert pool.rested() == (), "they have just come"
    pool.submit(1)
    pool.assign()
    assert pool.rested() == ("a",)
    pool.done("b")
    assert pool.rested() == ("a",)
    assert pool.rested() == ("a", "b")


# --- the end ----------------------------------------------------------------------------------------------------------


def _no_new_ones(system: System) -> None:
    for ask in (
        lambda: system.secrets.get("cached"),
        lambda: system.secrets.get("new"),
        lambda: system.secrets.set("new", "v"),
        system.secrets.list,
    ):
        assert type(failure(ask)) is ServerDown


def test_a_drain_lets_those_finish_who_are_under_way_and_takes_no_new_ones() -> None:
    with fake_system(max_workers=2) as (system, store):
        store.put("cached", "v")
        store.put("a", "v")
        system.secrets.get("cached")
        with store.hold() as gate:
            getting = in_background(lambda: system.secrets.get("a").reveal())
            setting = in_background(lambda: system.secrets.set("b", "v"))
            gate.wait_until_held(2)
            queued = in_background(lambda: system.secrets.get("b").reveal())
            eventually(lambda: process(system, "secrets").open_calls == 3)
            ended = in_background(lambda: system.stop(drain=SECONDS))
            eventually(lambda: "draining" in str(system.tree()))

            _no_new_ones(system)
            assert not ended.done()
        ended.result(SECONDS)

        assert (getting.result(0), queued.result(0)) == ("v", "v")
        assert setting.result(0).created
        assert not system.running
        assert store.calls == {"get": 2, "set": 1}


def test_whoever_is_not_done_when_the_time_for_it_is_over_is_told_so() -> None:
    with fake_system() as (system, store):
        with store.hold() as gate:
            getting = in_background(lambda: system.secrets.get("a"))
            setting = in_background(lambda: system.secrets.set("b", "v"))
            gate.wait_until_held(2)
            system.stop(timeout=0.2, drain=0.05)

            assert type(getting.exception(SECONDS)) is ServerDown
            error = setting.exception(SECONDS)
            assert isinstance(error, ServerDown)
            assert error.token is not None
        assert not system.running


def test_a_drain_with_nothing_to_wait_for_ends_at_once_and_the_system_starts_again() -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        system.stop(drain=3600.0)
        assert not system.running
        system.stop(drain=1.0)

        system.start()
        assert system.secrets.get("a").reveal() == "v"


def test_two_who_stop_at_once_both_come_back() -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        with store.hold("get") as gate:
            getting = in_background(lambda: system.secrets.get("a").reveal())
            gate.wait_until_held()
            first = in_background(lambda: system.stop(drain=SECONDS))
            second = in_background(lambda: system.stop(drain=SECONDS))
            eventually(lambda: "draining" in str(system.tree()))
        first.result(SECONDS)
        second.result(SECONDS)
        assert getting.result(SECONDS) == "v"


def test_every_drain_that_was_asked_for_is_answered() -> None:
    with fake_system() as (system, store):
        store.put("a", "v")
        secrets = process(system, "secrets")
        with store.hold("get") as gate:
            getting = in_background(lambda: system.secrets.get("a"))
            gate.wait_until_held()
            drains = [in_background(lambda: call(secrets, Drain(), SECONDS)) for _ in range(3)]
            eventually(lambda: secrets.open_calls == 4)
            with pytest.raises(CallTimeout):
                call(secrets, Drain(), 0.01)
        assert [one.result(SECONDS) for one in drains] == [None] * 3
        getting.result(SECONDS)


def test_a_drain_whose_actor_dies_ends_all_the_same() -> None:
    events: list[LifecycleEvent] = []
    with fake_system(observer=events.append) as (system, store):
        with store.hold("get") as gate:
            getting = in_background(lambda: system.secrets.get("a"))
            gate.wait_until_held()
            ended = in_background(lambda: system.stop(drain=SECONDS))
            eventually(lambda: "draining" in str(system.tree()))
            process(system, "secrets").kill()
            ended.result(SECONDS)
        assert isinstance(getting.exception(SECONDS), (ServerDown, RequestFailed))
        assert not system.running
