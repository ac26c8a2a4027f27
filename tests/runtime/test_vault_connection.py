"""What settings and the variables of OpenBao's and Vault's tools say together about the way to the server."""

from pathlib import Path
from typing import Any

import pytest

from secrets_actor import ConfigurationError, SecretValue, VaultSettings
from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.backends.key_source import KeySource
from secrets_actor.runtime.vault_connection import (
    VaultTls,
    mount_of,
    vault_connection_for,
    vault_mistakes,
)

CANARY = "canary-5f1d"
LAPTOP = {"VAULT_ADDR": "http://127.0.0.1:8200", "VAULT_TOKEN": "t"}


def test_two_variables_are_enough_on_a_laptop() -> None:
    found = vault_connection_for(VaultSettings(), LAPTOP)

    assert found.nodes == (Origin("http", "127.0.0.1", 8200),)
    assert (found.nodes_source, found.proxies, found.namespace, found.unheeded) == ("VAULT_ADDR", (None,), None, ())
    assert found.tokens == (KeySource("env", "VAULT_TOKEN"), KeySource("file", "~/.vault-token"))
    assert (found.timeout, found.tls, mount_of(VaultSettings())) == (2.0, VaultTls(), "secret")


def test_where_nothing_is_said_the_server_of_this_machine_is_asked_with_the_token_of_the_last_login() -> None:
    found = vault_connection_for(VaultSettings(), {})

    assert found.nodes == (Origin("https", "127.0.0.1", 8200),)
    assert found.nodes_source == "the default"
    assert found.tokens == (KeySource("file", "~/.vault-token"),)


A, B = Origin("https", "a", 8200), Origin("https", "b", 443)


@pytest.mark.parametrize(
    ("settings", "environ", "name", "expected"),
    [
        ({"addresses": ("https://a:8200", "https://b", "https://a:8200/")}, LAPTOP, "nodes", (A, B)),
        ({}, {"BAO_ADDR": "unix:///run/bao.sock"}, "nodes", (Origin("unix", "/run/bao.sock", 0),)),
        ({"namespace": "a/b/"}, {"VAULT_NAMESPACE": "c"}, "namespace", "a/b"),
        ({"namespace": ""}, {"VAULT_NAMESPACE": "c"}, "namespace", None),
        ({}, {"VAULT_NAMESPACE": "c/"}, "namespace", "c"),
        ({"token": "t"}, LAPTOP, "tokens", (KeySource("text", "t"),)),
        ({}, {"BAO_TOKEN": "", "VAULT_TOKEN": "t", "BAO_TOKEN_PATH": "/t"}, "tokens", (KeySource("file", "/t"),)),
        ({"timeout": 3.0}, {"VAULT_CLIENT_TIMEOUT": "5"}, "timeout", 3.0),
        ({}, {"VAULT_CLIENT_TIMEOUT": "5"}, "timeout", 5.0),
        ({}, {"VAULT_PROXY_ADDR": "http://p:1", "HTTPS_PROXY": "http://q:1"}, "proxies", (Proxy("p", 1),)),
        ({}, {"HTTPS_PROXY": "http://q:1", "NO_PROXY": "b.example"}, "proxies", (Proxy("q", 1),)),
        ({"proxy_url": "http://r:1"}, {"VAULT_PROXY_ADDR": "http://p:1"}, "proxies", (Proxy("r", 1),)),
        ({"proxy_url": ""}, {"VAULT_PROXY_ADDR": "http://p:1"}, "proxies", (None,)),
        (
            {"addresses": ("https://a:8200", "https://b")},
            {"HTTPS_PROXY": "http://q:1", "NO_PROXY": "a"},
            "proxies",
            (None, Proxy("q", 1)),
        ),
        ({}, {"VAULT_MAX_RETRIES": "1"}, "unheeded", ("VAULT_MAX_RETRIES",)),
    ],
)
def test_a_setting_stands_over_a_variable(
    settings: dict[str, Any], environ: dict[str, str], name: str, expected: Any
) -> None:
    assert getattr(vault_connection_for(VaultSettings(**settings), environ), name) == expected


