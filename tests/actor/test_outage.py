"""An outage: what is served from memory, marked; what is never served; and that it costs one caller's wait.

The fake store stands on a manual clock, so nothing here waits for time to pass.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import (
    AccessDenied,
    BackendTimeout,
    CircuitOpen,
    ConnectionFailed,
    DeadlineExceeded,
    DecryptionFailed,
    Get,
    LogSettings,
    RequestFailed,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    Settings,
    StoreFailure,
    System,
    Throttled,
)
from secrets_actor.actor.endpoint_watch import BreakerClosed, BreakerOpened
from secrets_actor.otp import LifecycleEvent
from secrets_actor.testing import FakeStore, ManualClock, fake_system, settled
from tests.actor.rig import audit_log, eventually, failure

SECONDS = 10.0
ENDPOINT = "secretsmanager.us-east-1.amazonaws.com:443"
PLAIN: dict[str, Any] = {"ttl_seconds": 60, "ttl_jitter": 0, "refresh_ahead": 0, "max_stale_seconds": 600}


@contextmanager
def far_away(events: list[LifecycleEvent] | None = None, **given: Any) -> Iterator[tuple[System, FakeStore, Any]]:
    """A system over a fake store behind an endpoint, its clock standing."""
    clock = ManualClock()
    store = FakeStore(clock=clock)
    found: list[LifecycleEvent] = [] if events is None else events
    settings = Settings(**{**PLAIN, "call_timeout_seconds": 30, **given})
    with System(settings, clock=clock, kit=store.kit(endpoint=ENDPOINT), observer=found.append) as system:
        yield system, store, clock


@pytest.mark.parametrize(
    "error",
    [Throttled("slow down"), StoreFailure("500"), RequestFailed("lost"), BackendTimeout("late"), ConnectionFailed("x")],
    ids=lambda error: error.code,
)
def test_a_value_past_its_ttl_is_served_marked_when_the_store_cannot_answer(error: SecretsError) -> None:
    with far_away() as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.failing(error):
            found = system.secrets.get("a")
            assert (found.reveal(), found.stale, found.age, found.source) == ("v", True, 90.0, "cache")
            assert type(failure(lambda: system.secrets.get("a", allow_stale=False))) in (type(error), CircuitOpen)
            assert type(failure(lambda: system.secrets.get("a", refresh=True))) in (type(error), CircuitOpen)
            assert type(failure(lambda: system.secrets.get("a", max_age=89))) in (type(error), CircuitOpen)
            assert system.secrets.get("a", max_age=90).stale
            assert system.secrets.get("a", refresh=True, allow_stale=True).stale
            clock.advance(510.5)
            assert type(failure(lambda: system.secrets.get("a"))) in (type(error), CircuitOpen)


@pytest.mark.parametrize(
    "error",
    [AccessDenied("no"), SecretDeleted("gone"), SecretNotFound("none"), DecryptionFailed("broken")],
    ids=lambda error: error.code,
)
def test_what_the_store_says_no_to_is_never_served_again(error: SecretsError) -> None:
    with far_away() as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        store.fail_next(error)
        assert type(failure(lambda: system.secrets.get("a"))) is type(error)

        with store.failing(RequestFailed("lost")):
            clock.advance(10)  # past what is remembered of a secret that is not there
            assert type(failure(lambda: system.secrets.get("a"))) in (RequestFailed, CircuitOpen)


def test_a_refusal_on_a_refresh_drops_the_value_though_it_is_young() -> None:
    with far_away() as (system, store, _):
        store.put("a", "v")
        system.secrets.get("a")
        store.fail_next(AccessDenied("no"))
        assert type(failure(lambda: system.secrets.get("a", refresh=True))) is AccessDenied

        assert system.secrets.get("a").source == "backend"


def test_a_caller_whose_time_is_up_is_served_what_is_known_and_only_if_he_takes_it() -> None:
    """The clock stands: it is the caller's own patience that ends, with the worker in the middle of its job."""
    with far_away() as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as gate, ThreadPoolExecutor(2) as callers:
            first = callers.submit(system.secrets.get, "a", timeout=0.05)
            gate.wait_until_held()
            second = callers.submit(system.secrets.get, "a", timeout=0.05, allow_stale=False)

            assert first.result(SECONDS).stale
            assert type(second.exception(SECONDS)) is DeadlineExceeded


def test_a_told_or_plainly_asked_get_is_served_stale_too_when_its_time_is_up() -> None:
    with far_away(call_timeout_seconds=5) as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as gate:
            future = system.ref.ask(Get("a"), block=False)
            gate.wait_until_held()
            clock.advance(5)

            assert future.get(timeout=SECONDS).stale


def test_an_outage_costs_one_callers_wait_and_then_one_probe_at_a_time() -> None:
    events: list[LifecycleEvent] = []
    with far_away(events) as (system, store, clock):
        store.put("a", "v")
        with store.failing(BackendTimeout("no answer")):
            clock.advance(1)
            assert type(failure(lambda: system.secrets.get("a"))) is BackendTimeout
            before = store.calls.total()
            for number in range(20):
                error = failure(lambda number=number: system.secrets.get(f"k{number}"))
                assert isinstance(error, CircuitOpen)
                assert 0 < error.retry_after <= 0.5
                assert ENDPOINT in str(error)
            assert type(failure(system.secrets.list)) is CircuitOpen
            assert store.calls.total() == before, "nothing was sent"
            assert "breaker open" in str(system.tree())

            clock.advance(0.5)
            assert type(failure(lambda: system.secrets.get("a"))) is BackendTimeout, "the probe"
            assert type(failure(lambda: system.secrets.get("a"))) is CircuitOpen
        clock.advance(1)
        with store.hold("get") as gate, ThreadPoolExecutor(1) as callers:
            probe = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            refused = failure(lambda: system.secrets.get("b"))
            assert isinstance(refused, CircuitOpen)
            assert refused.retry_after == 0.0
            assert "breaker half_open" in str(system.tree())
            gate.release()
            assert probe.result(SECONDS).reveal() == "v"
        assert type(failure(lambda: system.secrets.get("b"))) is SecretNotFound
        assert "breaker closed" in str(system.tree())
        settled(system)

    told = [type(one) for one in events if isinstance(one, (BreakerOpened, BreakerClosed))]
    assert told == [BreakerOpened, BreakerOpened, BreakerClosed]
    first = next(one for one in events if isinstance(one, BreakerOpened))
    assert (first.endpoint, first.problem) == (ENDPOINT, "backend_timeout")


