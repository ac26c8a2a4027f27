"""Sixteen callers on four secrets, over each store: every history is linearizable, and every call is accounted for."""

from pathlib import Path

import pytest

from secrets_actor.testing import FakeStore
from tests.linearizability.injected_faults import Fault, Reordering, StaleReads
from tests.linearizability.random_failures import Fate
from tests.linearizability.runs import in_peace, over_fake, over_local, over_ministack, over_openbao
from tests.linearizability.traffic import Report
from tests.servers.ministack import Ministack
from tests.servers.openbao import OpenBaoCluster


def check_all(report: Report, title: str) -> None:
    """Print the counts; assert that all is well."""
    print(f"\n{title}\n{report}")
    assert report.problems == []
    assert report.verdict.good, str(report)


@pytest.mark.parametrize(
    ("operations", "seconds", "seed"), [(1_500, 20.0, 1), pytest.param(20_000, 240.0, 2, marks=pytest.mark.slow)]
)
def test_over_ministack_in_bad_weather(
    operations: int, seconds: float, seed: int, ministack: Ministack, tmp_path: Path
) -> None:
    """*seconds*: of a machine that has much else to do. Else the long one takes about 65."""
    report = over_ministack(ministack, tmp_path, operations, seed, seconds)

    check_all(report, f"ministack, seed {seed}")
    assert report.unknown > 5
    if operations >= 20_000:
        assert report.sums["asked"] == operations
        assert report.kills["worker"] > 0
        assert report.kills["secrets"] > 0
        assert {fate for fate in Fate if report.weather[fate] > 10} == set(Fate)


@pytest.mark.slow
def test_over_three_nodes_of_openbao_whose_leaders_come_and_go(whole_cluster: OpenBaoCluster, tmp_path: Path) -> None:
    report = over_openbao(whole_cluster, tmp_path, 5_000, 8, 40.0)

    check_all(report, "OpenBao, seed 8")
    assert report.sums["asked"] > 1_000
    assert report.weather.total() > 3
    assert report.kills["worker"] > 0


@pytest.mark.parametrize(("operations", "seed"), [(1_500, 3), pytest.param(20_000, 4, marks=pytest.mark.slow)])
def test_over_the_fake_store_that_loses_questions_and_answers(operations: int, seed: int, tmp_path: Path) -> None:
    report = over_fake(tmp_path, operations, seed)

    check_all(report, f"fake store, seed {seed}")
    assert report.sums["asked"] == operations
    assert report.errors["RequestFailed"] > 0


@pytest.mark.parametrize(("operations", "seed"), [(1_500, 5), pytest.param(20_000, 6, marks=pytest.mark.slow)])
def test_over_the_local_store(operations: int, seed: int, tmp_path: Path) -> None:
    report = over_local(tmp_path, operations, seed)

    check_all(report, f"local store, seed {seed}")
    assert report.sums["asked"] == operations


@pytest.mark.parametrize("fault", [StaleReads(), Reordering()], ids=lambda fault: type(fault).__name__)
def test_a_planted_fault_is_caught(fault: Fault, tmp_path: Path) -> None:
    report = in_peace(fault.factory(FakeStore().factory()), tmp_path, 1_500, 7)

    assert report.problems == []
    assert fault.played > 0
    assert not report.verdict.good


def test_without_a_fault_the_same_traffic_is_good(tmp_path: Path) -> None:
    check_all(in_peace(Fault().factory(FakeStore().factory()), tmp_path, 1_500, 7), "no fault")
