"""boto3 over TCP, with real signatures: what only a client on the other side of a socket shows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from secrets_actor.backends.sigv4 import SigningKeys
from secrets_actor.domain import errors
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.exchange import Request
from secrets_actor.faces.identity import Identity
from secrets_actor.faces.policy import Rule
from secrets_actor.faces.sigv4_check import FoundKey, KeyOwner, identity_of
from secrets_actor.testing import FakeStore, fake_system
from tests.faces.aws_rig import aws_face, refusal
from tests.faces.served import served

KEY_ID, SECRET_KEY = "AKLOCALCI", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EVERYTHING: Final = Rule(("key:ci",), ("**",), ("admin",))
Connect = Callable[..., Any]


class OneKey:
    """The keys that requests may be signed with: one."""

    def find(self, access_key_id: str, session_token: str | None, _now: datetime) -> FoundKey | None:
        known = access_key_id == KEY_ID and session_token is None
        return FoundKey(KeyOwner("ci"), (SecretValue(SECRET_KEY),)) if known else None


@contextmanager
def listening(**settings: Any) -> Iterator[tuple[Connect, FakeStore]]:
    """The AWS face on a port of loopback: what makes clients of it, and the store behind it."""
    signing = SigningKeys()

    def authenticate(request: Request) -> Identity:
        return identity_of(request, OneKey(), datetime.now(UTC), signing)

    with (
        fake_system(**settings) as (system, store),
        aws_face(system, EVERYTHING, authenticate=authenticate) as rig,
        served(rig.face.answer) as listener,
    ):

        def connect(path: str = "", region: str = "us-east-1", attempts: int = 1, **more: Any) -> Any:
            given = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET_KEY, **more}
            config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}).merge(
                given.pop("config", Config())
            )
            return boto3.client(
                "secretsmanager",
                region_name=region,
                endpoint_url=f"http://{listener.place}{path}",
                config=config,
                **given,
            )

        yield connect, store


@pytest.fixture(scope="module")
def connect() -> Iterator[Connect]:
    with listening() as (made, _):
        yield made


@pytest.mark.parametrize("value", ["hunter2", "Grüße \u2028 日本", "\x00\x7f", "x" * 65_536, '{"a": "\\u00e9"}'])
def test_a_text_arrives_as_it_was_sent(connect: Connect, value: str) -> None:
    sm = connect()
    sm.create_secret(Name="text", SecretString=value)
    try:
        assert sm.get_secret_value(SecretId="text")["SecretString"] == value
    finally:
        sm.delete_secret(SecretId="text", ForceDeleteWithoutRecovery=True)


def test_bytes_arrive_as_they_were_sent(connect: Connect) -> None:
    value = bytes(range(256)) * 256
    connect().create_secret(Name="bytes", SecretBinary=value)

    assert connect().get_secret_value(SecretId="bytes")["SecretBinary"] == value


def test_an_endpoint_may_have_a_path_and_any_region_is_this_store(connect: Connect) -> None:
    connect().create_secret(Name="everywhere", SecretString="one")

    for sm in (connect("/sm"), connect("/a/b/"), connect(region="eu-central-1"), connect(region="us-gov-west-1")):
        assert sm.get_secret_value(SecretId="everywhere")["SecretString"] == "one"


def test_a_caller_without_the_right_key_is_told_as_aws_tells_it(connect: Connect) -> None:
    for sm, code in (
        (connect(aws_secret_access_key="another"), "InvalidSignatureException"),
        (connect(aws_access_key_id="AKNOBODY"), "UnrecognizedClientException"),
        (connect(aws_session_token="of-nobody"), "UnrecognizedClientException"),
        (connect(config=Config(signature_version=UNSIGNED)), "MissingAuthenticationTokenException"),
    ):
        found, text, status = refusal(sm.list_secrets)
        assert (found, status) == (code, 400)
        assert text


@pytest.mark.parametrize(
    "error",
    [
        errors.Throttled("slow down"),
        errors.Overloaded("too many"),
        errors.StoreFailure("failed", aws_code="InternalServiceError", status=500),
        errors.ConnectionFailed("gone", endpoint="host"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_failure_that_may_pass_is_tried_again_by_the_sdk(error: errors.SecretsError) -> None:
    with listening(breaker_failures=0) as (connect, store):
        store.put("a", "one")
        store.fail_next(error, operation="describe")

        answer = connect(attempts=2).describe_secret(SecretId="a")

        assert answer["ResponseMetadata"]["RetryAttempts"] == 1
        assert store.calls["describe"] == 2


def test_a_refusal_is_not_tried_again(connect: Connect) -> None:
    with listening() as (own, store):
        assert refusal(lambda: own(attempts=3).describe_secret(SecretId="none"))[0] == "ResourceNotFoundException"
        assert store.calls["describe"] == 1


def test_an_answer_has_the_headers_that_sdks_look_at(connect: Connect) -> None:
    headers = connect().list_secrets()["ResponseMetadata"]["HTTPHeaders"]

    assert set(headers) == {"content-type", "content-length", "date", "x-amzn-requestid"}
