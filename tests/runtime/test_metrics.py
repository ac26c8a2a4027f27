"""What a whole system counts."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from secrets_actor import SecretNotFound, System, Throttled, Unreachable
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import wall_time
from secrets_actor.domain.secret import SecretValue
from secrets_actor.results import Metrics
from secrets_actor.runtime.settings import AwsSettings, Settings
from secrets_actor.testing import FakeStore, ManualClock, fake_system, find, kill, settled
from tests.actor.rig import eventually
from tests.servers.behaviours import Forward, Reset, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

NAME = "db/password"


def shown(metrics: Metrics, *names: str) -> dict[str, float]:
    return {name: metrics.value(f"secrets_actor_{name}") for name in names}


def test_gets_are_hits_misses_and_negative_hits() -> None:
    with fake_system() as (system, store):
        store.put(NAME, "v")
        for _ in range(6):
            system.secrets.get(NAME)
        for _ in range(3):
            with pytest.raises(SecretNotFound):
                system.secrets.get("none")
        metrics = system.metrics()

    counted = shown(metrics, "cache_hits", "cache_misses", "cache_negative_hits", "cache_entries")
    assert counted == {"cache_hits": 5, "cache_misses": 2, "cache_negative_hits": 2, "cache_entries": 1}
    assert metrics.value("secrets_actor_answers", "get", "ok") == 6
    assert metrics.value("secrets_actor_answers", "get", SecretNotFound.code) == 3
    assert metrics.value("secrets_actor_upstream_calls", "get", "ok") == 1
    assert metrics.value("secrets_actor_upstream_calls", "get", SecretNotFound.code) == 1
    assert metrics.value("secrets_actor_upstream_duration_seconds", "get") == 2
    assert metrics.value("secrets_actor_cache_bytes") > 200


@pytest.mark.parametrize("hits", ["each", "summary", "off"])
def test_hits_are_counted_whatever_is_recorded(hits: str) -> None:
    from secrets_actor.runtime.settings import LogSettings

    with fake_system(log=LogSettings(audit_hits=hits)) as (system, store):  # type: ignore[arg-type]
        store.put(NAME, "v")
        for _ in range(101):
            system.secrets.get(NAME)
        assert system.metrics().value("secrets_actor_cache_hits") == 100
        assert system.metrics().value("secrets_actor_cache_hits") == 100


def test_an_outage_shows_as_stale_answers() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), ttl_seconds=10, ttl_jitter=0) as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        clock.advance(11)
        with store.failing(Unreachable("gone", endpoint="fake"), "get"):
            assert system.secrets.get(NAME).stale
        metrics = system.metrics()

    assert shown(metrics, "stale_answers", "cache_hits") == {"stale_answers": 1, "cache_hits": 0}
    assert metrics.value("secrets_actor_upstream_calls", "get", Unreachable.code) == 1


def test_a_refresh_ahead_is_counted_with_how_it_went() -> None:
    clock = ManualClock()
    with fake_system(FakeStore(clock=clock), ttl_seconds=10, ttl_jitter=0, refresh_ahead=0.5) as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        clock.advance(6)
        system.secrets.get(NAME)
        settled(system)
        metrics = system.metrics()
        assert metrics.value("secrets_actor_refreshes", "ahead", "ok") == 1
        clock.advance(6)
        store.fail_next(Throttled("slow down"))
        system.secrets.get(NAME)
        settled(system)
        metrics = system.metrics()

    assert metrics.value("secrets_actor_refreshes", "ahead", Throttled.code) == 1
    assert metrics.value("secrets_actor_refreshes", "ahead") == 2


def test_waiting_callers_joined_flights_and_busy_workers_are_seen() -> None:
    with fake_system() as (system, store), ThreadPoolExecutor(4) as pool:
        store.put(NAME, "v")
        with store.hold("get") as gate:
            answers = [pool.submit(system.secrets.get, NAME) for _ in range(4)]
            gate.wait_until_held()
            eventually(lambda: system.metrics().value("secrets_actor_callers_waiting") == 4, "four who wait")
            metrics = system.metrics()
        assert {answer.result(10).reveal() for answer in answers} == {"v"}
        settled(system)
        after = system.metrics()

    assert shown(metrics, "callers_waiting", "flights_joined") == {"callers_waiting": 4, "flights_joined": 3}
    assert metrics.value("secrets_actor_workers", "busy") == 1
    assert shown(after, "callers_waiting", "pool_queue") == {"callers_waiting": 0, "pool_queue": 0}
    assert (after.value("secrets_actor_workers", "busy"), after.value("secrets_actor_workers", "idle")) == (0, 1)


def test_crashes_and_restarts_are_counted_by_process() -> None:
    with fake_system() as (system, store):
        store.put(NAME, "v")
        store.fail_next(RuntimeError("a bug"), 1, "get")
        system.secrets.get(NAME)
        kill(system, "secrets")
        settled(system)
        metrics = system.metrics()

    assert metrics.value("secrets_actor_crashes", "worker") == 1
    assert metrics.value("secrets_actor_restarts", "worker") == 1
    assert metrics.value("secrets_actor_restarts", "secrets") == 1
    assert metrics.value("secrets_actor_jobs_resent") == 1
    assert metrics.value("secrets_actor_upstream_calls", "get", "crashed") == 1


def test_fetches_of_credentials_are_refreshes_too() -> None:
    class Source:
        def fetch(self, deadline: float) -> AwsCredentials:
            return AwsCredentials("AKIA", SecretValue("key"))

    store = FakeStore()
    with System(Settings(), backend=store.factory(credentials=Source())) as system:
        store.put(NAME, "v")
        system.secrets.get(NAME)
        metrics = system.metrics()

    assert metrics.value("secrets_actor_refreshes", "credentials", "ok") == 1
    assert metrics.value("secrets_actor_upstream_calls", "fetch_credentials", "ok") == 1


def test_a_stopped_system_shows_what_it_has_counted_and_no_workers() -> None:
    with fake_system() as (system, store):
        store.put(NAME, "v")
        system.secrets.get(NAME)
        assert find(system, "secrets")
    metrics = system.metrics()

    assert metrics.value("secrets_actor_cache_misses") == 1
    assert metrics.value("secrets_actor_workers") == 0


@contextmanager
def on_aws(ministack: Ministack, server: FaultyServer) -> Iterator[System]:
    keys = ministack.account.root
    aws = AwsSettings(
        region="us-east-1", endpoint_url=server.url, access_key=keys.access_key_id, secret_key=keys.secret_key
    )
    with System(Settings(backend="aws_secrets_manager", aws=aws)) as system:
        yield system


def test_retries_and_throttles_on_the_way_to_aws_are_counted(fresh_ministack: Ministack) -> None:
    throttled, forward = aws_error("ThrottlingException", last=True), Forward(fresh_ministack.process.port)
    with FaultyServer(throttled, throttled, forward) as server, on_aws(fresh_ministack, server) as system:
        system.secrets.list()
        metrics = system.metrics()

    assert metrics.value("secrets_actor_upstream_calls", "list", "ok") == 1
    assert metrics.value("secrets_actor_retries", Throttled.code) == 2
    assert metrics.value("secrets_actor_throttles") == 2
    # Keys that do not end are looked at anew, so there is a next renewal and no end.
    [credentials] = [family for family in metrics if family.metric.name == "secrets_actor_credentials"]
    assert [sample.labels for sample in credentials.samples] == [("renewal",)]
    assert 0 < credentials.samples[0].value - wall_time() <= 60


def test_an_open_breaker_shows() -> None:
    with FaultyServer(Reset()) as server:
        aws = AwsSettings(region="us-east-1", endpoint_url=server.url, access_key="AKIA", secret_key="x")  # type: ignore[arg-type]
        with System(Settings(backend="aws_secrets_manager", aws=aws)) as system:
            assert system.metrics().value("secrets_actor_breaker_state", "closed") == 1
            with pytest.raises(Unreachable):
                system.secrets.get(NAME, timeout=3.0)
            metrics = system.metrics()

    states = {state: metrics.value("secrets_actor_breaker_state", state) for state in ("closed", "open", "half_open")}
    assert states == {"closed": 0, "open": 1, "half_open": 0}
    assert metrics.value("secrets_actor_breaker_opened") == 1
    assert metrics.value("secrets_actor_retries") >= 1
