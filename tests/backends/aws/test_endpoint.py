"""Endpoints: ours against botocore's rule set, and what a custom URL may be."""

import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.exceptions import EndpointProviderError

from secrets_actor.backends.aws.endpoint import Endpoint, endpoint_for, parse_url
from secrets_actor.domain.errors import ConfigurationError

LOADER = botocore.session.get_session().get_component("data_loader")
PARTITIONS = LOADER.load_data("partitions")
RULES = EndpointProvider(LOADER.load_service_model("secretsmanager", "endpoint-rule-set-1"), PARTITIONS)
PLACES = [
    pytest.param(partition["id"], region, id=region)
    for partition in PARTITIONS["partitions"]
    for region in partition["regions"]
    if not region.endswith("-global")  # a pseudo region of a partition's global services: no secrets are kept there
]

VARIANTS = [(False, False), (True, False), (False, True), (True, True)]


def test_botocore_knows_of_enough_regions_for_the_comparison_to_mean_something() -> None:
    assert len(PLACES) > 35
    assert {place.values[0] for place in PLACES} >= {"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-eusc"}


@pytest.mark.parametrize(("fips", "dual"), VARIANTS)
@pytest.mark.parametrize(("partition", "region"), PLACES)
def test_every_endpoint_of_every_region_is_botocores(partition: str, region: str, fips: bool, dual: bool) -> None:
    expected = RULES.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual)

    assert endpoint_for(region, use_fips=fips, use_dualstack=dual).url == expected.url


def test_the_count_of_endpoints_that_are_compared_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    same = sum(
        endpoint_for(place.values[1], use_fips=fips, use_dualstack=dual).url
        == RULES.resolve_endpoint(Region=place.values[1], UseFIPS=fips, UseDualStack=dual).url
        for place in PLACES
        for fips, dual in VARIANTS
    )
    with capsys.disabled():
        print(f"\nendpoints as in botocore's rules: {same} of {len(PLACES)} regions x {len(VARIANTS)} variants")

    assert same == len(PLACES) * 4


@pytest.mark.parametrize(("fips", "dual"), [(True, False), (False, True), (True, True)])
def test_a_custom_url_leaves_no_choice_of_endpoint_here_and_in_botocore(fips: bool, dual: bool) -> None:
    with pytest.raises(EndpointProviderError):
        RULES.resolve_endpoint(Region="us-east-1", UseFIPS=fips, UseDualStack=dual, Endpoint="https://h.example")
    with pytest.raises(ConfigurationError, match=r"aws\.use_(fips|dualstack): only without an endpoint URL"):
        endpoint_for("us-east-1", "https://h.example", use_fips=fips, use_dualstack=dual)


def test_a_custom_url_is_signed_for_the_region_that_is_configured() -> None:
    assert endpoint_for("eu-central-1", "https://vpce-0.secretsmanager.us-east-1.vpce.amazonaws.com").region == (
        "eu-central-1"
    )


def test_a_region_nobody_has_heard_of_is_taken_for_one_of_the_aws_partition() -> None:
    assert endpoint_for("mx-north-7").url == "https://secretsmanager.mx-north-7.amazonaws.com"


@pytest.mark.parametrize("region", ["", "us east 1", "useast1", "US-EAST-1", "us-east-1.evil.example", "us-east-1/x"])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ConfigurationError, match=r"aws\.region: the name of an AWS region"):
        endpoint_for(region)


@pytest.mark.parametrize(
    ("url", "expected", "authority", "name"),
    [
        ("http://127.0.0.1:4566", Endpoint("http", "127.0.0.1", 4566, "us-east-1"), "127.0.0.1:4566", "127.0.0.1:4566"),
        (
            "https://vpce-1.example.com/",
            Endpoint("https", "vpce-1.example.com", 443, "us-east-1"),
            "vpce-1.example.com",
            "vpce-1.example.com:443",
        ),
        ("http://LOCALHOST", Endpoint("http", "localhost", 80, "us-east-1"), "localhost", "localhost:80"),
        ("http://[::1]:8080", Endpoint("http", "::1", 8080, "us-east-1"), "[::1]:8080", "[::1]:8080"),
        (
            "https://[fd00:ec2::254]",
            Endpoint("https", "fd00:ec2::254", 443, "us-east-1"),
            "[fd00:ec2::254]",
            "[fd00:ec2::254]:443",
        ),
    ],
)
def test_a_custom_url_takes_the_place_of_the_default(url: str, expected: Endpoint, authority: str, name: str) -> None:
    endpoint = endpoint_for("us-east-1", url)

    assert endpoint == expected
    assert (endpoint.authority, endpoint.name, endpoint.url) == (authority, name, f"{expected.scheme}://{authority}")
    assert (endpoint.region, endpoint.service) == ("us-east-1", "secretsmanager")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:4566",
        "ftp://host",
        "http://",
        "http://host:port",
        "http://host:0",
        "http://host:70000",
        "http://host/path",
        "http://host?query",
        "http://host/?",
        "http://host#part",
        "http://user:hunter2@host",
        "http://ho st",
        "http://[::1",
        "http://-",
    ],
)
def test_a_custom_url_of_any_other_shape_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url, "us-east-1", "aws.endpoint_url")

    assert str(caught.value) == "aws.endpoint_url: http:// or https://, a host, a port if need be, and nothing more"
