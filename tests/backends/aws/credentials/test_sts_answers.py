"""What STS answers, well or badly, and where it is asked."""

from dataclasses import replace

import botocore.loaders
import botocore.session
import pytest
from botocore.endpoint_provider import EndpointProvider

from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials
from secrets_actor.backends.aws.credentials.sts import Sts, sts_endpoint
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.aws.credentials.conftest import Machine, fetch
from tests.backends.aws.credentials.test_sts import GOOD, ROLE, XML, Fixed
from tests.servers.account import REGION
from tests.servers.behaviours import Answer, Hang, Reset
from tests.servers.faulty import FaultyServer


def refusal(code: str, status: int = 400, **more: bool) -> Answer:
    body = (
        f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>canary</Message></Error></ErrorResponse>"
    )
    return Answer(body.encode(), status, "text/xml", headers=(("x-amzn-RequestId", "abc-123"),), **more)


REFUSALS = [
    (refusal("AccessDenied", 403), errors.AccessDenied, "the role's trust policy"),
    (refusal("ExpiredToken", 403), errors.ExpiredToken, "get new temporary credentials"),
    (refusal("ExpiredTokenException"), errors.ExpiredToken, "web identity token has expired"),
    (refusal("InvalidIdentityToken"), errors.CredentialsError, "identity provider"),
    (refusal("InvalidClientTokenId", 403), errors.UnrecognizedClient, "does not know these credentials"),
    (refusal("SignatureDoesNotMatch", 403), errors.InvalidSignature, "secret key and clock"),
    (refusal("ValidationError"), errors.CredentialsError, "a parameter is not allowed"),
    (refusal("Unheard.Of"), errors.CredentialsError, "it refuses"),
    (refusal("can ary"), errors.InvalidAnswer, "none of STS's"),
    (Answer(b"<html>canary</html>", 404), errors.InvalidAnswer, "none of STS's"),
    (Answer(b"canary", 200), errors.InvalidAnswer, "none of STS's"),
    (Answer(b'<!DOCTYPE x [<!ENTITY e "canary">]><x>&e;</x>', 200), errors.InvalidAnswer, "none of STS's"),
    (Answer(b"<x>" + b"canary" * 20_000 + b"</x>", 200), errors.InvalidAnswer, "none of STS's"),
    (Answer(b"<x/>", 200), errors.InvalidAnswer, "holds no credentials"),
    (Answer(XML.replace("2086-01-02T03:04:05Z", "canary").encode()), errors.InvalidAnswer, "holds no credentials"),
    (refusal("Throttling"), errors.Throttled, "ask less often"),
    (refusal("IDPCommunicationError"), errors.StoreFailure, "try again"),
    (refusal("InternalFailure", 500), errors.StoreFailure, "HTTP 500"),
    (Answer(b"canary", 503), errors.StoreFailure, "HTTP 503"),
    (Reset(), errors.RequestFailed, "connection broke"),
]


@pytest.mark.parametrize(("answer", "kind", "told"), REFUSALS)
def test_a_refusal_has_its_type_its_code_and_a_remedy(
    machine: Machine, answer: Answer, kind: type[errors.SecretsError], told: str
) -> None:
    with FaultyServer(answer) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        with pytest.raises(errors.SecretsError) as caught:
            fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION)))
        tries = len(server.requests)

    assert type(caught.value) is kind
    assert told in str(caught.value)
    assert "canary" not in f"{caught.value} {caught.value.__dict__}"
    assert caught.value.__context__ is None
    assert tries == (3 if caught.value.retryable else 1)


def test_what_may_go_through_is_tried_again_and_signed_anew(machine: Machine) -> None:
    with FaultyServer(Reset(), refusal("Throttling", last=True), GOOD) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)

        assert fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION))).access_key_id == "ASIASTS"
        assert len(server.requests) == 3


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "RequestExpired", "RequestTimeTooSkewed"])
def test_a_wrong_clock_is_set_right_by_the_answers_date_once(machine: Machine, code: str) -> None:
    date = ("Date", "Tue, 01 Jan 2086 00:00:00 GMT")
    late = replace(refusal(code, 403), headers=(date,))
    with FaultyServer(replace(late, last=True), GOOD) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        assert fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION))).access_key_id == "ASIASTS"
        first, second = (request.head for request in server.requests)
    assert b"X-Amz-Date: 20860101T0000" in second
    assert b"X-Amz-Date: 2086" not in first
    later = replace(late, headers=(("Date", "Wed, 01 Jan 2087 00:00:00 GMT"),))
    with FaultyServer(replace(late, last=True), later) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        with pytest.raises(errors.InvalidSignature, match="clock"):
            fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION)))
        assert len(server.requests) == 2


def test_the_deadline_is_kept(machine: Machine) -> None:
    with FaultyServer(Hang()) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        started = clock_now()
        with pytest.raises(errors.BackendTimeout):
            fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION)), within=0.3)

        assert clock_now() - started < 2.0


@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual", [False, True])
def test_the_endpoint_of_each_region_is_botocores(fips: bool, dual: bool) -> None:
    loader = botocore.loaders.create_loader()
    partitions = loader.load_data("partitions")
    rules = EndpointProvider(loader.load_service_model("sts", "endpoint-rule-set-1"), partitions)
    regions = [name for one in partitions["partitions"] for name in one["regions"] if "global" not in name]

    for region in regions:
        theirs = rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual, UseGlobalEndpoint=False)
        assert sts_endpoint(region, {}, use_fips=fips, use_dualstack=dual).url == theirs.url
    assert len(regions) > 35


def test_the_endpoint_may_be_set_and_the_more_special_variable_wins() -> None:
    both = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:2"}

    found = sts_endpoint("eu-west-1", both)
    assert (found.port, found.region, found.service) == (2, "eu-west-1", "sts")
    assert sts_endpoint("eu-west-1", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}).port == 1
    ignored = {**both, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "True"}
    assert sts_endpoint("eu-west-1", ignored).host == "sts.eu-west-1.amazonaws.com"
    with pytest.raises(errors.CredentialsError, match="AWS_ENDPOINT_URL_STS: http:// or https://") as caught:
        sts_endpoint("eu-west-1", {"AWS_ENDPOINT_URL_STS": "http://u:canary@x"})
    assert caught.value.__context__ is None
    with pytest.raises(errors.CredentialsError, match="STS is asked in a region"):
        sts_endpoint(None, {})
