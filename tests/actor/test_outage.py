"""An outage: what is served from memory, marked; what is never served; and that it costs one caller's wait.

The fake store stands on a manual clock, so nothing here waits for time to pass.
"""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import (
    AccessDenied,
    CircuitOpen,
    DeadlineExceeded,
    LogSettings,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    Settings,
    StoreFailure,
    System,
    Throttled,
    WorkerCrashed,
)
from secrets_actor.actor.endpoint_breakers import BreakerClosed, BreakerOpened
from secrets_actor.errors import (
    BackendTimeout,
    ConnectionFailed,
    DecryptionFailed,
    MetadataServiceError,
    RequestFailed,
    UnrecognizedClient,
)
from secrets_actor.messages import Get
from secrets_actor.otp import LifecycleEvent
from secrets_actor.testing import FakeStore, ManualClock, fake_system, settled
from tests.actor.rig import audit_log, eventually, failure
from tests.actor.token_credentials import Token

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
    with System(settings, clock=clock, backend=store.factory(endpoint=ENDPOINT), observer=found.append) as system:
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
        with ThreadPoolExecutor(2) as callers, store.hold("get") as gate:
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
        with ThreadPoolExecutor(1) as callers, store.hold("get") as gate:
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
        with ThreadPoolExecutor(4) as callers, store.hold("get", times=1) as gate:
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


def _has_read_all(system: System) -> bool:
    pid = system.whereis("secrets")
    return pid is not None and pid.mailbox_idle()


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
        with ThreadPoolExecutor(1) as callers, old.hold("get") as gate:
            asked = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            system.configure(system.settings, backend=new.factory(endpoint="other:443"))
            clock.advance(2)
            gate.release()
            assert type(asked.exception(SECONDS)) is RequestFailed

        assert system.secrets.get("a").reveal() == "new"


def test_a_write_that_was_sent_and_is_refused_by_the_breaker_on_its_second_way_keeps_its_token() -> None:
    """Its worker ended over it; before another could take it, the breaker opened. Nobody knows what became of it."""
    with far_away() as (system, store, clock):
        with ThreadPoolExecutor(2) as callers, store.hold("set") as held, store.hold("get") as gate:
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
            assert isinstance(error, WorkerCrashed)
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


# --- before anything is wrong -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["get", "ask"])
def test_in_the_last_part_of_its_time_a_value_is_served_and_fetched_anew_once(asked: str) -> None:
    with far_away(refresh_ahead=0.2) as (system, store, clock):
        ways = {"get": system.secrets.get, "ask": lambda name: system.ref.ask(Get(name), timeout=SECONDS)}
        store.put("a", "old")
        system.secrets.get("a")
        store.put("a", "new")
        clock.advance(50)
        with store.hold("get") as gate:
            assert [ways[asked]("a").reveal() for _ in range(5)] == ["old"] * 5
            gate.wait_until_held()
        settled(system)

        found = system.secrets.get("a")
        assert (found.reveal(), found.age, found.source) == ("new", 0.0, "cache")
        assert store.calls["get"] == 2


def test_a_refresh_that_fails_costs_nobody_anything_until_the_value_has_ended() -> None:
    with far_away(refresh_ahead=0.2, breaker_failures=0) as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(50)
        with store.failing(Throttled("slow down")):
            assert [system.secrets.get("a").stale for _ in range(3)] == [False] * 3
            settled(system)
            assert store.calls["get"] == 2
            clock.advance(10)
            assert system.secrets.get("a").stale


def test_a_value_is_as_old_as_the_question_to_the_store() -> None:
    """It may have changed as soon as the store had read it."""
    with far_away() as (system, store, clock):
        store.put("a", "v")
        with ThreadPoolExecutor(1) as callers, store.hold("get", when="after") as gate:
            asked = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            clock.advance(20)
            gate.release()
            assert asked.result(SECONDS).age == 0.0

        assert system.secrets.get("a").age == 20.0
        assert system.secrets.get("a", max_age=19).source == "backend"


def test_who_wants_a_young_value_does_not_join_an_old_question() -> None:
    with far_away() as (system, store, clock):
        store.put("a", "old")
        with ThreadPoolExecutor(3) as callers, store.hold("get", times=1, when="after") as gate:
            first = callers.submit(system.secrets.get, "a")
            gate.wait_until_held()
            store.put("a", "new")
            clock.advance(5)

            assert system.secrets.get("a", max_age=4).reveal() == "new"
            joins = callers.submit(system.secrets.get, "b", max_age=0)
            assert type(joins.exception(SECONDS)) is SecretNotFound
            gate.release()
            assert first.result(SECONDS).reveal() == "old"
        assert system.secrets.get("a").reveal() == "new", "what came later is older, and not kept"


# --- callers in a hurry -----------------------------------------------------------------------------------------------