ALL_CAS = {"VAULT_CACERT": "/f", "VAULT_CACERT_BYTES": "pem", "VAULT_CAPATH": "/d"}
FILES = {"VAULT_CLIENT_CERT": "/c", "VAULT_CLIENT_KEY": "/k"}
TEXTS = {"BAO_CLIENT_CERT_BYTES": "c", "BAO_CLIENT_KEY_BYTES": CANARY}


@pytest.mark.parametrize(
    ("settings", "environ", "expected"),
    [
        ({"ca_bundle": Path("/s")}, ALL_CAS, {"ca_path": "/s", "ca_setting": "vault.ca_bundle"}),
        ({}, ALL_CAS, {"ca_path": "/f", "ca_setting": "VAULT_CACERT"}),
        ({}, {**ALL_CAS, "BAO_CACERT": ""}, {"ca_pem": b"pem", "ca_setting": "VAULT_CACERT_BYTES"}),
        ({}, {"VAULT_CAPATH": "/d"}, {"ca_path": "/d", "ca_setting": "VAULT_CAPATH"}),
        ({"skip_verify": True}, {}, {"trusts_all": "vault.skip_verify"}),
        ({"skip_verify": False}, {"VAULT_SKIP_VERIFY": "1"}, {"trusts_all": None}),
        ({}, {"VAULT_SKIP_VERIFY": "1"}, {"trusts_all": "VAULT_SKIP_VERIFY"}),
        ({"tls_server_name": "a"}, {"VAULT_TLS_SERVER_NAME": "b"}, {"server_name": "a"}),
        ({}, {"VAULT_TLS_SERVER_NAME": "b"}, {"server_name": "b"}),
        (
            {"client_cert": Path("/a"), "client_key": Path("/b")},
            {**FILES, **TEXTS},
            {"cert": "/a", "key": "/b"},
        ),
        ({"client_cert": Path("/a")}, FILES, {"cert": "/a"}),  # with its key in it
        (
            {},
            {**FILES, **TEXTS},
            {"cert": "/c", "key": "/k", "cert_setting": "VAULT_CLIENT_CERT", "key_setting": "VAULT_CLIENT_KEY"},
        ),
        (
            {"auth_method": "cert"},
            TEXTS,
            {
                "cert": b"c",
                "key": SecretValue(CANARY),
                "cert_setting": "BAO_CLIENT_CERT_BYTES",
                "key_setting": "BAO_CLIENT_KEY_BYTES",
            },
        ),
    ],
)
def test_tls_is_as_the_settings_or_the_variables_say(
    settings: dict[str, Any], environ: dict[str, str], expected: dict[str, Any]
) -> None:
    found = vault_connection_for(VaultSettings(**settings), environ)

    assert found.tls == VaultTls(**expected)
    assert CANARY not in repr(found)


