"""A wrong clock over a real wire: set right once for all workers of a backend, and told."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import List
from secrets_actor.domain.ports import CallContext
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.one_get import FOUND, LONG, failing, get, header, kit_of
from tests.servers.account import allow_everything
from tests.servers.behaviours import Answer, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack


@dataclass(frozen=True)
class Strict:
    """Answers as AWS does to a signature that is more than five minutes from its own clock, *ahead* of the true one."""

    ahead: timedelta = timedelta()
    code: str = "InvalidSignatureException"
    dated: bool = True
    pause: float = 0.0

    def serve(self, connection: Any) -> None:
        while (request := connection.next_request()) is not None:
            now = datetime.now(UTC) + self.ahead
            signed = datetime.strptime(header(request, "x-amz-date"), "%Y%m%dT%H%M%S%z")
            good = abs(now - signed) < timedelta(minutes=5)
            answer = FOUND if good else aws_error(self.code, text="Signature expired")
            date = f"Date: {format_datetime(now, usegmt=True)}\r\n" if self.dated else ""
            head = f"HTTP/1.1 {answer.status} X\r\n{date}Content-Length: {len(answer.body)}\r\n\r\n"
            connection.ended.wait(self.pause)
            connection.client.sendall(head.encode() + answer.body)


@pytest.mark.parametrize("code", ["InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"])
@pytest.mark.parametrize("hours", [-2, 2])
def test_a_wrong_clock_is_set_right_once_for_all_workers(code: str, hours: int) -> None:
    told: list[float] = []
    with FaultyServer(Strict(timedelta(hours=hours), code)) as server:
        shared = kit_of(server.url, retries=RetryPolicy(1), on_skew=told.append)
        workers = [shared.connect() for _ in range(3)]
        assert [get(worker) for worker in workers * 2] == ["found"] * 6
        for worker in workers:
            worker.close()

        assert len(server.requests) == 7
    assert told == [pytest.approx(3600 * hours, abs=5)]


@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(hours=2)])
def test_a_wrong_clock_is_set_right_by_a_server_that_checks_signatures(
    fresh_ministack: Ministack, off: timedelta
) -> None:
    user = fresh_ministack.account.user(allow_everything())
    told: list[float] = []
    backend = kit_of(fresh_ministack.url, clock=lambda: datetime.now(UTC) + off, on_skew=told.append).connect()
    keys = AwsCredentials(user.access_key_id, SecretValue(user.secret_key))

    for _ in range(2):
        assert backend.perform(List(), CallContext(clock_now() + LONG, keys)).value == ()

    assert told == [pytest.approx(-off.total_seconds(), abs=5)]
    backend.close()


def test_a_wrong_key_is_no_wrong_clock() -> None:
    told: list[float] = []
    refusal = aws_error("InvalidSignatureException")
    date = (("Date", format_datetime(datetime.now(UTC), usegmt=True)),)
    with FaultyServer(Answer(refusal.body, 400, headers=date)) as server:
        backend = kit_of(server.url, on_skew=told.append).connect()
        error = failing(backend)
        backend.close()

        assert (type(error), len(server.requests), told) == (errors.InvalidSignature, 1, [])
    assert "check the secret key" in str(error)
    assert "this machine's clock" in str(error)


def test_a_refusal_that_stays_is_told_after_one_more_try() -> None:
    date = (("Date", format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)),)
    refusal = Answer(aws_error("InvalidSignatureException").body, 400, headers=date)
    with FaultyServer(refusal) as server:
        backend = kit_of(server.url).connect()
        error = failing(backend)
        backend.close()

        assert (type(error), len(server.requests)) == (errors.InvalidSignature, 2)
    assert "check the secret key" in str(error)  # the second signature had the server's own time


def test_without_a_date_the_error_names_the_clock_too() -> None:
    with FaultyServer(Strict(timedelta(hours=1), "RequestTimeTooSkewed", dated=False)) as server:
        backend = kit_of(server.url).connect()
        error = failing(backend)
        backend.close()

        assert len(server.requests) == 1
    assert "this machine's clock" in str(error)


def test_with_no_time_for_another_try_the_error_tells_how_wrong_the_clock_is_and_the_next_call_is_right() -> None:
    with FaultyServer(Strict(timedelta(hours=1), pause=0.4)) as server:
        backend = kit_of(server.url).connect()
        error = failing(backend, 0.6)
        assert get(backend) == "found"
        backend.close()

    assert (type(error), error.aws_code) == (errors.InvalidSignature, "InvalidSignatureException")
    assert "this machine's clock is 3" in str(error)
    assert str(error).endswith("s slow; set it")


def test_a_signature_that_grew_old_on_the_way_is_made_anew() -> None:
    """As after a machine was suspended between signing and sending: the clock is right again, the signature old."""
    readings = iter([datetime.now(UTC) - timedelta(hours=1)])
    told: list[float] = []
    with FaultyServer(Strict()) as server:
        backend = kit_of(
            server.url, clock=lambda: next(readings, None) or datetime.now(UTC), on_skew=told.append
        ).connect()
        assert get(backend) == "found"
        backend.close()

        assert (len(server.requests), told) == (2, [])