def test_callers_with_a_second_each_do_not_wait_it_out_for_ever() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(1) as callers:
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as silent:
            first = callers.submit(system.secrets.get, "a", timeout=1)
            silent.wait_until_held()
            clock.advance(1)
            assert first.result(SECONDS).stale

            assert "breaker open" in str(system.tree())
            assert [system.secrets.get("a", timeout=1).stale for _ in range(5)] == [True] * 5
            assert asyncio.run(system.async_secrets.get("a", timeout=1)).stale
            assert type(failure(lambda: system.secrets.get_many(["b", "c"], timeout=1))) is CircuitOpen
        assert store.calls["get"] == 2


def test_what_several_callers_in_a_hurry_have_waited_in_vain_adds_up() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(1) as callers, store.hold("get") as silent:
        for number in range(4):
            assert "breaker closed" in str(system.tree()), number
            asked = callers.submit(system.secrets.get, f"k{number}", timeout=0.3)
            silent.wait_until_held()
            clock.advance(0.3)
            assert isinstance(asked.exception(SECONDS), (BackendTimeout, DeadlineExceeded))
            settled(system)

        assert "breaker open" in str(system.tree())


def test_an_answer_in_between_takes_it_all_back() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(1) as callers:
        store.put("a", "v")
        for number in range(8):
            with store.hold("get", times=1) as silent:
                asked = callers.submit(system.secrets.get, f"k{number}", timeout=0.5)
                silent.wait_until_held()
                clock.advance(0.5)
                assert isinstance(asked.exception(SECONDS), (BackendTimeout, DeadlineExceeded))
                settled(system)
            assert system.secrets.get("a", refresh=True).reveal() == "v"


def test_a_question_that_callers_join_again_and_again_is_not_asked_for_ever() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(2) as callers:
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as silent:
            first = callers.submit(system.secrets.get, "a", timeout=1)
            silent.wait_until_held()
            clock.advance(0.5)
            second = callers.submit(system.secrets.get, "a", timeout=10)
            eventually(lambda: _open_calls(system) == 2)
            clock.advance(0.5)

            assert first.result(SECONDS).stale
            assert second.result(SECONDS).stale
            assert "breaker open" in str(system.tree())


def test_callers_who_bound_their_wait_themselves_do_not_wait_it_out_for_ever() -> None:
    async def run(system: System, clock: ManualClock, silent: Any) -> None:
        loop = asyncio.get_running_loop()
        asked = asyncio.ensure_future(system.async_secrets.get("a"))  # as by wait_for: its deadline is 30 s away
        await loop.run_in_executor(None, silent.wait_until_held)
        clock.advance(0.5)
        asked.cancel()
        assert isinstance((await asyncio.gather(asked, return_exceptions=True))[0], asyncio.CancelledError)
        eventually(lambda: _has_read_all(system))
        assert "breaker closed" in str(system.tree())
        again = asyncio.ensure_future(system.async_secrets.get("a"))
        await loop.run_in_executor(None, lambda: eventually(lambda: _open_calls(system) == 1))
        clock.advance(0.5)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
        eventually(lambda: _has_read_all(system))

        assert "breaker open" in str(system.tree())
        assert [(await system.async_secrets.get("a")).stale for _ in range(3)] == [True] * 3
        silent.release()

    with far_away() as (system, store, clock):
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as silent:
            asyncio.run(run(system, clock, silent))
        settled(system)
        assert "breaker closed" in str(system.tree())
        assert store.calls["get"] == 2


def test_who_joins_a_patient_caller_and_gives_up_is_the_only_one_who_waits_in_vain() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(2) as callers:
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as silent:
            patient = callers.submit(system.secrets.get, "a", timeout=30, allow_stale=False)
            silent.wait_until_held()
            clock.advance(1)
            hasty = callers.submit(system.secrets.get, "a", timeout=0.01)
            assert hasty.result(SECONDS).stale
            eventually(lambda: _has_read_all(system))

            assert "breaker open" in str(system.tree())
            assert system.secrets.get("a").stale
            silent.release()
            assert not patient.result(SECONDS).stale


def test_who_gives_up_before_the_store_could_answer_says_nothing_about_it() -> None:
    async def run(system: System, clock: ManualClock, silent: Any) -> None:
        for number in range(4):
            asked = asyncio.ensure_future(system.async_secrets.get(f"k{number}"))
            await asyncio.get_running_loop().run_in_executor(None, silent.wait_until_held, number + 1)
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)
        eventually(lambda: _has_read_all(system))
        assert "breaker closed" in str(system.tree())

    with far_away() as (system, store, clock):
        clock.advance(90)
        with store.hold("get") as silent:
            asyncio.run(run(system, clock, silent))


def test_an_ask_of_pykkas_with_a_timeout_is_a_caller_with_that_deadline() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(1) as callers:
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        with store.hold("get") as silent:
            asked = callers.submit(system.ref.ask, Get("a"), timeout=SECONDS)
            silent.wait_until_held()
            clock.advance(SECONDS)

            assert asked.result(SECONDS).stale
            eventually(lambda: "breaker open" in str(system.tree()))
            assert system.ref.ask(Get("a"), timeout=SECONDS).stale


