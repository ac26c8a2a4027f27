"""Sixteen writers and sixteen readers on three real nodes, while nodes die, hang, hand over, and are sealed.

The figures are printed (`-s`): the longest that a writer waited, beside the longest time without a write that succeeded
at any node, of writers without our client.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import System
from tests.backends.vault.crowd import Crowd, RawWriters, system_on
from tests.servers.openbao import OpenBaoCluster

pytestmark = pytest.mark.slow

KILLS = 10
MANY = 100_000


@pytest.fixture
def mount(whole_cluster: OpenBaoCluster) -> str:
    return whole_cluster.mount(max_versions=MANY)


@pytest.fixture
def systems(whole_cluster: OpenBaoCluster, mount: str, tmp_path: Path) -> Iterator[list[System]]:
    """Two programs."""
    with contextlib.ExitStack() as stack:
        started = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            made = system_on(whole_cluster.urls, mount, whole_cluster.admin_token(), tmp_path / name)
            started.append(stack.enter_context(made))
        yield started


def test_no_set_is_lost_and_none_is_there_twice_while_leader_after_leader_is_killed(
    whole_cluster: OpenBaoCluster, mount: str, systems: list[System]
) -> None:
    with RawWriters(whole_cluster, mount) as raw, Crowd(systems) as crowd:
        for _ in range(KILLS):
            crowd.work_on(10)
            whole_cluster.take_away("kill")
            crowd.work_on(10)
            whole_cluster.heal()

    print(f"\n{KILLS} leaders killed; no write of anybody's for {raw.longest_gap():.2f} s\n{crowd.book}")
    assert crowd.judge(whole_cluster.admin(), mount) == []
    assert crowd.book.failed_reads.total() == 0


@pytest.mark.parametrize("how", ["term", "stop", "step_down", "seal_leader"])
def test_writers_wait_for_a_new_leader_and_readers_do_not(
    how: str, whole_cluster: OpenBaoCluster, mount: str, systems: list[System]
) -> None:
    with RawWriters(whole_cluster, mount) as raw, Crowd(systems) as crowd:
        crowd.work_on(10)
        whole_cluster.take_away(how)
        crowd.work_on(20)
        whole_cluster.heal()
        crowd.work_on(10)

    print(f"\n{how}; no write of anybody's for {raw.longest_gap():.2f} s\n{crowd.book}")
    assert crowd.judge(whole_cluster.admin(), mount) == []
    assert crowd.book.failed_reads.total() == 0
