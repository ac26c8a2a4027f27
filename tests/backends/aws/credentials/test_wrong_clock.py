"""A machine whose clock is hours off, and keys that last one: they are judged by the clock that they are told by."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from secrets_actor import AwsSettings, LogSettings, Settings, start
from secrets_actor.actor.answer_check import checked_credentials
from secrets_actor.actor.credential_state import CredentialState, Phase
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.assume_role import AssumeRoleCredentials
from secrets_actor.backends.aws.credentials.chain import DefaultChain
from secrets_actor.backends.aws.credentials.sts import Sts
from tests.backends.aws.credentials.conftest import Machine, fetch
from tests.backends.aws.credentials.test_sts import ROLE, Fixed
from tests.backends.aws.one_get import SECRET, header
from tests.servers.account import REGION
from tests.servers.faulty import FaultyServer

LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class AwsThen:
    """STS and Secrets Manager *ahead* of this machine's clock: what is signed more than five minutes off is refused,
    and STS's keys last an hour."""

    ahead: timedelta
    dated: bool = True

    def serve(self, connection: Any) -> None:
        while (request := connection.next_request()) is not None:
            now = datetime.now(UTC) + self.ahead
            signed = header(request, "x-amz-date")
            late = bool(signed) and abs(now - datetime.strptime(signed, "%Y%m%dT%H%M%S%z")) > timedelta(minutes=5)
            to_sts = b"Action=" in request.body
            body = (_sts(now, late) if to_sts else _secrets(late)).encode()
            date = f"Date: {format_datetime(now, usegmt=True)}\r\n" if self.dated else ""
            head = f"HTTP/1.1 {403 if late else 200} X\r\n{date}Content-Length: {len(body)}\r\n\r\n"
            connection.client.sendall(head.encode() + body)


def _sts(now: datetime, late: bool) -> str:
    if late:
        return "<ErrorResponse><Error><Code>RequestExpired</Code></Error></ErrorResponse>"
    keys = "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    end = (now + LIFE).isoformat()
    return f"<R><Credentials>{keys}<Expiration>{end}</Expiration></Credentials></R>"


def _secrets(late: bool) -> str:
    return json.dumps({"__type": "InvalidSignatureException"} if late else SECRET)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_does_not_end_keys_of_sts_and_is_told_once(machine: Machine, hours: int) -> None:
    """Every call is a fetch of keys or a read by them, on the one server."""
    machine.set(AWS_ACCESS_KEY_ID="AKIA", AWS_SECRET_ACCESS_KEY="s")
    log = machine.home / "log"
    with FaultyServer(AwsThen(timedelta(hours=hours))) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        aws = AwsSettings(region=REGION, endpoint_url=server.url, role_arn=ROLE.arn)
        settings = Settings(backend="aws_secrets_manager", ttl_seconds=0, aws=aws, log=LogSettings(output=str(log)))
        with start(settings) as system:
            assert [system.secrets.get("a").reveal() for _ in range(3)] == ["found"] * 3
        # The first signature is refused; then there is one for the keys, and three for the secret.
        assert len(server.requests) == 5
    assert log.read_text().count("clock_skewed") == 1


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_end_of_keys_is_told_by_this_machines_clock(machine: Machine, hours: int) -> None:
    clock = CorrectedClock()
    with FaultyServer(AwsThen(timedelta(hours=hours))) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        keys = fetch(AssumeRoleCredentials(Fixed(), ROLE, Sts(REGION, clock=clock)))

    assert keys.expires_at is not None
    assert abs(keys.expires_at - clock.here() - LIFE) < timedelta(seconds=30)
    assert CredentialState().fetched(checked_credentials(keys, "aws"), clock.here()).phase(clock.here()) is Phase.FRESH


def test_without_a_date_the_end_is_as_sts_has_it(machine: Machine) -> None:
    machine.set(AWS_WEB_IDENTITY_TOKEN_FILE=str(machine.home / "token"), AWS_ROLE_ARN=ROLE.arn)
    (machine.home / "token").write_text("token")
    with FaultyServer(AwsThen(timedelta(hours=2), dated=False)) as server:
        machine.set(AWS_ENDPOINT_URL_STS=server.url)
        keys = fetch(DefaultChain(region=REGION))

    assert keys.expires_at is not None
    assert abs(keys.expires_at - datetime.now(UTC) - LIFE - timedelta(hours=2)) < timedelta(seconds=30)