def test_when_the_breaker_opens_who_waits_for_an_answer_and_takes_a_stale_one_has_it() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(3) as callers:
        for name in "ab":
            store.put(name, "v")
            system.secrets.get(name)
        clock.advance(90)
        with store.hold("get") as silent:
            long = callers.submit(system.secrets.get, "a", timeout=60)
            strict = callers.submit(system.secrets.get, "a", timeout=60, allow_stale=False)
            silent.wait_until_held()
            short = callers.submit(system.secrets.get, "b", timeout=1)
            silent.wait_until_held(2)
            clock.advance(1)

            assert short.result(SECONDS).stale
            assert long.result(SECONDS).stale
            assert not strict.done()
            silent.release()
            assert not strict.result(SECONDS).stale
        assert "breaker closed" in str(system.tree())


@pytest.mark.parametrize("timeout", [0.2, 1.0, 60.0])
def test_a_probe_goes_on_in_the_background_and_its_caller_has_what_is_stale(timeout: float) -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(2) as callers:
        store.put("a", "old")
        system.secrets.get("a")
        store.put("a", "new")
        clock.advance(90)
        store.fail_next(RequestFailed("lost"))
        assert system.secrets.get("a").stale
        clock.advance(0.5)
        with store.hold("get") as silent:
            prober = callers.submit(system.secrets.get, "a", timeout=timeout)
            silent.wait_until_held()
            clock.advance(0.25)
            assert prober.result(SECONDS).stale
            assert "breaker half_open" in str(system.tree())

            assert [system.secrets.get("a").stale for _ in range(3)] == [True] * 3
            for refused in (
                lambda: system.secrets.get("a", allow_stale=False),
                lambda: system.secrets.get("a", refresh=True),
                lambda: system.secrets.get("b"),
            ):
                assert type(failure(refused)) is CircuitOpen
            clock.advance(2.0)
            silent.release()
            settled(system)

        found = system.secrets.get("a")
        assert (found.reveal(), found.stale, found.source) == ("new", False, "cache")
        assert store.calls["get"] == 3


def test_a_probe_that_is_answered_soon_brings_something_fresh() -> None:
    with far_away() as (system, store, clock):
        store.put("a", "old")
        system.secrets.get("a")
        store.put("a", "new")
        clock.advance(90)
        store.fail_next(RequestFailed("lost"))
        assert system.secrets.get("a").reveal() == "old"
        clock.advance(0.5)

        assert system.secrets.get("a").reveal() == "new"


def test_a_write_that_is_the_probe_has_no_more_time_than_its_caller() -> None:
    with far_away() as (system, store, clock), ThreadPoolExecutor(1) as callers:
        store.fail_next(RequestFailed("lost"))
        failure(lambda: system.secrets.get("a"))
        clock.advance(0.5)
        with store.hold("set") as silent:
            writing = callers.submit(system.secrets.set, "a", "v", timeout=1)
            silent.wait_until_held()
            clock.advance(1)
            assert isinstance(writing.exception(SECONDS), (BackendTimeout, DeadlineExceeded))
            settled(system)
        assert store.version_ids("a") == ()


class NoKeys:
    """A source of keys that does not answer until it is let go, and then has none."""

    def __init__(self) -> None:
        self.asked, self.go = threading.Semaphore(0), threading.Event()

    def fetch(self, deadline: float) -> Token:
        self.asked.release()
        self.go.wait(SECONDS)
        raise MetadataServiceError("no keys today")


class Ends:
    """Gives keys that are good for one question, and then none."""

    def __init__(self, then: NoKeys) -> None:
        self.then, self.given = then, False

    def fetch(self, deadline: float) -> Token:
        if self.given:
            return self.then.fetch(deadline)
        self.given = True
        return Token("key")


def test_while_keys_cannot_be_had_nobody_waits_for_them_who_takes_something_stale() -> None:
    clock, silent = ManualClock(), NoKeys()
    store = FakeStore(clock=clock)
    settings = Settings(**PLAIN)
    with System(settings, clock=clock, backend=store.factory(credentials=Ends(silent))) as system:
        store.put("a", "v")
        system.secrets.get("a")
        clock.advance(90)
        store.fail_next(UnrecognizedClient("these keys are no more"))
        silent.go.set()
        assert system.secrets.get("a").stale, "the first waits for the fetch, which fails"
        silent.go.clear()
        with ThreadPoolExecutor(2) as callers:
            while silent.asked.acquire(blocking=False):
                pass
            asked = callers.submit(system.secrets.get, "a", timeout=60)
            assert silent.asked.acquire(timeout=SECONDS)
            clock.advance(0.25)
            assert asked.result(SECONDS).stale
            assert system.secrets.get("a", timeout=60).stale, "who comes later waits no moment"
            strict = callers.submit(system.secrets.get, "a", timeout=60, allow_stale=False)
            silent.go.set()
            assert type(strict.exception(SECONDS)) is MetadataServiceError
