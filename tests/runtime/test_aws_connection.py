"""What settings and AWS's own variables say together about the way to AWS."""

from pathlib import Path
from typing import Any

import pytest

from secrets_actor import Settings
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.runtime.aws_connection import AwsConnection, aws_connection_for
from secrets_actor.runtime.settings import AwsSettings
from secrets_actor.runtime.settings_loader import load

PLAIN = AwsConnection(endpoint_for("us-east-1"), None, RetryPolicy(), None)
AT_URL = endpoint_for("us-east-1", "https://vpce-1.example")
FIPS, DUALSTACK = endpoint_for("us-east-1", use_fips=True), endpoint_for("us-east-1", use_dualstack=True)
URL = "https://vpce-1.example"
SPECIFIC, GENERAL = "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL"


def test_where_nothing_is_said_aws_is_asked_in_the_usual_way() -> None:
    assert aws_connection_for(AwsSettings(region="us-east-1"), {}) == PLAIN


@pytest.mark.parametrize(
    ("settings", "environ", "name", "expected"),
    [
        ({}, {GENERAL: URL}, "endpoint", AT_URL),
        ({}, {GENERAL: "http://other", SPECIFIC: URL}, "endpoint", AT_URL),
        ({"endpoint_url": URL}, {GENERAL: "http://other", SPECIFIC: "http://another"}, "endpoint", AT_URL),
        ({}, {GENERAL: URL, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}, "endpoint", PLAIN.endpoint),
        ({}, {GENERAL: ""}, "endpoint", PLAIN.endpoint),
        ({}, {"AWS_USE_FIPS_ENDPOINT": "True"}, "endpoint", FIPS),
        ({"use_fips": False}, {"AWS_USE_FIPS_ENDPOINT": "true"}, "endpoint", PLAIN.endpoint),
        ({"use_fips": True}, {}, "endpoint", FIPS),
        ({}, {"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "endpoint", DUALSTACK),
        ({"use_dualstack": True}, {"AWS_USE_DUALSTACK_ENDPOINT": "false"}, "endpoint", DUALSTACK),
        ({}, {GENERAL: URL, "AWS_USE_FIPS_ENDPOINT": "true"}, "endpoint", AT_URL),  # as botocore has it
        ({}, {GENERAL: URL, "AWS_USE_DUALSTACK_ENDPOINT": "true"}, "endpoint", AT_URL),
        ({}, {"AWS_CA_BUNDLE": "/etc/ca.pem"}, "ca_bundle", "/etc/ca.pem"),
        ({"ca_bundle": Path("/my/ca.pem")}, {"AWS_CA_BUNDLE": "/etc/ca.pem"}, "ca_bundle", "/my/ca.pem"),
        ({}, {"AWS_CA_BUNDLE": ""}, "ca_bundle", None),
        ({}, {"REQUESTS_CA_BUNDLE": "/etc/proxy.pem"}, "ca_bundle", "/etc/proxy.pem"),  # as botocore has it
        ({}, {"REQUESTS_CA_BUNDLE": "/etc/proxy.pem"}, "ca_setting", "REQUESTS_CA_BUNDLE"),
        ({}, {"REQUESTS_CA_BUNDLE": "/etc/proxy.pem", "AWS_CA_BUNDLE": "/etc/ca.pem"}, "ca_bundle", "/etc/ca.pem"),
        ({}, {"REQUESTS_CA_BUNDLE": "/etc/proxy.pem", "AWS_CA_BUNDLE": ""}, "ca_bundle", None),
        ({}, {"REQUESTS_CA_BUNDLE": ""}, "ca_bundle", None),
        ({}, {"AWS_CA_BUNDLE": "/etc/ca.pem"}, "ca_setting", "AWS_CA_BUNDLE"),
        (
            {"ca_bundle": Path("/a")},
            {"SECRETS_ACTOR_AWS__CA_BUNDLE": "/a"},
            "ca_setting",
            "aws.ca_bundle (SECRETS_ACTOR_AWS__CA_BUNDLE)",
        ),
        ({}, {"AWS_RETRY_MODE": "Adaptive"}, "retries", RetryPolicy(3, adaptive=True)),
        ({}, {"AWS_RETRY_MODE": "legacy"}, "retries", RetryPolicy()),
        ({"retry_mode": "standard"}, {"AWS_RETRY_MODE": "adaptive"}, "retries", RetryPolicy()),
        ({}, {"AWS_MAX_ATTEMPTS": "7"}, "retries", RetryPolicy(7)),
        ({"max_attempts": 2, "retry_mode": "adaptive"}, {"AWS_MAX_ATTEMPTS": "7"}, "retries", RetryPolicy(2, True)),
        ({}, {"HTTPS_PROXY": "http://p.example:3128"}, "proxy", Proxy("p.example", 3128)),
        ({"proxy_url": "http://q.example:1"}, {"HTTPS_PROXY": "http://p.example:3128"}, "proxy", Proxy("q.example", 1)),
        ({"proxy_url": ""}, {"HTTPS_PROXY": "http://p.example:3128"}, "proxy", None),
        ({}, {"HTTPS_PROXY": "http://p.example:3128", "NO_PROXY": "amazonaws.com"}, "proxy", None),
    ],
)
def test_a_setting_stands_over_a_variable(
    settings: dict[str, Any], environ: dict[str, str], name: str, expected: Any
) -> None:
    way = aws_connection_for(AwsSettings(region="us-east-1", **settings), environ)

    assert getattr(way, name) == expected


@pytest.mark.parametrize(
    ("settings", "environ", "told"),
    [
        ({}, {"AWS_RETRY_MODE": "hunter2"}, "AWS_RETRY_MODE: standard or adaptive"),
        ({}, {"AWS_MAX_ATTEMPTS": "0"}, "AWS_MAX_ATTEMPTS: a whole number from 1 to 100"),
        ({}, {"AWS_MAX_ATTEMPTS": "hunter2"}, "AWS_MAX_ATTEMPTS: a whole number from 1 to 100"),
        ({}, {"AWS_MAX_ATTEMPTS": "9" * 5000}, "AWS_MAX_ATTEMPTS: a whole number from 1 to 100"),
        ({}, {GENERAL: "hunter2"}, "AWS_ENDPOINT_URL: http:// or https://, a host"),
        ({"use_fips": True}, {GENERAL: URL}, "aws.use_fips: only without an endpoint URL (AWS_ENDPOINT_URL)"),
        ({"use_dualstack": True, "endpoint_url": URL}, {}, "aws.use_dualstack: only without an endpoint URL (aws.end"),
        ({}, {"HTTPS_PROXY": "socks5://hunter2@p"}, "HTTPS_PROXY: http://, a user and a password"),
        ({"proxy_url": "socks5://hunter2@p"}, {}, "aws.proxy_url: http://, a user and a password"),
    ],
)
def test_a_mistake_names_who_made_it_and_quotes_nothing(
    settings: dict[str, Any], environ: dict[str, str], told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        aws_connection_for(AwsSettings(region="us-east-1", **settings), environ)

    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_all_mistakes_are_told_at_once_and_when_the_settings_are_read(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\nproxy_url = "socks5://hunter2@p"\n')

    with pytest.raises(ConfigurationError) as caught:
        load(file, {"AWS_MAX_ATTEMPTS": "none"})

    assert len(caught.value.mistakes) == 2
    assert "hunter2" not in str(caught.value)


def test_a_proxys_password_is_in_no_repr_of_the_settings() -> None:
    settings = Settings(aws=AwsSettings(proxy_url="http://me:hunter2@p.example"))

    assert "hunter2" not in repr(settings)


def test_the_backend_gets_what_was_found_out_when_the_settings_were_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(backend="aws_secrets_manager", aws=AwsSettings(region="us-east-1"))
    with pytest.raises(ConfigurationError, match="AWS_MAX_ATTEMPTS"):
        load(settings, {"AWS_MAX_ATTEMPTS": "none"})
    loaded = load(settings, {GENERAL: URL})

    monkeypatch.setenv(GENERAL, "http://other.example")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "none")  # whoever looked again would find a mistake

    assert loaded.make_factory(None).endpoints == ("vpce-1.example",)
