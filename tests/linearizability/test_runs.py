"""Sixteen callers on four secrets, over each store: every history is linearizable, and every call is accounted for."""

import random
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import AwsSettings, LocalSettings, LogSettings, RequestFailed, Settings, System
from secrets_actor.testing import FakeStore
from tests.linearizability.planted import Fault, Reordering, StaleReads
from tests.linearizability.traffic import Mix, Report, Traffic
from tests.linearizability.weather import Weather
from tests.servers.account import allow_everything
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

PEACE = Mix(worker_kills=0, actor_kills=0)


def of(folder: Path, **given: Any) -> Settings:
    """A cache whose entries end often, and much that may be served stale if somebody forgot to say no."""
    log = LogSettings(output=str(folder / "log"))
    return Settings(ttl_seconds=0.5, max_stale_seconds=600, call_timeout_seconds=5, log=log, **given)


def found(report: Report, title: str) -> None:
    """Print the counts; assert that all is well."""
    print(f"\n{title}\n{report}")
    assert report.problems == []
    assert report.verdict.good, str(report)


@pytest.mark.parametrize(
    ("operations", "seconds", "seed"), [(1_500, 20.0, 1), pytest.param(20_000, 90.0, 2, marks=pytest.mark.slow)]
)
def test_over_ministack_in_bad_weather(
    operations: int, seconds: float, seed: int, ministack: Ministack, tmp_path: Path
) -> None:
    """The breaker is on: what it refuses counts as not done, and that is to be true."""
    keys = ministack.account.user(allow_everything())
    weather = Weather(ministack.process.port, seed)
    with FaultyServer(weather) as server:
        aws = AwsSettings(
            region="us-east-1",
            access_key=keys.access_key_id,  # type: ignore[arg-type]
            secret_key=keys.secret_key,  # type: ignore[arg-type]
            endpoint_url=server.url,
            timeout=1.0,
            max_attempts=2,
        )
        with System(of(tmp_path, backend="aws_secrets_manager", aws=aws)) as system:
            report = Traffic(system, operations=operations, seconds=seconds, seed=seed).run()
    report.weather = weather.counts

    found(report, f"ministack, seed {seed}")
    assert report.sums["asked"] >= operations
    assert report.unknown > 5
    assert min(report.kills["worker"], report.kills["secrets"]) > 0
    assert min(weather.counts[fate] for fate in ("reset before", "reset after", "5xx before", "5xx after")) > 0


@pytest.mark.parametrize(("operations", "seed"), [(1_500, 3), pytest.param(20_000, 4, marks=pytest.mark.slow)])
def test_over_the_fake_store_that_loses_questions_and_answers(operations: int, seed: int, tmp_path: Path) -> None:
    store = FakeStore()

    def mishap(dice: random.Random) -> None:
        if dice.random() < 0.2:
            lost = RequestFailed("the connection broke", endpoint="fake")
            store.fail_next(lost, when=dice.choice(["before", "after"]))

    with System(of(tmp_path), clock=store.clock, kit=store.kit()) as system:
        report = Traffic(system, operations=operations, seed=seed, also=mishap).run()

    found(report, f"fake store, seed {seed}")
    assert report.errors["RequestFailed"] > 5


@pytest.mark.parametrize(("operations", "seed"), [(1_500, 5), pytest.param(20_000, 6, marks=pytest.mark.slow)])
def test_over_the_local_store(operations: int, seed: int, tmp_path: Path) -> None:
    with System(of(tmp_path, local=LocalSettings(path=tmp_path / "store"))) as system:
        report = Traffic(system, operations=operations, seed=seed).run()

    found(report, f"local store, seed {seed}")


@pytest.mark.parametrize("fault", [StaleReads(), Reordering()], ids=lambda fault: type(fault).__name__)
def test_a_planted_fault_is_caught(fault: Fault, tmp_path: Path) -> None:
    store = FakeStore()
    with System(of(tmp_path), clock=store.clock, kit=fault.kit(store.kit())) as system:
        report = Traffic(system, operations=1_500, seed=7, mix=PEACE).run()

    assert report.problems == []
    assert fault.played > 0
    assert not report.verdict.good


def test_without_a_fault_the_same_traffic_is_good(tmp_path: Path) -> None:
    store = FakeStore()
    with System(of(tmp_path), clock=store.clock, kit=Fault().kit(store.kit())) as system:
        report = Traffic(system, operations=1_500, seed=7, mix=PEACE).run()

    found(report, "no fault")
