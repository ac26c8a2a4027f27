"""A whole system on three real nodes: without a quorum, with a sealed node, by standbys alone, with a revoked token."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from secrets_actor import SecretsError, System
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import NoActiveNode, StoreError, Throttled
from tests.actor.rig import failure
from tests.backends.vault.crowd import system_on, versions_of
from tests.servers.openbao import PASSWORD, OpenBaoCluster, Refused

pytestmark = pytest.mark.slow

# TESTS_READS=10000 for a longer run.
READS: Final = int(os.environ.get("TESTS_READS", "2000"))
THREADS: Final = 8
READS_A_SET: Final = 5


@pytest.fixture
def mount(whole_cluster: OpenBaoCluster) -> str:
    return whole_cluster.mount(max_versions=100_000)


@pytest.fixture
def system(whole_cluster: OpenBaoCluster, mount: str, tmp_path: Path) -> Iterator[System]:
    with system_on(whole_cluster.urls, mount, whole_cluster.admin_token(), tmp_path) as started:
        yield started


def test_without_a_quorum_sets_fail_in_time_gets_are_answered_and_a_repeat_makes_one_version(
    whole_cluster: OpenBaoCluster, mount: str, system: System
) -> None:
    secrets = system.secrets
    secrets.set("app/a", "before")
    whole_cluster.wait_until_whole()
    dead = [whole_cluster.leader(), whole_cluster.standbys()[0]]
    for node in dead:
        node.kill()

    begun = clock_now()
    refused = failure(lambda: secrets.set("app/a", "during", timeout=3.0))
    took = clock_now() - begun
    assert isinstance(refused, SecretsError)
    assert refused.retryable
    assert refused.token is not None
    assert took < 3.0 + 1.0
    assert secrets.get("app/a", allow_stale=False).reveal() == "before"
    fresh = failure(lambda: secrets.get("app/a", refresh=True, allow_stale=False, timeout=3.0))
    assert isinstance(fresh, NoActiveNode)
    assert secrets.get("app/a", allow_stale=False).reveal() == "before"  # what failed has shut no reads off

    dead[0].start()
    whole_cluster.leader()
    for _ in range(2):
        secrets.set("app/a", "during", token=refused.token, timeout=20.0)
    assert secrets.get("app/a").reveal() == "during"
    assert [value for _, value in versions_of(whole_cluster.admin(), mount, "app/a")] == ["before", "during"]


def test_the_share_of_a_sealed_node_goes_to_the_others(whole_cluster: OpenBaoCluster, system: System) -> None:
    secrets = system.secrets
    secrets.set("app/a", "x")
    whole_cluster.wait_until_whole()
    sealed = whole_cluster.seal_leader()
    whole_cluster.leader()

    secrets.set("app/a", "y", timeout=20.0)
    origins = Counter(secrets.get("app/a", allow_stale=False).origin for _ in range(100))
    longest = 0.0
    for _ in range(20):
        begun = clock_now()
        secrets.get("app/a", allow_stale=False)
        longest = max(longest, clock_now() - begun)

    assert sealed.url.removeprefix("http://") not in origins
    assert origins.total() == 100
    assert longest < 1.0


def test_standbys_show_us_our_own_writes_each_time(whole_cluster: OpenBaoCluster, mount: str, tmp_path: Path) -> None:
    """Beside each read of ours somebody reads without an index, who is shown old values: so there was something to see.
    The system knows the two standbys only, which pass its writes on."""
    urls = [node.url for node in whole_cluster.standbys()]
    old, old_of_others, reads = Counter[str](), Counter[str](), Counter[str]()
    token = whole_cluster.admin_token()
    begun = clock_now()
    with system_on(urls, mount, token, tmp_path) as system:

        def work(number: int) -> None:
            key = f"own/{number}"
            seen = [node.seen_by(token) for node in whole_cluster.nodes if node.url in urls]
            for count in range(READS // THREADS // READS_A_SET):
                value = str(count)
                system.secrets.set(key, value)
                with contextlib.suppress(Refused):
                    found = seen[count % 2].read(f"{mount}/data/{key}")["data"]["value"]
                    old_of_others[key] += found != value
                for _ in range(READS_A_SET):
                    old[key] += system.secrets.get(key, allow_stale=False).reveal() != value
                    reads[key] += 1

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    seconds = clock_now() - begun
    print(f"\nold: {old.total()} of {reads.total()}; of others' reads {old_of_others.total()}; in {seconds:.1f} s")
    assert reads.total() == READS
    assert old.total() == 0
    assert old_of_others.total() > 0


def test_a_quota_that_is_used_up_is_told_as_throttling(
    whole_cluster: OpenBaoCluster, mount: str, system: System
) -> None:
    secrets, admin = system.secrets, whole_cluster.admin()
    secrets.set("app/a", "x")
    admin.write(f"sys/quotas/rate-limit/{mount}", path=mount, rate=1, interval="60s")
    try:
        whole_cluster.wait_until_whole()
        told = failure(lambda: [secrets.get("app/a", allow_stale=False) for _ in range(10)])
    finally:
        admin.delete(f"sys/quotas/rate-limit/{mount}")

    assert isinstance(told, Throttled)
    assert told.retryable


def test_a_token_that_is_revoked_from_outside_costs_one_login_and_no_call(
    whole_cluster: OpenBaoCluster, mount: str, tmp_path: Path
) -> None:
    login = {"auth_method": "userpass", "username": "admin", "password": PASSWORD}
    admin = whole_cluster.admin()
    with system_on(whole_cluster.urls, mount, None, tmp_path, vault=login) as system:
        before = set(admin.ask("LIST", "auth/token/accessors")["data"]["keys"])
        system.secrets.set("app/a", "x")
        for accessor in set(admin.ask("LIST", "auth/token/accessors")["data"]["keys"]) - before:
            admin.write("auth/token/revoke-accessor", accessor=accessor)
        during = set(admin.ask("LIST", "auth/token/accessors")["data"]["keys"])

        assert system.secrets.get("app/a", allow_stale=False).reveal() == "x"
        system.secrets.set("app/a", "y")

        made = set(admin.ask("LIST", "auth/token/accessors")["data"]["keys"]) - during
        assert len(made) == 1


def test_a_token_without_a_login_that_is_revoked_ends_the_calls_with_an_error_that_says_so(
    whole_cluster: OpenBaoCluster, mount: str, tmp_path: Path
) -> None:
    admin = whole_cluster.admin()
    token = admin.make_token("all", ttl="1h")
    with system_on(whole_cluster.urls, mount, token, tmp_path) as system:
        system.secrets.set("app/a", "x")
        admin.write("auth/token/revoke", token=token)

        told = failure(lambda: system.secrets.get("app/a", allow_stale=False))

    assert isinstance(told, StoreError)
    assert not told.retryable
    assert "log in again" in str(told) or "token" in str(told)
