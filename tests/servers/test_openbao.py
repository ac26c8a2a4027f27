"""OpenBao's nodes start, forget nothing of the host's, and end with whoever started them."""

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.openbao import OpenBaoCluster, OpenBaoDev, Refused
from tests.servers.process import ROOT
from tests.servers.test_process import open_pidfd
from tests.servers.tls import issue

pytestmark = pytest.mark.vault


def test_a_single_node_takes_writes_at_once_and_numbers_the_versions(openbao: OpenBaoDev, kv_mount: str) -> None:
    for value in ("one", "two"):
        openbao.root.write(f"{kv_mount}/data/app/a", data={"value": value})

    found = openbao.root.read(f"{kv_mount}/data/app/a")
    assert (found["data"], found["metadata"]["version"]) == ({"value": "two"}, 2)


def test_each_test_has_a_mount_that_nobody_wrote_to(openbao: OpenBaoDev, kv_mount: str) -> None:
    with pytest.raises(Refused) as refused:
        openbao.root.read(f"{kv_mount}/data/app/a")

    assert (refused.value.status, refused.value.errors) == (404, [])


def test_a_token_may_do_what_its_policy_says_and_no_more(openbao: OpenBaoDev, kv_mount: str) -> None:
    name = openbao.root.policy(f'path "{kv_mount}/data/mine" {{ capabilities = ["create", "update"] }}')
    token = openbao.root.make_token(name, ttl="1h")
    seen = openbao.root.with_token(token)

    seen.write(f"{kv_mount}/data/mine", data={"value": "x"})

    with pytest.raises(Refused, match="403: 1 error occurred"):
        seen.read(f"{kv_mount}/data/mine")


def test_with_certificates_it_speaks_tls_to_those_who_trust_the_authority(tmp_path: Path) -> None:
    with OpenBaoDev(tmp_path / "bao", certificates=issue(tmp_path / "tls")) as server:
        assert server.url.startswith("https:")
        assert server.root.read("sys/health") == {}
        server.root.write("secret/data/a", data={"value": "x"})


def test_nothing_of_the_hosts_home_or_environment_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "host"))
    monkeypatch.setenv("BAO_DEV_ROOT_TOKEN_ID", "the host's own")

    with OpenBaoDev(tmp_path / "bao") as server:
        assert server.root.read("auth/token/lookup-self")["id"] == server.token
    assert not (tmp_path / "host").exists()


def test_a_node_may_be_killed_and_started_again_on_its_port(tmp_path: Path) -> None:
    with OpenBaoDev(tmp_path) as server:
        pid, url = server.node.pid, server.url
        server.node.kill()
        assert server.node.pid is None
        with pytest.raises(ConnectionError):
            server.root.read("sys/health")

        server.node.start().wait_until_unsealed()

        assert server.url == url
        assert server.node.pid not in (None, pid)


def test_a_node_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, threading; from tests.servers.openbao import OpenBaoDev\n"
        "server = OpenBaoDev(pathlib.Path(sys.argv[1]))\n"
        "starter = threading.Thread(target=server.start); starter.start(); starter.join()\n"
        "server.root.read('sys/health')\n"  # the end of the thread that started it ends no node
        "print(server.node.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdin is not None
    with parent, open_pidfd(int(parent.stdout.readline())) as server:
        parent.send_signal(signal.SIGKILL)

        ended, _, _ = select.select([server], [], [], 10)

    assert ended == [server]


def lead_by(cluster: OpenBaoCluster, how: str) -> bool:
    """Whether another node leads after the leader was treated so, and all is as before once it is healed."""
    before = cluster.leader()
    cluster.admin().write("secret/data/kept", data={"value": how})
    cluster.take_away(how)
    after = cluster.leader()
    cluster.heal()
    values = {node.seen_by(cluster.admin_token()).read("secret/data/kept")["data"]["value"] for node in cluster.nodes}
    return after is not before and values == {how}


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "stop", "seal_leader"])
def test_another_node_leads_when_the_leader_is_gone_and_a_healed_cluster_has_it_back(
    how: str, whole_cluster: OpenBaoCluster
) -> None:
    assert lead_by(whole_cluster, how)
    assert all(node.pid is not None for node in whole_cluster.nodes)


@pytest.mark.slow
def test_two_dead_nodes_leave_one_that_reads_and_does_not_write(whole_cluster: OpenBaoCluster) -> None:
    whole_cluster.admin().write("secret/data/kept", data={"value": "x"})
    whole_cluster.wait_until_whole()  # the standbys have it, too
    token, left = whole_cluster.admin_token(), whole_cluster.standbys()[0]
    for node in whole_cluster.nodes:
        if node is not left:
            node.kill()

    assert left.seen_by(token).read("secret/data/kept")["data"] == {"value": "x"}
    with pytest.raises(Refused) as refused:
        left.seen_by(token).write("secret/data/kept", data={"value": "y"})
    assert refused.value.status in (307, 500)


@pytest.mark.slow
def test_a_cluster_speaks_tls_to_those_who_trust_its_authority(tmp_path: Path) -> None:
    with OpenBaoCluster(tmp_path / "cluster", certificates=issue(tmp_path / "tls")) as cluster:
        assert all(url.startswith("https:") for url in cluster.urls)
        cluster.admin().write("secret/data/a", data={"value": "x"})
        assert lead_by(cluster, "step_down")
