"""A system on OpenBao or Vault: logs in as the settings say, by TLS as they or the variables say, and tells what is not
as it should be."""

import json
from base64 import b64decode
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from secrets_actor import AwsSettings, LocalSettings, Settings, VaultSettings, start
from secrets_actor.backends.key_source import KeySource
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import ConfigurationError, ConnectionFailed
from secrets_actor.events import LifecycleEvent, ServerNotVerified, TokensNotKept
from secrets_actor.runtime.settings_loader import load
from secrets_actor.runtime.vault_connection import DEFAULT, vault_connection_for
from secrets_actor.runtime.vault_factory import vault_factory_for
from tests.servers.faulty import FaultyServer
from tests.servers.openbao import OpenBaoDev, Refused
from tests.servers.process import reserve
from tests.servers.tls import issue
from tests.servers.vault_node import said

GIVEN = {
    "auth": {"client_token": "s.given", "accessor": "a", "lease_duration": 3600, "renewable": True, "num_uses": 0},
    "data": {"id": "s.given", "ttl": 3600, "renewable": True, "num_uses": 0, "type": "service"},
}


def file_with(folder: Path, text: str) -> KeySource:
    path = folder / "material"
    path.write_text(text)
    return KeySource("file", str(path))


def approle(_folder: Path) -> dict[str, Any]:
    return {"role_id": "r", "secret_id": "s"}


def jwt(folder: Path) -> dict[str, Any]:
    return {"role": "web", "jwt": file_with(folder, "j\n")}


LOGINS: dict[str, tuple[Any, str, dict[str, str]]] = {
    "approle": (approle, "auth/approle/login", {"role_id": "r", "secret_id": "s"}),
    "jwt": (jwt, "auth/jwt/login", {"role": "web", "jwt": "j"}),
    "kubernetes": (jwt, "auth/kubernetes/login", {"role": "web", "jwt": "j"}),
    "userpass": (lambda _: {"username": "u/1", "password": "p"}, "auth/userpass/login/u%2F1", {"password": "p"}),
}


@pytest.mark.parametrize("auth_mount", [None, "team/other/"])
@pytest.mark.parametrize("method", LOGINS)
def test_each_way_to_log_in_has_what_belongs_to_it(method: str, auth_mount: str | None, tmp_path: Path) -> None:
    settings, path, body = LOGINS[method]
    if auth_mount is not None:
        path = path.replace(f"auth/{method}/", f"auth/{auth_mount}")
    with FaultyServer(said(GIVEN)) as server:
        vault = VaultSettings(
            addresses=(server.url,),
            namespace="team",
            auth_method=method,  # type: ignore[arg-type]
            auth_mount=auth_mount,
            **settings(tmp_path),
        )
        source = load(Settings(backend="vault", vault=vault), {}).make_factory(None).credentials
        assert source is not None
        source.fetch(clock_now() + 10)
        sent = server.requests[0]

    assert sent.head.startswith(f"POST /v1/{path} HTTP/1.1\r\n".encode())
    assert b"\r\nX-Vault-Namespace: team\r\n" in sent.head
    assert json.loads(sent.body) == body


@pytest.mark.parametrize("region", [None, "eu-central-1"])
def test_a_login_by_aws_is_signed_with_the_credentials_of_the_table_aws(region: str | None) -> None:
    with FaultyServer(said(GIVEN)) as server:
        vault = VaultSettings(
            addresses=(server.url,), auth_method="aws", role="web", iam_server_id="here", sts_region=region
        )
        aws = AwsSettings(access_key="AKIAEXAMPLE", secret_key="hunter2")
        source = load(Settings(backend="vault", vault=vault, aws=aws), {}).make_factory(None).credentials
        assert source is not None
        source.fetch(clock_now() + 10)
        sent = json.loads(server.requests[0].body)

    headers = json.loads(b64decode(sent["iam_request_headers"]))
    assert (sent["role"], headers["X-Vault-AWS-IAM-Server-ID"]) == ("web", ["here"])
    assert "Credential=AKIAEXAMPLE/" in headers["Authorization"][0]
    assert f"/{region or 'us-east-1'}/sts/" in headers["Authorization"][0]


def test_a_mistake_in_the_table_aws_counts_for_a_login_by_aws() -> None:
    aws = AwsSettings(endpoint_url="nowhere")
    vault = VaultSettings(auth_method="aws")

    with pytest.raises(ConfigurationError, match=r"aws\.endpoint_url"):
        load(Settings(backend="vault", vault=vault, aws=aws), {})
    assert load(Settings(backend="vault", aws=aws), {}).settings.vault == VaultSettings()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("vault.addresses", "The address is from vault.addresses"),
        ("VAULT_ADDR", "The address is from VAULT_ADDR"),
        (DEFAULT, "No address was given: set vault.addresses or BAO_ADDR"),
    ],
)
def test_where_nobody_listens_the_error_says_where_the_address_comes_from(source: str, told: str) -> None:
    with reserve() as held:
        vault = VaultSettings(token="t")
        given = {"VAULT_ADDR": f"http://127.0.0.1:{held.getsockname()[1]}"}
        connection = replace(vault_connection_for(vault, given), nodes_source=source)
        source_of_tokens = vault_factory_for(vault, connection).credentials
        assert source_of_tokens is not None
        with pytest.raises(ConnectionFailed) as caught:
            source_of_tokens.fetch(clock_now() + 1)

    assert str(caught.value).endswith(f"is anything listening there? {told}")


