"""Calls to a real OpenBao: what it says, and what we make of it."""

from pathlib import Path

import pytest

from secrets_actor import SecretValue
from secrets_actor.backends.http.transport import ClientCertificate, Tls
from secrets_actor.backends.vault.failures import CheckAndSetFailed
from secrets_actor.backends.vault.protocol import VaultCall
from secrets_actor.domain import errors
from tests.backends.vault.wire_rig import ask, connected, failing
from tests.servers.openbao import OpenBaoDev
from tests.servers.tls import issue

pytestmark = pytest.mark.vault

ROOT = SecretValue(OpenBaoDev.token)


def write(mount: str, value: str, cas: int | None = None) -> VaultCall:
    options = "" if cas is None else f',"options":{{"cas":{cas}}}'
    return VaultCall("POST", f"{mount}/data/a", f'{{"data":{{"value":"{value}"}}{options}}}'.encode(), writes=True)


def read(mount: str) -> VaultCall:
    return VaultCall("GET", f"{mount}/data/a", fresh=True)


def test_what_is_written_is_read_and_named_in_its_audit_log(openbao: OpenBaoDev, kv_mount: str) -> None:
    with connected(openbao.url) as connection:
        written = ask(connection, write(kv_mount, "v", 0), token=ROOT)
        found = ask(connection, read(kv_mount), token=ROOT)
        patch = VaultCall("PATCH", f"{kv_mount}/metadata/a", b'{"custom_metadata":{"x":"y"}}', writes=True, patch=True)
        patched = ask(connection, patch, token=ROOT)
        listed = ask(connection, VaultCall("LIST", f"{kv_mount}/metadata/"), token=ROOT)
        scanned = ask(connection, VaultCall("SCAN", f"{kv_mount}/metadata/"), token=ROOT)
    assert written.body["data"]["version"] == 1
    assert found.body["data"]["data"] == {"value": "v"}
    assert len({written.request_id, found.request_id, None}) == 3
    assert (patched.status, patched.body) == (204, {})
    assert listed.body["data"]["keys"] == scanned.body["data"]["keys"] == ["a"]


def test_what_is_not_there_is_an_answer_and_a_mount_that_is_not_there_is_an_error(
    openbao: OpenBaoDev, kv_mount: str
) -> None:
    patch = VaultCall("PATCH", f"{kv_mount}/metadata/a", b'{"custom_metadata":{}}', writes=True, patch=True)
    with connected(openbao.url) as connection:
        for call in (read(kv_mount), patch, VaultCall("LIST", f"{kv_mount}/metadata/")):
            assert ask(connection, call, token=ROOT).status == 404
        for call in (read("nomount"), write("nomount", "v"), VaultCall("GET", f"{kv_mount}/a")):
            error = failing(connection, call, token=ROOT)
            assert type(error) is errors.InvalidRequest
            assert "check vault.mount" in str(error)
    with connected(openbao.url, namespace="none") as connection:
        assert "check vault.namespace" in str(failing(connection, read(kv_mount), token=ROOT))


def test_a_namespace_has_its_own_mounts(openbao: OpenBaoDev) -> None:
    openbao.root.write("sys/namespaces/team")
    mount = openbao.root.in_namespace("team").mount()
    with connected(openbao.url, namespace="team") as connection:
        assert ask(connection, write(mount, "v"), token=ROOT).status == 200
    with connected(openbao.url) as connection:
        assert type(failing(connection, read(mount), token=ROOT)) is errors.InvalidRequest
    openbao.root.delete("sys/namespaces/team")


