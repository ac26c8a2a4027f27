"""Calls to three real nodes: our own writes are seen everywhere, and a fresh read sees everybody's."""

import json

import pytest

from secrets_actor import SecretValue
from secrets_actor.backends.vault.call_runner import Connection
from secrets_actor.backends.vault.protocol import VaultCall
from tests.backends.vault.wire_rig import ask, cluster_at, connected, name_of
from tests.servers.openbao import OpenBaoCluster, Refused

pytestmark = [pytest.mark.vault, pytest.mark.slow]


def write(path: str, number: int) -> VaultCall:
    return VaultCall("POST", path, json.dumps({"data": {"value": str(number)}}).encode(), writes=True)


def value(connection: Connection, call: VaultCall, token: SecretValue) -> int:
    return int(ask(connection, call, token=token).body["data"]["data"]["value"])


@pytest.fixture
def path(whole_cluster: OpenBaoCluster) -> str:
    """The path of a secret in a mount of its own."""
    return f"{whole_cluster.admin().mount()}/data/a"


def test_our_own_writes_are_seen_on_each_node_at_once(whole_cluster: OpenBaoCluster, path: str) -> None:
    token = SecretValue(whole_cluster.admin_token())
    cluster = cluster_at(*whole_cluster.urls)
    with connected(cluster=cluster) as writer, connected(cluster=cluster) as reader:
        stale, answered = 0, set()
        for number in range(300):
            ask(writer, write(path, number), token=token)
            # The first that is not to be avoided is asked.
            avoid = set(cluster.names) - {cluster.names[number % 3]}
            found = ask(reader, VaultCall("GET", path), token=token, avoid=avoid)
            stale += int(found.body["data"]["data"]["value"]) != number
            answered.add(found.origin)
    assert (stale, answered) == (0, set(cluster.names))


def test_a_fresh_read_sees_what_others_wrote_and_follows_the_leadership(
    whole_cluster: OpenBaoCluster, path: str
) -> None:
    token = SecretValue(whole_cluster.admin_token())
    other = whole_cluster.admin()
    standby = whole_cluster.standbys()[0]
    urls = sorted(whole_cluster.urls, key=lambda url: url != standby.url)
    with connected(*urls) as connection:
        for number in range(100):
            other.write(path, data={"value": str(number)})
            assert value(connection, VaultCall("GET", path, fresh=True), token) == number
        assert connection.cluster.names.index(name_of(whole_cluster.leader().url)) == connection.cluster.active

        old = whole_cluster.step_down()
        for number in range(100, 200):
            ask(connection, write(path, number), token=token)
            try:
                whole_cluster.leader().seen_by(token.text()).write(path, data={"value": str(number)})
            except (OSError, Refused):
                continue  # it became the leader just now
            assert value(connection, VaultCall("GET", path, fresh=True), token) == number
        assert connection.cluster.names[connection.cluster.active or 0] != name_of(old.url)


def test_a_write_outlives_a_leader_that_is_stopped_and_reads_go_on(whole_cluster: OpenBaoCluster, path: str) -> None:
    token = SecretValue(whole_cluster.admin_token())
    leader = whole_cluster.leader()
    urls = sorted(whole_cluster.urls, key=lambda url: url == leader.url)
    with connected(*urls) as connection:
        ask(connection, write(path, 1), token=token)
        leader.stop()
        assert value(connection, VaultCall("GET", path), token) == 1
        assert ask(connection, write(path, 2), token=token).status == 200
        assert value(connection, VaultCall("GET", path, fresh=True), token) == 2
    leader.resume()


def test_a_cluster_is_asked_who_leads_it_from_within_a_namespace_too(whole_cluster: OpenBaoCluster) -> None:
    token = SecretValue(whole_cluster.admin_token())
    whole_cluster.admin().write("sys/namespaces/team")
    mount = whole_cluster.admin().in_namespace("team").mount()
    with connected(*whole_cluster.urls, namespace="team") as connection:
        ask(connection, write(f"{mount}/data/a", 7), token=token)
        assert value(connection, VaultCall("GET", f"{mount}/data/a", fresh=True), token) == 7
        assert connection.cluster.active is not None
