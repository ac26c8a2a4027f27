"""The way to AWS by a profile's own settings and AWS's variables: held against botocore's, over generated files.

What is compared is what botocore sends: the request is caught before it leaves, with its host and its scope.
"""

import os
import re
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import botocore.awsrequest
import botocore.session
import pytest
from botocore.exceptions import BotoCoreError, ConfigParseError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secrets_actor import Settings
from secrets_actor.backends.aws.credentials.sts import sts_endpoint
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.domain.errors import ConfigurationError, CredentialsError
from secrets_actor.runtime.aws_connection import aws_connection_for
from secrets_actor.runtime.settings import AwsSettings, region_of
from secrets_actor.runtime.settings_loader import load

LOADER = botocore.session.get_session().get_component("data_loader")
# For a service: scheme, host and port, and the region of the signature; None: refused. Then CAs and tries.
Found = tuple[dict[str, tuple[str, str] | None], str | None, int | None]

urls = st.sampled_from(
    ["http://127.0.0.1:4566", "https://vpce-1.example", "http://[::1]:8", "https://h.example:8443", ""]
)
flags = st.sampled_from(["true", "True", "TRUE", "false", "yes", "1", ""])
bundles = st.sampled_from(["/etc/corp.pem", "/other.pem"])
tries = st.sampled_from(["1", "7", "+5", " 2 ", "100"])
regions = st.sampled_from(["us-east-1", "eu-west-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "ap-east-1"])
regional = st.sampled_from(["legacy", "regional", ""])
names = st.sampled_from(["s", "t", "none", "two words"])

OF_PROFILE = {
    "endpoint_url": urls,
    "services": names,
    "ignore_configured_endpoint_urls": flags,
    "use_fips_endpoint": flags,
    "use_dualstack_endpoint": flags,
    "ca_bundle": bundles,
    "max_attempts": tries.map(str.strip),
    "sts_regional_endpoints": regional,
    "region": regions,
}
OF_ENVIRONMENT = {
    "AWS_ENDPOINT_URL": urls,
    "AWS_ENDPOINT_URL_SECRETS_MANAGER": urls,
    "AWS_ENDPOINT_URL_STS": urls,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": flags,
    "AWS_USE_FIPS_ENDPOINT": flags,
    "AWS_USE_DUALSTACK_ENDPOINT": flags,
    "AWS_CA_BUNDLE": bundles,
    "AWS_MAX_ATTEMPTS": tries,
    "AWS_STS_REGIONAL_ENDPOINTS": regional,
    "AWS_DEFAULT_REGION": regions,
}
profiles = st.fixed_dictionaries({}, optional=OF_PROFILE)
services = st.fixed_dictionaries(
    {}, optional={"secrets_manager": urls, "sts": urls, "s3": urls, "secretsmanager": urls}
)
sections = st.fixed_dictionaries({}, optional={"s": services, "t": services, "two words": services})
environments = st.fixed_dictionaries({}, optional=OF_ENVIRONMENT)


def block(title: str, body: dict[str, str]) -> str:
    return "\n".join([f"[{title}]", *(f"{key} = {value}" for key, value in body.items())])


def written(own: dict[str, str], base: dict[str, str], of_services: dict[str, dict[str, str]]) -> str:
    """A config file: *own* is what profile `p` says, and *base* what its source does, which is nobody's business."""
    keys = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "x"}
    return "\n".join(
        [
            block("profile p", {**keys, **own}),
            block("profile base", {**keys, **base}),
            *(
                block(
                    f"services '{name}'" if " " in name else f"services {name}",
                    {service: f"\n  endpoint_url = {url}" for service, url in inner.items()},
                )
                for name, inner in of_services.items()
            ),
        ]
    )


@contextmanager
def machine(config: str, environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment as it is then, with *config* in its place; the process has it, too."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        path = Path(folder, "config")
        path.write_text(config, encoding="utf-8")
        whole = {
            "HOME": folder,
            "AWS_CONFIG_FILE": str(path),
            "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/none",
            "AWS_PROFILE": "p",
            "AWS_EC2_METADATA_DISABLED": "true",
            **environ,
        }
        for name, value in whole.items():
            patch.setenv(name, value)
        yield whole


class Caught(Exception):
    """A request, on its way out."""

    def __init__(self, request: botocore.awsrequest.AWSPreparedRequest) -> None:
        self.url, self.authorization = request.url, str(request.headers["Authorization"])


def catch(request: botocore.awsrequest.AWSPreparedRequest, **_: Any) -> None:
    raise Caught(request)


def of_botocore() -> Found:
    session = botocore.session.Session()
    session.register_component("data_loader", LOADER)
    found: dict[str, tuple[str, str] | None] = {}
    bundle, attempts = session.get_config_variable("ca_bundle"), session.get_config_variable("max_attempts")
    for service, call in (("secretsmanager", "list_secrets"), ("sts", "get_caller_identity")):
        try:
            client = session.create_client(service)
            client.meta.events.register("before-send", catch)
            getattr(client, call)()
        except Caught as caught:
            scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/", caught.authorization)
            assert scope is not None
            found[service] = caught.url.rstrip("/"), scope[1]
        except (BotoCoreError, TypeError):
            found[service] = None
    return found, bundle or None, attempts


def of_ours(environ: dict[str, str]) -> Found:
    region = region_of(AwsSettings(), environ) or ""
    bundle, attempts = None, None
    found: dict[str, tuple[str, str] | None] = {"secretsmanager": None, "sts": None}
    try:
        way = aws_connection_for(AwsSettings(), environ)
    except ConfigurationError:
        return found, bundle, attempts
    found["secretsmanager"] = way.endpoint.url, way.endpoint.region
    try:
        sts = sts_endpoint(region, environ, profile=way.profile)
        found["sts"] = sts.url, sts.region
    except CredentialsError:
        pass
    return found, way.ca_bundle, way.retries.max_attempts


@settings(max_examples=60, deadline=None)
@given(profiles, profiles, sections, environments)
@example({"region": "us-east-1", "endpoint_url": "http://127.0.0.1:1"}, {}, {}, {})
@example({"region": "us-east-1", "services": "s"}, {}, {"s": {"secrets_manager": "http://127.0.0.1:1"}}, {})
@example({"region": "us-east-1", "services": "s"}, {}, {"s": {"sts": "http://127.0.0.1:1"}}, {})
@example({"region": "us-east-1", "services": "none"}, {}, {}, {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1"})
@example({"region": "us-east-1", "use_fips_endpoint": "TRUE"}, {}, {}, {})
@example({"region": "us-east-1", "use_fips_endpoint": "true"}, {}, {}, {"AWS_USE_FIPS_ENDPOINT": ""})
@example({"region": "us-east-1", "use_dualstack_endpoint": "true"}, {}, {}, {})
@example({"region": "eu-west-1", "sts_regional_endpoints": "legacy"}, {}, {}, {})
def test_the_way_is_that_of_botocore(
    own: dict[str, str], base: dict[str, str], of_services: dict[str, dict[str, str]], environ: dict[str, str]
) -> None:
    compare(own, base, of_services, environ)


def compare(
    own: dict[str, str], base: dict[str, str], of_services: dict[str, dict[str, str]], environ: dict[str, str]
) -> None:
    own = {"region": "eu-north-1", **own}
    with machine(written(own, base, of_services), environ) as whole:
        theirs, mine = of_botocore(), of_ours(whole)

    if mine[0]["secretsmanager"] is None:
        assert theirs[0]["secretsmanager"] is None
        return
    assert mine[:2] == theirs[:2]
    if theirs[2] is not None:
        assert mine[2] == theirs[2]


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(profiles, profiles, sections, environments)
def test_the_way_is_that_of_botocore_over_many_files(
    own: dict[str, str], base: dict[str, str], of_services: dict[str, dict[str, str]], environ: dict[str, str]
) -> None:
    compare(own, base, of_services, environ)


@pytest.mark.parametrize(
    ("config", "environ", "told"),
    [
        ("region = us east", {}, "region of profile p: the name of an AWS region"),
        ("", {"AWS_REGION": " us-east-1 "}, "AWS_REGION: the name of an AWS region"),
        ("", {"AWS_DEFAULT_REGION": "us east"}, "AWS_DEFAULT_REGION: the name of an AWS region"),
        ("endpoint_url = ftp://hunter2@h", {}, "endpoint_url of profile p: http:// or https://, a host"),
        ("services = s", {}, "services of profile p: there is no such section [services NAME]"),
        ("services =\n  a = b", {}, "services of profile p: there is no such section [services NAME]"),
        ("services = t", {}, "services of profile p: secrets_manager there is a table"),
        ("services = u", {}, "endpoint_url of secrets_manager in the services of profile p: http:// or https://"),
        ("max_attempts = hunter2", {}, "max_attempts of profile p: a whole number from 1 to 100"),
        ("retry_mode = hunter2", {}, "retry_mode of profile p: standard or adaptive"),
    ],
)
def test_a_mistake_names_who_made_it_and_quotes_nothing(config: str, environ: dict[str, str], told: str) -> None:
    text = (
        f"[profile p]\n{config}\n[services t]\nsecrets_manager = hunter2\n"
        "[services u]\nsecrets_manager =\n  endpoint_url = hunter2"
    )
    environ = environ if "region" in config or "REGION" in "".join(environ) else {**environ, "AWS_REGION": "us-east-1"}
    with machine(text, environ) as whole:
        with pytest.raises(ConfigurationError) as caught:
            load(Settings(backend="aws_secrets_manager"), whole)

    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "environ", "told"),
    [
        ("sts_regional_endpoints = hunter2", {}, "sts_regional_endpoints of profile p: regional or legacy"),
        ("", {"AWS_STS_REGIONAL_ENDPOINTS": "hunter2"}, "AWS_STS_REGIONAL_ENDPOINTS: regional or legacy"),
        ("", {"AWS_ENDPOINT_URL_STS": "hunter2"}, "AWS_ENDPOINT_URL_STS: http:// or https://"),
        ("services = u", {}, "endpoint_url of sts in the services of profile p: http:// or https://"),
    ],
)
def test_a_mistake_about_sts_is_told_to_who_asks_it(config: str, environ: dict[str, str], told: str) -> None:
    text = f"[profile p]\n{config}\n[services u]\nsts =\n  endpoint_url = hunter2"
    with machine(text, {"AWS_REGION": "us-east-1", **environ}) as whole:
        way = aws_connection_for(AwsSettings(region="us-east-1"), whole)
        with pytest.raises(CredentialsError) as caught:
            sts_endpoint("us-east-1", whole, profile=way.profile)

    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_setting_stands_over_all_of_it() -> None:
    text = (
        "[profile p]\nregion = eu-west-1\nendpoint_url = https://h\nuse_fips_endpoint = false\nca_bundle = /a\n"
        "max_attempts = 7\nretry_mode = adaptive"
    )
    aws = AwsSettings(
        region="us-east-1", endpoint_url="https://own", ca_bundle=Path("/b"), max_attempts=2, retry_mode="standard"
    )
    with machine(text, {}) as whole:
        way = aws_connection_for(aws, whole)
        other = aws_connection_for(AwsSettings(), whole)
        keys = aws_connection_for(AwsSettings(auth_method="access_key", region="eu-west-1"), whole)

    assert (way.endpoint.url, way.ca_bundle, way.ca_setting) == ("https://own", "/b", "aws.ca_bundle")
    assert way.retries == RetryPolicy(2)
    assert (other.endpoint.url, other.ca_bundle, other.ca_setting) == ("https://h", "/a", "ca_bundle of profile p")
    assert other.retries == RetryPolicy(7, adaptive=True)
    assert (keys.endpoint, keys.ca_bundle) == (endpoint_for("eu-west-1"), None), (
        "where the keys are in no profile, nothing else is"
    )


def test_an_empty_variable_means_the_usual_cas() -> None:
    """To botocore it is a mistake."""
    with machine("[profile p]\nca_bundle = /a", {"AWS_CA_BUNDLE": ""}) as whole:
        assert aws_connection_for(AwsSettings(region="us-east-1"), whole).ca_bundle is None


@pytest.mark.parametrize("environ", [{"AWS_REGION": "us-east-1"}, {}])
@pytest.mark.parametrize("config", ["canary", "[profile p]\nendpoint_url = http://h\nendpoint_url = http://canary"])
def test_a_file_that_is_not_of_the_form_is_a_mistake_to_botocore_too(config: str, environ: dict[str, str]) -> None:
    """It may ask for another endpoint, or for FIPS; and without a region it is not the region that is missing."""
    with machine(config, environ) as whole:
        with pytest.raises(ConfigParseError):
            botocore.session.Session().create_client("secretsmanager", "us-east-1")
        with pytest.raises(ConfigurationError) as caught:
            load(Settings(backend="aws_secrets_manager"), whole)
        keys = AwsSettings(auth_method="access_key", region="us-east-1")
        assert load(Settings(backend="aws_secrets_manager", aws=keys), whole).settings.aws == keys

    (mistake,) = caught.value.mistakes
    assert mistake.startswith(
        "AWS's shared file ~/.aws/config (or where AWS_CONFIG_FILE points) is not understood from"
    )
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_file_that_cannot_be_read_says_nothing_of_the_way_as_for_botocore() -> None:
    """Who looks for keys there tells it."""
    file = "/proc/self/mem"  # to root, too
    with machine("", {"AWS_REGION": "us-east-1", "AWS_CONFIG_FILE": file, "AWS_PROFILE": "default"}) as whole:
        assert botocore.session.Session().full_config["profiles"] == {}
        assert aws_connection_for(AwsSettings(region="us-east-1"), whole).endpoint == endpoint_for("us-east-1")


# Prints how often the profile's file is opened while the settings are loaded and the backend's factory is made.
OPENED = """
import os, sys
opened = []
sys.addaudithook(lambda event, given: opened.append(given[0]) if event == "open" else None)
from secrets_actor import Settings
from secrets_actor.runtime.settings_loader import load
load(Settings(backend="aws_secrets_manager")).make_factory(None)
print([str(one) for one in opened].count(os.environ["AWS_CONFIG_FILE"]))
"""


@pytest.mark.parametrize("environ", [{}, {"AWS_REGION": "us-east-1"}], ids=["region of the profile", "variable"])
def test_the_file_of_the_profile_is_read_once(environ: dict[str, str]) -> None:
    """All is decided by one state of it, whoever writes it meanwhile."""
    with machine("[profile p]\nregion = eu-west-1\nmax_attempts = 7", environ):
        ended = subprocess.run([sys.executable, "-c", OPENED], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.strip() == "1"