@pytest.mark.parametrize(
    ("settings", "environ", "told"),
    [
        ({"addresses": (CANARY,)}, {}, ["vault.addresses: http:// or https://, a host, a port if need be, and "]),
        ({}, {"VAULT_ADDR": f"http://u:{CANARY}@a"}, ["VAULT_ADDR: http:// or https://, a host"]),
        ({}, {"BAO_AGENT_ADDR": "unix://x"}, ["BAO_AGENT_ADDR: unix:// and the absolute path of a socket"]),
        ({}, {"BAO_AGENT_ADDR": "unix:///" + "x" * 107}, ["BAO_AGENT_ADDR: unix:// and the absolute path"]),
        ({"proxy_url": f"socks5://{CANARY}"}, {}, ["vault.proxy_url: http://, a user and a password"]),
        ({}, {"VAULT_PROXY_ADDR": f"socks5://{CANARY}"}, ["VAULT_PROXY_ADDR: http://, a user and a password"]),
        ({}, {**LAPTOP, "VAULT_PROXY_ADDR": "http://p:1"}, ["VAULT_PROXY_ADDR: only for an https endpoint"]),
        ({"client_key": Path("/a")}, FILES, ["vault.client_key: only with client_cert"]),
        ({}, {"VAULT_CLIENT_CERT": "/c"}, ["VAULT_CLIENT_CERT: a certificate and its key, both or none"]),
        ({}, {"VAULT_CLIENT_KEY_BYTES": CANARY}, ["VAULT_CLIENT_KEY_BYTES: a certificate and its key, both or none"]),
        ({"ca_bundle": Path("~nobody-of-that-name/x")}, {}, ["vault.ca_bundle: begins with ~ and the name of a user"]),
        ({}, {**TEXTS, "BAO_CLIENT_KEY_BYTES": CANARY * 9000}, ["BAO_CLIENT_KEY_BYTES: a key in PEM form"]),
        ({}, {**TEXTS, "BAO_CLIENT_KEY_BYTES": f"{CANARY}\udcff"}, ["BAO_CLIENT_KEY_BYTES: a key in PEM form"]),
        ({}, {"VAULT_NAMESPACE": f"a/../{CANARY}"}, ["VAULT_NAMESPACE: a path such as"]),
        ({}, {"BAO_NAMESPACE": f"a\r\n{CANARY}"}, ["BAO_NAMESPACE: a path such as"]),
        ({}, {"VAULT_CLIENT_TIMEOUT": CANARY}, ["VAULT_CLIENT_TIMEOUT: seconds"]),
        ({}, {"VAULT_SKIP_VERIFY": CANARY, "VAULT_ADDR": "x"}, ["VAULT_ADDR: http://", "VAULT_SKIP_VERIFY: true or"]),
        ({"auth_method": "cert"}, {}, ['vault.client_cert: required with auth_method "cert"']),
        ({"auth_method": "approle"}, {}, ['vault.role_id: required with auth_method "approle"']),
        ({"auth_method": "kubernetes"}, {}, ['vault.role: required with auth_method "kubernetes"']),
        ({"auth_method": "jwt"}, {}, ['vault.jwt: required with auth_method "jwt"']),
        (
            {"auth_method": "userpass"},
            {},
            [f'vault.{name}: required with auth_method "userpass"' for name in ("username", "password")],
        ),
    ],
)
def test_a_mistake_names_its_source_and_quotes_nothing(
    settings: dict[str, Any], environ: dict[str, str], told: list[str]
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        vault_connection_for(VaultSettings(**settings), environ)

    mistakes = refused.value.mistakes
    assert [mistake[: len(begin)] for mistake, begin in zip(mistakes, told, strict=True)] == told
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"role": "a"}, 'vault.role: only with auth_method "kubernetes" or "jwt" or "cert" or "aws"'),
        ({"role_id": "a"}, 'vault.role_id: only with auth_method "approle"'),
        ({"auth_mount": "a"}, 'vault.auth_mount: only with auth_method "approle" or "kubernetes" or'),
        (
            {"auth_method": "approle", "secret_id": "a", "remove_secret_id": True},
            'vault.remove_secret_id: only with secret_id = { file = "PATH" }',
        ),
        *(
            ({"mount": path}, "vault.mount: a path such as")
            for path in ("/", "..", "a//b", "a/../b", "a b", "ä", "a\n")
        ),
        ({"namespace": "a/./b"}, "vault.namespace: a path such as"),
        ({"auth_method": "aws", "sts_region": "evil.example/#"}, "vault.sts_region: the name of a region"),
        ({"auth_method": "aws", "iam_server_id": "a\r\nb"}, "vault.iam_server_id: printable ASCII"),
        ({"auth_method": "userpass", "username": "..", "password": "p"}, "vault.username: a name other than"),
        ({"auth_method": "jwt", "auth_mount": "../sys"}, "vault.auth_mount: a path such as"),
    ],
)
def test_a_setting_that_can_have_no_effect_or_leads_elsewhere_is_a_mistake(settings: dict[str, Any], told: str) -> None:
    [mistake] = vault_mistakes(VaultSettings(**settings))

    assert mistake.startswith(told)


def test_what_a_way_to_log_in_takes_is_no_mistake() -> None:
    for settings in (
        {},
        {"mount": "team/kv/", "namespace": "a/b", "token": "t"},
        {"auth_method": "approle", "role_id": "r", "secret_id": KeySource("file", "/s"), "remove_secret_id": True},
        {"auth_method": "userpass", "auth_mount": "ldap", "username": "u", "password": "p"},
        {"auth_method": "cert", "role": "web"},
        {"auth_method": "aws", "sts_region": "eu-west-1", "iam_server_id": "vault.example"},
    ):
        assert [*vault_mistakes(VaultSettings(**settings))] == []  # type: ignore[arg-type]