@pytest.mark.vault
def test_tls_is_as_the_tools_variables_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = issue(tmp_path / "tls")
    folder = tmp_path / "cas"
    folder.mkdir()
    (folder / "ca.pem").write_bytes(made.ca.read_bytes())
    listener = {"tls_require_and_verify_client_cert": "true", "tls_client_ca_file": str(made.ca)}
    told: list[LifecycleEvent] = []
    with OpenBaoDev(tmp_path / "server", certificates=made, listener=listener) as server:
        files = {"VAULT_CLIENT_CERT": str(made.chain), "VAULT_CLIENT_KEY": str(made.key)}
        texts = {"VAULT_CLIENT_CERT_BYTES": made.chain.read_text(), "VAULT_CLIENT_KEY_BYTES": made.key.read_text()}
        ways: list[tuple[dict[str, str], dict[str, str]]] = [
            (files, {"VAULT_CACERT": str(made.ca)}),
            (texts, {"VAULT_CACERT_BYTES": made.ca.read_text()}),
            (files, {"VAULT_CAPATH": str(folder)}),
            (texts, {"VAULT_SKIP_VERIFY": "true"}),
        ]
        for number, (ours, theirs) in enumerate(ways):
            with monkeypatch.context() as patch:
                for name, value in (ours | theirs | {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.token}).items():
                    patch.setenv(name, value)
                with start(Settings(backend="vault"), observer=told.append) as system:
                    system.secrets.set("tls/a", f"{number}")
                    assert system.secrets.get("tls/a", refresh=True).reveal() == f"{number}"

    unverified = [event for event in told if isinstance(event, ServerNotVerified)]
    assert [event.setting for event in unverified] == ["VAULT_SKIP_VERIFY"]


def test_it_is_told_once_that_the_tokens_of_sets_cannot_be_kept(openbao: OpenBaoDev, kv_mount: str) -> None:
    policy = openbao.root.policy(f'path "{kv_mount}/data/*" {{ capabilities = ["create", "read", "update"] }}')
    vault = VaultSettings(addresses=(openbao.url,), mount=kv_mount, token=openbao.root.make_token(policy))
    told: list[LifecycleEvent] = []

    with start(Settings(backend="vault", vault=vault), observer=told.append) as system:
        for number in range(3):
            system.secrets.set("app/a", f"{number}")
        assert system.secrets.get("app/a", refresh=True).reveal() == "2"

    assert [event.mount for event in told if isinstance(event, TokensNotKept)] == [kv_mount]


def test_a_running_system_goes_over_to_another_mount(openbao: OpenBaoDev, kv_mount: str, tmp_path: Path) -> None:
    here = Settings(local=LocalSettings(path=tmp_path / "store"))
    there = VaultSettings(addresses=(openbao.url,), mount=kv_mount, token=openbao.token)
    openbao.root.write(f"{kv_mount}/data/app/a", data={"value": "there"})

    with start(here) as system:
        system.secrets.set("app/a", "here")
        system.configure(replace(here, backend="vault", vault=there))

        assert system.secrets.get("app/a").reveal() == "there"


def test_each_setting_reaches_the_mount(openbao: OpenBaoDev, kv_mount: str) -> None:
    vault = VaultSettings(
        addresses=(openbao.url,),
        mount=f"{kv_mount}/",
        token=openbao.token,
        write_json="fields",
        idempotency="cas",
        recovery_window=7,
    )

    with start(Settings(backend="vault", vault=vault)) as system:
        system.secrets.set("app/a", '{"user": "u"}')
        written = openbao.root.read(f"{kv_mount}/data/app/a")
        days = (system.secrets.delete("app/a").deletion_date - utc_now()).total_seconds() / 86_400

    assert (written["data"], written["metadata"]["custom_metadata"]) == ({"user": "u"}, None)
    assert 6.9 < days < 7.1


@pytest.mark.parametrize("revokes", [True, False])
def test_a_token_that_was_logged_in_for_is_revoked_at_the_end_if_it_shall_be(
    openbao: OpenBaoDev, kv_mount: str, revokes: bool
) -> None:
    mount = f"userpass-{kv_mount}"
    policy = openbao.root.policy(f'path "{kv_mount}/*" {{ capabilities = ["read"] }}')
    openbao.root.write(f"sys/auth/{mount}", type="userpass")
    openbao.root.write(f"auth/{mount}/users/web", password="pw", token_policies=[policy])
    openbao.root.write(f"{kv_mount}/data/app/a", data={"value": "v"})
    vault = VaultSettings(
        addresses=(openbao.url,),
        mount=kv_mount,
        auth_method="userpass",
        auth_mount=mount,
        username="web",
        password="pw",  # type: ignore[arg-type]
        revoke_on_stop=revokes,
    )

    system = start(Settings(backend="vault", vault=vault))
    assert system.secrets.get("app/a").reveal() == "v"
    assert len(tokens_with(openbao, policy)) == 1
    system.stop(drain=10)

    assert len(tokens_with(openbao, policy)) == (0 if revokes else 1)


def tokens_with(openbao: OpenBaoDev, policy: str) -> list[str]:
    """The accessors of all live tokens that have *policy*."""
    found = []
    for accessor in openbao.root.ask("LIST", "auth/token/accessors")["data"]["keys"]:
        with suppress(Refused):  # it has ended since
            about = openbao.root.write("auth/token/lookup-accessor", accessor=accessor)["data"]
            found += [accessor] if policy in about["policies"] else []
    return found
