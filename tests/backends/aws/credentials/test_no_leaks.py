"""No key and no token reaches a log, a repr or a traceback, whoever gives it and however that goes."""

import json
import logging
import shlex
import sys
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials, Role
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.backends.aws.credentials.container import ContainerCredentials
from secrets_actor.backends.aws.credentials.credential_process import ProcessCredentials
from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws.credentials.web_identity import WebIdentityCredentials
from secrets_actor.backends.aws_credentials import AwsCredentialSource
from secrets_actor.domain.errors import SecretsError
from tests.backends.aws.credentials.conftest import Machine, fetch
from tests.backends.aws.credentials.test_sts import GOOD, ROLE, Fixed
from tests.servers.behaviours import Answer, Hang, Reset
from tests.servers.faulty import FaultyServer
from tests.servers.metadata import MetadataServer, keys_until

CANARIES = ("canary", "ASIACANARY")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Everything that is logged, by anybody, at any level."""
    with caplog.at_level(logging.DEBUG):
        yield caplog


def silent(source: AwsCredentialSource, told: pytest.LogCaptureFixture, *, good: bool) -> None:
    """*source* gives keys or fails, and nothing that should not be heard is to be heard of either."""
    shown = [repr(source)]
    try:
        shown.append(repr(fetch(source, within=1.5)))
        failed = False
    except SecretsError as error:
        shown += [*traceback.format_exception(error), repr(error), str(error.__dict__)]
        failed = True
    assert failed is not good
    heard = "\n".join([*shown, told.text])
    assert len(heard) > 50
    assert not any(canary in heard for canary in CANARIES)


def canary_keys() -> dict[str, str]:
    return {**keys_until(datetime.now(UTC) + timedelta(hours=1)), "AccessKeyId": "ASIACANARY"}


BAD = [
    Answer(b'{"AccessKeyId": "ASIACANARY", "Token": "canary"'),
    Answer(b"canary", 403),
    Answer(b"canary", sent=2),
    Reset(),
]


def test_a_container_and_an_instance(
    machine: Machine, metadata: MetadataServer, told: pytest.LogCaptureFixture
) -> None:
    token = metadata.switches.authorization = machine.write("token", "canary-token")
    metadata.switches.issue = canary_keys
    machine.set(
        AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v1/credentials",
        AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token),
    )
    silent(ContainerCredentials(), told, good=True)
    silent(InstanceMetadataCredentials(), told, good=True)
    silent(DefaultChain(), told, good=True)


@pytest.mark.parametrize(
    "answer",
    [BAD[0], *(pytest.param(one, marks=pytest.mark.slow) for one in (*BAD[1:], Hang()))],
    ids=lambda one: type(one).__name__,
)
def test_bad_services(machine: Machine, answer: Answer, told: pytest.LogCaptureFixture) -> None:
    machine.unset("AWS_EC2_METADATA_DISABLED")
    token = machine.write("token", "canary-token")
    with FaultyServer(answer) as server:
        machine.set(
            AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{server.url}/canary-path",
            AWS_CONTAINER_AUTHORIZATION_TOKEN="canary-token",
            AWS_EC2_METADATA_SERVICE_ENDPOINT=server.url,
            AWS_ENDPOINT_URL_STS=server.url,
        )
        silent(InstanceMetadataCredentials(), told, good=False)
        silent(AssumeRoleCredentials(Fixed(), Role(ROLE.arn, external_id="canary"), Sts("us-east-1")), told, good=False)
        silent(WebIdentityCredentials(str(token), ROLE, Sts("us-east-1")), told, good=False)
        silent(ContainerCredentials(), told, good=False)


def test_sts(machine: Machine, told: pytest.LogCaptureFixture) -> None:
    token = machine.write("token", "canary-token")
    with FaultyServer(GOOD) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        silent(AssumeRoleCredentials(Fixed(), Role(ROLE.arn, external_id="canary"), Sts("us-east-1")), told, good=True)
        silent(WebIdentityCredentials(str(token), ROLE, Sts("us-east-1")), told, good=True)


def test_programs_and_files(machine: Machine, told: pytest.LogCaptureFixture) -> None:
    answer = {"Version": 1, "AccessKeyId": "ASIACANARY", "SecretAccessKey": "canary", "SessionToken": "canary"}
    for shown, good in ((json.dumps(answer), True), (json.dumps(answer)[:-1], False)):
        code = f"import sys; print({shown!r}); print('canary', file=sys.stderr)"
        command = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}"
        silent(ProcessCredentials(command), told, good=good)
    machine.credentials("[default]\naws_access_key_id = ASIACANARY\naws_secret_access_key = canary")
    silent(DefaultChain(), told, good=True)
    machine.credentials("[default]\naws_access_key_id = ASIACANARY\naws_secret_access_key = can ary\ncanary")
    silent(DefaultChain(), told, good=False)
