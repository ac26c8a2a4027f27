"""The doctor for OpenBao and Vault against real servers: healthy, and with one fault at a time."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import Settings, VaultSettings
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.runtime.settings_loader import load
from tests.architecture.house import ROOT
from tests.servers.behaviours import html_500
from tests.servers.faulty import FaultyServer
from tests.servers.openbao import OpenBaoCluster, OpenBaoDev, Refused
from tests.servers.process import reserve
from tests.servers.tls import issue
from tests.servers.vault_node import VaultNode, leader, refused, said

SECONDS = 30.0
POLICY = (ROOT / "config" / "vault-policy.hcl").read_text()
HEALTHY = ["address", "node", "cluster", "clock", "login", "token", "mount", "permissions", "reading", "listing"]
CHANGES = ["writing", "metadata", "deleting"]
Examined = Callable[..., dict[str, Finding]]


def examination(environ: dict[str, str] | None = None, **settings: Any) -> dict[str, Finding]:
    """What is found with these settings, by check."""
    loaded = load(Settings(backend="vault", vault=VaultSettings(**settings)), environ or {})
    diagnose = loaded.make_factory(None).diagnose
    assert diagnose is not None
    found = list(diagnose(clock_now() + SECONDS, "app/"))
    by_check = {finding.check: finding for finding in found}
    assert len(by_check) == len(found)
    return by_check


@pytest.fixture
def examined(openbao: OpenBaoDev, kv_mount: str) -> Examined:
    """What is found at the server with a new token that has *policy*, or with other settings."""

    def examine(policy: str | None = None, *, token: dict[str, Any] | None = None, **more: Any) -> dict[str, Finding]:
        text = (POLICY if policy is None else policy).replace("secret/", f"{kv_mount}/")
        made = openbao.root.make_token(openbao.root.policy(text), **(token or {}))
        found = examination(**{"addresses": (openbao.url,), "mount": kv_mount, "token": made} | more)
        assert not any(made in f"{finding}" for finding in found.values())
        return found

    return examine


def faults(found: dict[str, Finding]) -> dict[str, str]:
    return {check: one.verdict.value for check, one in found.items() if one.verdict is not Verdict.OK}


def test_a_healthy_server_is_found_healthy_and_unchanged(
    examined: Examined, openbao: OpenBaoDev, kv_mount: str
) -> None:
    found = examined()

    assert (list(found), faults(found)) == ([*HEALTHY, *CHANGES], {})
    assert openbao.url.removeprefix("http://") in found["node"].fact
    assert found["login"].fact == "with a token: text ****"
    assert re.match(r"service, for another 3[12] days; policies: default, ", found["token"].fact)
    assert found["mount"].fact == f"the KV mount {kv_mount}, version 2"
    assert found["listing"].fact == "allowed, all names at once (scan)"
    with pytest.raises(Refused, match="404"):
        openbao.root.ask("GET", f"{kv_mount}/metadata/?list=true")


def test_a_token_that_only_reads_is_not_warned(examined: Examined) -> None:
    found = examined(
        'path "secret/data/*" { capabilities = ["read"] } path "secret/metadata/*" { capabilities = ["list", "read"] }'
    )
    below = examined(POLICY.replace("secret/detailed-metadata/", "secret/detailed-metadata/app/*"))

    assert faults(found) == faults(below) == {}
    assert found["writing"].fact == "denied, as is right for a program that only reads"
    assert found["listing"].fact == "allowed, folder by folder (list)"
    assert below["listing"].fact == "allowed for names that begin with app/, and denied for all others"


def test_what_a_policy_lacks_is_a_warning_that_names_it(examined: Examined, kv_mount: str) -> None:
    for lacking, check, remedy in (
        ('"scan"', "listing", f"allow scan on {kv_mount}/detailed-metadata/"),
        (', "patch"', "metadata", f'patch on {kv_mount}/metadata/app/*; or set vault.idempotency to "cas"'),
        (', "create", "update"]', "writing", f"create and update on {kv_mount}/data/app/*"),
        (', "delete"', "deleting", f"delete on {kv_mount}/metadata/app/*"),
    ):
        found = examined(POLICY.replace(lacking, "]" if lacking.endswith("]") else "", 1))

        assert faults(found) == {check: "warning"}
        assert remedy in (found[check].remedy or "")


def test_without_the_permission_to_read_a_get_fails_and_so_does_the_examination(examined: Examined) -> None:
    found = examined(POLICY.replace("/app/", "/other/"))

    assert faults(found) == {"reading": "fault"}
    assert "--prefix" in (found["reading"].remedy or "")
    assert found["writing"].fact == "denied, as is right for a program that only reads"


def test_a_token_without_the_policy_default_may_ask_for_nothing(examined: Examined) -> None:
    found = examined(token={"no_default_policy": True})

    assert faults(found) == {"token": "warning", "others": "warning"}
    assert "auth/token/lookup-self" in (found["token"].remedy or "")
    assert "sys/capabilities-self" in (found["others"].remedy or "")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"num_uses": 20}, "it ends after 18 more requests, of which each check here is one"),
        ({"renewable": False, "ttl": "1h"}, "it cannot be renewed; service, for another "),
        ({"type": "batch", "ttl": "1h"}, "it cannot be renewed; batch, for another "),
    ],
)
def test_a_token_that_is_unfit_for_a_daemon_is_a_warning(examined: Examined, made: dict[str, Any], told: str) -> None:
    found = examined(token=made)

    assert faults(found) == {"token": "warning"}
    assert found["token"].fact.startswith(told)


def test_a_root_token_is_a_warning(openbao: OpenBaoDev) -> None:
    found = examination(addresses=(openbao.url,), token=openbao.token)

    assert faults(found) == {"token": "warning"}
    assert found["token"].fact == "it may do everything; service, without an end; policies: root"
    assert found["mount"].fact == "the KV mount secret, version 2"


def test_a_token_that_has_ended_is_a_fault(openbao: OpenBaoDev) -> None:
    token = openbao.root.make_token("default")
    openbao.root.write("auth/token/revoke", token=token)

    found = examination(addresses=(openbao.url,), token=token)

    assert faults(found) == {"login": "fault", "permissions": "skipped"}
    assert token not in f"{found}"


def test_no_token_is_a_fault_that_says_where_it_was_looked_for(openbao: OpenBaoDev, tmp_path: Path) -> None:
    found = examination({"BAO_ADDR": openbao.url, "BAO_TOKEN_PATH": str(tmp_path / "none")})

    assert faults(found) == {"login": "fault", "permissions": "skipped"}
    assert str(tmp_path / "none") in found["login"].fact
    assert found["address"].fact == f"{openbao.url}, from BAO_ADDR"


def test_a_mount_that_is_not_there_or_is_another_is_a_fault(examined: Examined, openbao: OpenBaoDev) -> None:
    openbao.root.write("sys/mounts/kv-of-version-one", type="kv", options={"version": "1"})
    openbao.root.write("sys/mounts/no-kv", type="transit")
    policy = 'path "*" { capabilities = ["read"] }'

    for mount, told, remedy in (
        ("kv-of-nobody", "there is no mount at kv-of-nobody", "vault.mount"),
        ("kv-of-version-one", "is a KV mount of version 1", "bao kv enable-versioning kv-of-version-one"),
        ("no-kv", "no-kv is no KV mount", "vault.mount"),
    ):
        found = examined(policy, mount=mount)

        assert faults(found) == {"mount": "fault", "permissions": "skipped"}
        assert told in found["mount"].fact
        assert remedy in (found["mount"].remedy or "")


def test_a_namespace_that_is_not_there_is_a_fault(examined: Examined) -> None:
    found = examined(namespace="nobody")

    assert faults(found) == {"login": "fault", "permissions": "skipped"}
    assert "vault.namespace" in found["login"].fact


def test_a_mount_in_a_namespace_is_found(openbao: OpenBaoDev) -> None:
    openbao.root.write("sys/namespaces/team")
    there = openbao.root.in_namespace("team")
    mount = there.mount()

    found = examination(addresses=(openbao.url,), token=openbao.token, namespace="team", mount=mount)

    assert faults(found) == {"token": "warning"}
    assert found["mount"].fact == f"the KV mount {mount} of namespace team, version 2"


def test_a_node_that_is_down_is_a_warning_as_long_as_another_serves(openbao: OpenBaoDev) -> None:
    with reserve() as one, reserve() as other:
        dead = [f"http://127.0.0.1:{held.getsockname()[1]}" for held in (one, other)]
        found = examination(addresses=(dead[0], openbao.url, dead[1]), token=openbao.token)
        alone = examination(addresses=dead, token=openbao.token)

    assert faults(found) == {"node 1": "warning", "node 3": "warning", "token": "warning"}
    assert "is anything listening there?" in found["node 1"].fact
    assert faults(alone) == {"node 1": "fault", "node 2": "fault", "permissions": "skipped"}


def test_two_servers_that_are_no_cluster_are_a_fault(openbao: OpenBaoDev, tmp_path: Path) -> None:
    with OpenBaoDev(tmp_path) as other:
        found = examination(addresses=(openbao.url, other.url), token=openbao.token)

    assert found["cluster"].verdict is Verdict.FAULT
    assert "different clusters" in found["cluster"].fact


def node(cluster: str = "one", *, clock: int | None = None, **said_of_leader: Any) -> VaultNode:
    """A standby, as it tells of itself; it refuses every token."""
    health = {"initialized": True, "sealed": False, "standby": True, "version": "1.17.0", "cluster_id": cluster}
    told = {"GET sys/health": said(health | {"server_time_utc": clock or int(utc_now().timestamp())}, 429)}
    return VaultNode(told | {"GET sys/leader": leader(**said_of_leader), "*": refused(403, "permission denied")})


@pytest.mark.parametrize(
    ("nodes", "verdict", "told"),
    [
        ((node("one", is_self=True), node("two", is_self=True)), "fault", "the addresses belong to different clusters"),
        ((node(), node()), "fault", "no node is active: sets and logins wait"),
        ((node(address="https://bao.example:8200"),), "warning", "the active node is none of these, but https://bao."),
        ((node(address="s.a-token"),), "warning", "the active node is none of these, but something that is no address"),
        ((node(), node(is_self=True)), "ok", " is active"),
    ],
    ids=["two clusters", "none", "another", "no address", "one"],
)
def test_the_active_node_is_looked_for(nodes: tuple[VaultNode, ...], verdict: str, told: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultyServer(one)) for one in nodes]
        found = examination(addresses=tuple(one.url for one in servers), token="t")

    assert (found["cluster"].verdict.value, told in found["cluster"].fact) == (verdict, True)


@pytest.mark.parametrize(("seconds", "told"), [(600, "600 s behind"), (-600, "600 s ahead of")])
def test_a_clock_that_is_off_is_a_warning(seconds: int, told: str) -> None:
    with FaultyServer(node(is_self=True, clock=int(utc_now().timestamp()) + seconds)) as server:
        found = examination(addresses=(server.url,), token="t")

    assert found["clock"].verdict is Verdict.WARNING
    assert re.search(told.replace("600", "(599|600|601)"), found["clock"].fact)


@pytest.mark.parametrize("clock", [-5, 2**63, 10**12, 10**400])
def test_a_clock_that_no_date_can_tell_is_none(clock: int) -> None:
    with FaultyServer(node(is_self=True, clock=clock)) as server:
        found = examination(addresses=(server.url,), token="t")

    assert found["clock"].fact.endswith("does not tell its time")


@pytest.mark.parametrize("policies", [5, None, {"root": 1}, "root"])
def test_a_token_whose_policies_are_no_list_has_none(policies: object) -> None:
    token = said({"data": {"ttl": 10**400, "renewable": True, "type": "service", "policies": policies}})
    health = said({"initialized": True, "sealed": False})
    with FaultyServer(
        VaultNode(
            {"GET sys/health": health, "GET sys/leader": leader(is_self=True), "GET auth/token/lookup-self": token}
        )
    ) as server:
        found = examination(addresses=(server.url,), token="t")

    assert found["token"].fact.endswith("policies: none")


def test_what_is_no_server_of_this_kind_is_a_fault() -> None:
    for answer in (said({"hello": 1}), html_500()):
        with FaultyServer(answer) as server:
            found = examination(addresses=(server.url,), token="t")

        assert faults(found) == {"node": "fault", "permissions": "skipped"}
        assert found["node"].fact.endswith("what answers is neither OpenBao nor Vault")


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[OpenBaoDev]:
    with OpenBaoDev(tmp_path / "server", certificates=issue(tmp_path / "tls")) as server:
        yield server


@pytest.mark.vault
def test_a_server_of_another_ca_is_a_fault_and_a_sealed_one_too(secure: OpenBaoDev, tmp_path: Path) -> None:
    address = {"addresses": (secure.url,), "token": secure.token}
    own, other = tmp_path / "tls" / "ca.pem", issue(tmp_path / "other").ca

    healthy = examination(**address, ca_bundle=own)
    foreign = examination({"VAULT_CACERT": str(other), "VAULT_MAX_RETRIES": "7"}, **address)
    trusting = examination({"VAULT_SKIP_VERIFY": "1"}, **address)
    secure.root.write("sys/seal")
    sealed = examination(**address, ca_bundle=own)

    assert faults(healthy) == {"token": "warning"}
    assert faults(foreign) == {"environment": "warning", "node": "fault", "permissions": "skipped"}
    assert "VAULT_CACERT" in foreign["node"].fact
    assert "VAULT_MAX_RETRIES" in foreign["environment"].fact
    assert faults(trusting) == {"TLS": "warning", "token": "warning"}
    assert "VAULT_SKIP_VERIFY" in trusting["TLS"].fact
    assert faults(sealed) == {"node": "fault", "permissions": "skipped"}
    assert (sealed["node"].fact.endswith("it is sealed"), sealed["node"].remedy) == (
        True,
        "bao operator unseal, at this node",
    )


def test_a_login_that_would_use_something_up_is_not_tried(openbao: OpenBaoDev, tmp_path: Path) -> None:
    file = tmp_path / "secret-id"
    file.write_text("s")
    approle: dict[str, Any] = {
        "addresses": (openbao.url,),
        "auth_method": "approle",
        "role_id": "r",
        "secret_id": {"file": str(file)},
    }

    for more in ({"remove_secret_id": True}, {"secret_id_wrapped_path": "auth/approle/role/web/secret-id"}):
        found = examination(**approle, **more)

        assert faults(found) == {"login": "skipped", "permissions": "skipped"}
        assert file.exists()


def test_a_token_of_a_login_is_given_back(openbao: OpenBaoDev, kv_mount: str) -> None:
    mount = f"userpass-{kv_mount}"
    openbao.root.write(f"sys/auth/{mount}", type="userpass")
    policy = openbao.root.policy(POLICY.replace("secret/", f"{kv_mount}/"))
    openbao.root.write(f"auth/{mount}/users/web", password="pw", token_policies=[policy], token_ttl="1h")

    found = examination(
        addresses=(openbao.url,),
        mount=kv_mount,
        auth_method="userpass",
        auth_mount=mount,
        username="web",
        password="pw",
    )

    assert faults(found) == {}
    assert found["login"].fact == f"by userpass, at auth/{mount}"
    assert policy in found["token"].fact
    for accessor in openbao.root.ask("LIST", "auth/token/accessors")["data"]["keys"]:
        try:
            about = openbao.root.write("auth/token/lookup-accessor", accessor=accessor)
        except Refused:
            continue  # it has ended since
        assert policy not in about["data"]["policies"]


@pytest.mark.slow
def test_a_cluster_is_healthy_until_it_has_no_leader(whole_cluster: OpenBaoCluster) -> None:
    mount, token = whole_cluster.admin().mount(), whole_cluster.admin_token()
    settings = {"addresses": tuple(whole_cluster.urls), "mount": mount, "token": token}

    healthy = examination(**settings)
    for node in whole_cluster.nodes[:2]:
        node.kill()
    lost = examination(**settings)

    assert faults(healthy) == {}
    assert sorted(healthy[f"node {n}"].fact.split(": ")[1].split(",")[0] for n in (1, 2, 3)) == [
        "active",
        "standby",
        "standby",
    ]
    assert lost["cluster"].verdict is Verdict.FAULT
    assert lost["node 1"].verdict is Verdict.WARNING