def test_when_the_breaker_opens_those_who_wait_for_a_worker_hear_it_at_once() -> None:
    with far_away(max_workers=1) as (system, store, clock):
        with store.hold("get", times=1) as gate, ThreadPoolExecutor(4) as callers:
            first = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            rest = [callers.submit(system.secrets.get, name) for name in "bcd"]
            eventually(lambda: _open_calls(system) == 4)
            clock.advance(2)
            store.fail_next(RequestFailed("lost"))
            gate.release()

            assert type(first.exception(SECONDS)) is RequestFailed
            assert [type(one.exception(SECONDS)) for one in rest] == [CircuitOpen] * 3
        assert store.calls["get"] == 1


def _open_calls(system: System) -> int:
    pid = system.whereis("secrets")
    return 0 if pid is None else pid.open_calls


def test_that_a_caller_was_in_a_hurry_says_nothing_about_the_store() -> None:
    with far_away() as (system, store, _):
        store.put("a", "v")
        with store.failing(BackendTimeout("late")):
            assert type(failure(lambda: system.secrets.get("a", timeout=0.9))) is BackendTimeout
        assert system.secrets.get("a").reveal() == "v"


def test_a_refusal_shows_that_the_store_is_there() -> None:
    with far_away() as (system, store, clock):
        store.put("a", "v")
        store.fail_next(RequestFailed("lost"))
        failure(lambda: system.secrets.get("a"))
        clock.advance(1)
        assert type(failure(lambda: system.secrets.get("missing"))) is SecretNotFound

        assert system.secrets.get("a").reveal() == "v"


def test_one_operation_at_which_the_store_fails_does_not_stop_the_others() -> None:
    with far_away() as (system, store, _):
        store.put("a", "v")
        for _ in range(3):
            store.fail_next(StoreFailure("500"), operation="list")
            assert type(failure(system.secrets.list)) is StoreFailure
        assert system.secrets.get("a").reveal() == "v"
        for _ in range(4):
            store.fail_next(StoreFailure("500"))
            assert type(failure(lambda: system.secrets.get("a", refresh=True))) is StoreFailure
        assert type(failure(lambda: system.secrets.get("a", refresh=True))) is CircuitOpen


def test_a_store_without_an_endpoint_has_no_breaker() -> None:
    with fake_system(FakeStore(clock=ManualClock())) as (system, store):
        store.put("a", "v")
        with store.failing(RequestFailed("lost")):
            for _ in range(5):
                assert type(failure(lambda: system.secrets.get("a"))) is RequestFailed
        assert system.secrets.get("a").reveal() == "v"


def test_with_no_failures_allowed_for_everything_is_sent() -> None:
    with far_away(breaker_failures=0) as (system, store, _):
        with store.failing(RequestFailed("lost")):
            assert [type(failure(lambda: system.secrets.get("a"))) for _ in range(5)] == [RequestFailed] * 5
        assert store.calls["get"] == 5


def test_what_the_store_before_could_not_answer_does_not_count_against_the_next() -> None:
    with far_away() as (system, old, clock):
        new = FakeStore(clock=clock)
        new.put("a", "new")
        old.fail_next(RequestFailed("lost"), when="after")
        old.put("a", "old")
        with old.hold("get") as gate, ThreadPoolExecutor(1) as callers:
            asked = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            system.configure(system.settings, kit=new.kit(endpoint="other:443"))
            clock.advance(2)
            gate.release()
            assert type(asked.exception(SECONDS)) is RequestFailed

        assert system.secrets.get("a").reveal() == "new"


def test_a_write_that_was_sent_and_is_refused_by_the_breaker_on_its_second_way_keeps_its_token() -> None:
    """Its worker ended over it; before another could take it, the breaker opened. Nobody knows what became of it."""
    with far_away() as (system, store, clock):
        with store.hold("set") as held, store.hold("get") as gate, ThreadPoolExecutor(2) as callers:
            setting = callers.submit(system.secrets.set, "a", "v")
            held.wait_until_held()
            getting = callers.submit(system.secrets.get, "b")
            gate.wait_until_held()
            clock.advance(2)
            store.fail_next(RequestFailed("lost"), operation="get")
            gate.release()
            assert type(getting.exception(SECONDS)) is RequestFailed
            store.fail_next(RuntimeError("the worker dies"), operation="set")
            held.release()

            error = setting.exception(SECONDS)
            assert isinstance(error, CircuitOpen)
            assert error.token is not None


def test_a_stale_answer_is_audited_as_one(tmp_path: Path) -> None:
    with far_away(log=LogSettings(output=str(tmp_path / "log"))) as (system, store, clock):
        store.put("a", "v")
        version = system.secrets.get("a").version_id
        clock.advance(90)
        with store.failing(Throttled("slow down")):
            system.secrets.for_caller("billing").get("a")

    told = [(one["outcome"], one["source"], one["version_id"], one["caller"]) for one in audit_log(tmp_path)]
    assert told == [("ok", "backend", version, None), ("ok", "stale", version, "billing")]