def test_a_wrong_check_and_set_is_known_and_so_is_one_that_is_missing(openbao: OpenBaoDev, kv_mount: str) -> None:
    with connected(openbao.url) as connection:
        ask(connection, write(kv_mount, "v"), token=ROOT)
        assert type(failing(connection, write(kv_mount, "v", 7), token=ROOT)) is CheckAndSetFailed
        guarded = VaultCall("POST", f"{kv_mount}/config", b'{"cas_required":true}', writes=True)
        ask(connection, guarded, token=ROOT)
        assert "cas_required" in str(failing(connection, write(kv_mount, "v"), token=ROOT))
        empty = VaultCall("POST", f"{kv_mount}/data/a", b"{}", writes=True)
        assert type(failing(connection, empty, token=ROOT)) is errors.InvalidRequest
        unknown = VaultCall("SPOIL", f"{kv_mount}/data/a", writes=True)
        error = failing(connection, unknown, token=ROOT)
        assert isinstance(error, errors.InvalidRequest)
        assert error.status == 405


@pytest.mark.parametrize("has_default", [True, False])
def test_a_dead_token_is_told_from_a_policy(openbao: OpenBaoDev, kv_mount: str, has_default: bool) -> None:
    policy = openbao.root.policy(f'path "{kv_mount}/data/a" {{ capabilities = ["read"] }}')
    token = openbao.root.make_token(policy, no_default_policy=not has_default)
    given = SecretValue(token)
    with connected(openbao.url) as connection:
        assert ask(connection, read(kv_mount), token=given).status == 404
        assert type(failing(connection, write(kv_mount, "v"), token=given)) is errors.AccessDenied
        lookup = VaultCall("GET", "auth/token/lookup-self")
        if has_default:
            assert ask(connection, lookup, token=given).status == 200
        else:
            assert type(failing(connection, lookup, token=given)) is errors.AccessDenied
        openbao.root.write("auth/token/revoke", token=token)
        for call in (read(kv_mount), write(kv_mount, "v"), lookup):
            assert type(failing(connection, call, token=given)) is errors.ExpiredToken
        assert type(failing(connection, read(kv_mount), token=SecretValue("s.unknown"))) is errors.ExpiredToken
        assert type(failing(connection, read(kv_mount), token=None)) is errors.AccessDenied


def test_a_used_up_quota_is_throttling(openbao: OpenBaoDev, kv_mount: str) -> None:
    openbao.root.ask("POST", "sys/quotas/rate-limit/tight", {"path": kv_mount, "rate": 1, "interval": "60s"})
    try:
        with connected(openbao.url) as connection:
            ask(connection, read(kv_mount), token=ROOT)
            error = failing(connection, read(kv_mount), within=0.3, token=ROOT)
    finally:
        openbao.root.delete("sys/quotas/rate-limit/tight")
    assert (type(error), error.retryable) == (errors.Throttled, True)


def test_an_index_that_it_cannot_read_is_left_out(openbao: OpenBaoDev, kv_mount: str) -> None:
    with connected(openbao.url) as connection:
        connection.cluster.learn_index("no index", wrote=True)
        assert ask(connection, read(kv_mount), token=ROOT).status == 404
        assert connection.cluster.index_headers == ()


def test_with_tls_it_may_want_a_certificate(tmp_path: Path) -> None:
    certificates = issue(tmp_path / "tls")
    listener = {"tls_require_and_verify_client_cert": "true", "tls_client_ca_file": str(certificates.ca)}
    ours = ClientCertificate(str(certificates.chain), str(certificates.key))
    with OpenBaoDev(tmp_path / "node", certificates=certificates, listener=listener) as server:
        leader = VaultCall("GET", "sys/leader")
        with connected(server.url, tls=Tls(str(certificates.ca), client=ours)) as connection:
            assert ask(connection, leader).status == 200
        with connected(server.url, tls=Tls(str(certificates.ca))) as connection:
            error = failing(connection, leader)
            assert type(error) is errors.TlsFailed
            assert "vault.client_cert" in str(error)
        with connected(server.url, tls=Tls()) as connection:
            assert type(failing(connection, leader)) is errors.TlsFailed
        with connected(server.url.replace("https", "http")) as connection:
            assert "write https://" in str(failing(connection, leader))
