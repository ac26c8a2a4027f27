"""What the backend tries again, and what not."""

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Get, Put
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.backend_rig import FOUND, LONG, SECRET, SLACK, connect, context, do, failing
from tests.servers.account import allow_everything
from tests.servers.behaviours import (
    Answer,
    Behaviour,
    Forward,
    Hang,
    HangUp,
    Reset,
    aws_error,
    empty_body,
    half_body,
    half_json,
    html_500,
)
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack


@pytest.mark.parametrize(
    "trouble",
    [
        Reset(),
        HangUp(),
        half_body(SECRET),
        html_500(),
        empty_body(),
        half_json(SECRET),
        empty_body(503),
        aws_error("InternalServiceError", 500),
        Answer(b"nonsense", 502),
    ],
)
def test_a_passing_trouble_is_met_by_trying_again(trouble: Behaviour) -> None:
    closing = (
        Answer(trouble.body, trouble.status, last=True)
        if isinstance(trouble, Answer) and trouble.sent is None
        else trouble
    )
    with FaultyServer(closing, closing, FOUND) as server:
        backend = connect(server.url)
        found = backend.perform(Get("a"), context())
        backend.close()

    assert (found.value.reveal(), found.request_id) == ("found", "r-1")
    assert server.connections == 3


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (html_500(), errors.StoreFailure),
        (half_json(SECRET), errors.InvalidAnswer),
        (empty_body(), errors.InvalidAnswer),
        (half_body(SECRET), errors.BodyReadFailed),
        (Reset(), errors.RequestFailed),
    ],
)
def test_after_three_attempts_the_error_is_told(trouble: Behaviour, expected: type[errors.SecretsError]) -> None:
    with FaultyServer(trouble) as server:
        backend = connect(server.url)
        error = failing(backend, Get("a"))
        backend.close()

    assert type(error) is expected
    assert len(server.requests) == 3
    assert "never-show-this" not in f"{error} {error.__dict__}"


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "LimitExceededException"])
def test_what_would_end_alike_is_asked_once(code: str) -> None:
    with FaultyServer(aws_error(code, text="canary")) as server:
        backend = connect(server.url)
        error = failing(backend, Get("a"))
        backend.close()

    assert (error.aws_code, error.status, len(server.requests)) == (code, 400, 1)
    assert "canary" not in f"{error} {error.__dict__}"


def test_each_attempt_has_its_own_time_and_all_end_by_the_deadline() -> None:
    with FaultyServer(Hang()) as server:
        backend = connect(server.url, timeout=0.2)
        started = clock_now()
        assert type(failing(backend, Get("a"))) is errors.BackendTimeout
        assert len(server.requests) == 3
        assert 0.6 <= clock_now() - started < SLACK

        started = clock_now()
        assert type(failing(connect(server.url, timeout=LONG), Get("a"), within=0.3)) is errors.BackendTimeout
        assert 0.3 <= clock_now() - started < SLACK
        backend.close()


def test_a_kept_connection_that_dies_under_a_request_is_no_failure_for_the_caller(fresh_ministack: Ministack) -> None:
    keys = fresh_ministack.account.user(allow_everything())
    fresh_ministack.client("secretsmanager").create_secret(Name="a", SecretString="before")
    upstream = Forward(fresh_ministack.process.port)
    with FaultyServer(upstream, HangUp(), upstream) as server:
        backend = connect(server.url)
        do(backend, Put("a", SecretValue("x")), keys)
        server.drop()

        assert do(backend, Get("a"), keys).reveal() == "x"
        assert server.connections == 3
        backend.close()


def test_throttling_is_waited_out_as_the_server_asks() -> None:
    hinted = aws_error("ThrottlingException", headers=(("x-amz-retry-after", "1200"),))
    with FaultyServer(Answer(hinted.body, 400, headers=hinted.headers, last=True), FOUND) as server:
        backend = connect(server.url)
        started = clock_now()
        assert do(backend, Get("a")).reveal() == "found"
        backend.close()

    assert clock_now() - started >= 1.2
