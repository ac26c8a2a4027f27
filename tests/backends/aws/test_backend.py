"""The AWS backend as a whole: against ministack's own signature check, and against servers that misbehave."""

import json
import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme

from secrets_actor.backends.aws.backend import kit, utc_now
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.domain import errors
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.operations import Delete, Get, List, Operation, Restore, Set
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.backends.aws.tls_server import TlsServer, certificate_files
from tests.servers.account import Keys, allow_everything, allow_only_get
from tests.servers.behaviours import (
    Answer,
    Behaviour,
    Forward,
    Hang,
    HangUp,
    Reset,
    answer_json,
    aws_error,
    empty_body,
    half_body,
    half_json,
    html_500,
)
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack

T = TypeVar("T")
LONG = 20.0
SLACK = 5.0
FAKE = Keys("AKIDEXAMPLE", "secret")
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
NAMED = {"Name": "a", "ARN": ARN, "VersionId": "v" * 32}
SECRET = {**NAMED, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.5, "SecretString": "found"}
FOUND = answer_json(SECRET, headers=(("x-amzn-RequestId", "r-1"),))


def connect(url: str, *, timeout: float = 5.0, clock: Any = utc_now, window: int = 30) -> Backend:
    return kit(
        region="us-east-1",
        endpoint_url=url,
        ca_bundle=None,
        timeout=timeout,
        recovery_window=window,
        credentials=StaticCredentials(),
        wall_clock=clock,
    ).connect()


def context(keys: Keys = FAKE, within: float = LONG) -> CallContext:
    token = None if keys.session_token is None else SecretValue(keys.session_token)
    return CallContext(time.monotonic() + within, Credentials(keys.access_key_id, SecretValue(keys.secret_key), token))


def do(backend: Backend, operation: Operation[T], keys: Keys = FAKE, within: float = LONG) -> T:
    return backend.perform(operation, context(keys, within)).value


def failing(backend: Backend, operation: Operation[Any], keys: Keys = FAKE, within: float = LONG) -> Any:
    with pytest.raises(errors.SecretsError) as caught:
        backend.perform(operation, context(keys, within))
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


def sent(server: FaultyServer) -> list[tuple[str, Any]]:
    """(action, body) of each request that the server read."""
    found = []
    for request in server.requests:
        target = next(line for line in request.head.decode().splitlines() if line.lower().startswith("x-amz-target"))
        found.append((target.rpartition(".")[2], json.loads(request.body)))
    return found


# --- ministack: signatures and policies that are really checked -----------------------------------------------------


@pytest.fixture
def account(fresh_ministack: Ministack) -> Any:
    return fresh_ministack.account


@pytest.fixture
def backend(fresh_ministack: Ministack) -> Iterator[Backend]:
    made = connect(fresh_ministack.url)
    yield made
    made.close()


@pytest.mark.parametrize("value", ["hunter2", 'pä$$ "wörd"\n', "x" * 65_536, b"\x00\xff binary", b"x" * 65_536])
def test_a_value_comes_back_as_it_was_set(backend: Backend, account: Any, value: str | bytes) -> None:
    keys = account.user(allow_everything())

    made = do(backend, Set("db/password", SecretValue(value)), keys)
    found = backend.perform(Get("db/password"), context(keys))

    assert made.created
    assert (found.value.reveal(), found.value.version_id) == (value, made.version_id)
    assert found.value.stages == ("AWSCURRENT",)
    assert found.request_id is not None
    assert do(backend, Get(made.arn), keys).reveal() == value


def test_a_second_set_makes_a_version_and_keeps_the_one_before(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    arn = do(backend, Set("a", SecretValue("one")), keys).arn

    assert not do(backend, Set("a", SecretValue("two")), keys).created
    assert not do(backend, Set(arn, SecretValue("three")), keys).created

    assert do(backend, Get("a"), keys).reveal() == "three"
    assert do(backend, Get("a", stage="AWSPREVIOUS"), keys).reveal() == "two"


def test_a_secret_is_deleted_restored_and_deleted_for_good(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    do(backend, Set("a", SecretValue("x")), keys)

    receipt = do(backend, Delete("a", recovery_window=7), keys)

    assert timedelta(days=6.9) < receipt.deletion_date - datetime.now(UTC) < timedelta(days=7.1)
    assert type(failing(backend, Get("a"), keys)) is errors.SecretDeleted
    assert type(failing(backend, Set("a", SecretValue("y")), keys)) is errors.SecretDeleted
    assert do(backend, List(), keys) == ()
    assert do(backend, List(include_deleted=True), keys)[0].deletion_date == receipt.deletion_date
    assert do(backend, Restore("a"), keys).name == "a"
    assert do(backend, Get("a"), keys).reveal() == "x"
    do(backend, Delete("a", force=True), keys)
    assert type(failing(backend, Get("a"), keys)) is errors.SecretNotFound


def test_a_list_goes_through_all_pages(backend: Backend, account: Any) -> None:
    keys = account.user(allow_everything())
    for at in range(7):
        do(backend, Set(f"s{at}", SecretValue("x"), description=f"number {at}"), keys)

    found = do(backend, List(page_size=3), keys)

    assert [info.name for info in found] == [f"s{at}" for at in range(7)]
    assert found[3].description == "number 3"


def test_keys_that_are_wrong_each_get_their_error(backend: Backend, account: Any) -> None:
    good = account.user(allow_everything())
    arn = do(backend, Set("a", SecretValue("x")), good).arn
    do(backend, Set("b", SecretValue("x")), good)
    session = account.role_session(allow_everything())
    cases = [
        (Keys(good.access_key_id, "wrong"), errors.InvalidSignature),
        (Keys("AKIAUNKNOWNUNKNOWN00", "x"), errors.UnrecognizedClient),
        (account.user(), errors.AccessDenied),
        (account.role_session(allow_everything(), seconds=-5), errors.ExpiredToken),
        (Keys(session.access_key_id, session.secret_key), errors.UnrecognizedClient),
    ]

    assert [type(failing(backend, Get("a"), keys)) for keys, _ in cases] == [expected for _, expected in cases]
    assert do(backend, Get("a"), session).reveal() == "x"
    assert do(backend, Get("a"), account.user(allow_only_get(arn))).reveal() == "x"
    assert type(failing(backend, Get("b"), account.user(allow_only_get(arn)))) is errors.AccessDenied


# --- what is tried again, and what is not ----------------------------------------------------------------------------


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
        started = time.monotonic()
        assert type(failing(backend, Get("a"))) is errors.BackendTimeout
        assert len(server.requests) == 3
        assert 0.6 <= time.monotonic() - started < SLACK

        started = time.monotonic()
        assert type(failing(connect(server.url, timeout=LONG), Get("a"), within=0.3)) is errors.BackendTimeout
        assert 0.3 <= time.monotonic() - started < SLACK
        backend.close()


def test_a_kept_connection_that_dies_under_a_request_is_no_failure_for_the_caller(fresh_ministack: Ministack) -> None:
    keys = fresh_ministack.account.user(allow_everything())
    upstream = Forward(fresh_ministack.process.port)
    with FaultyServer(upstream, HangUp(), upstream) as server:
        backend = connect(server.url)
        do(backend, Set("a", SecretValue("x")), keys)
        server.drop()

        assert do(backend, Get("a"), keys).reveal() == "x"
        assert server.connections == 3
        backend.close()


def test_throttling_is_waited_out_as_the_server_asks() -> None:
    hinted = aws_error("ThrottlingException", headers=(("x-amz-retry-after", "1200"),))
    with FaultyServer(Answer(hinted.body, 400, headers=hinted.headers, last=True), FOUND) as server:
        backend = connect(server.url)
        started = time.monotonic()
        assert do(backend, Get("a")).reveal() == "found"
        backend.close()

    assert time.monotonic() - started >= 1.2


# --- set -------------------------------------------------------------------------------------------------------------


def set_against(*script: Behaviour, token: str | None) -> tuple[Any, list[tuple[str, Any]]]:
    with FaultyServer(*script) as server:
        backend = connect(server.url)
        try:
            outcome: Any = do(backend, Set("a", SecretValue("x"), token))
        except errors.SecretsError as exc:
            outcome = exc
        backend.close()
        return outcome, sent(server)


def once(answer: Answer) -> Answer:
    return Answer(answer.body, answer.status, last=True)


def test_one_token_goes_with_every_attempt_of_a_set() -> None:
    token = str(uuid.uuid4())
    outcome, asked = set_against(
        Reset(), once(aws_error("ResourceExistsException")), half_body(), answer_json(NAMED), token=token
    )

    assert not outcome.created
    assert [action for action, _ in asked] == ["CreateSecret", "CreateSecret", "UpdateSecret", "UpdateSecret"]
    assert {body["ClientRequestToken"] for _, body in asked} == {token}


def test_a_set_without_a_token_makes_one_for_all_its_attempts() -> None:
    outcome, asked = set_against(Reset(), Reset(), answer_json(NAMED), token=None)

    tokens = {body["ClientRequestToken"] for _, body in asked}
    assert outcome.created
    assert len(asked) == 3
    assert len(tokens) == 1
    assert uuid.UUID(tokens.pop())


def test_a_token_used_for_another_value_is_told() -> None:
    outcome, asked = set_against(aws_error("ResourceExistsException"), token=str(uuid.uuid4()))

    assert type(outcome) is errors.SecretExists
    assert [action for action, _ in asked] == ["CreateSecret", "UpdateSecret"]


def test_a_set_by_arn_updates_at_once() -> None:
    with FaultyServer(answer_json(NAMED)) as server:
        backend = connect(server.url)
        assert not do(backend, Set(ARN, SecretValue("x"))).created
        backend.close()
        assert [(action, body["SecretId"]) for action, body in sent(server)] == [("UpdateSecret", ARN)]


def test_a_delete_that_names_no_window_gets_the_configured_one() -> None:
    with FaultyServer(answer_json({**NAMED, "DeletionDate": 1})) as server:
        backend = connect(server.url, window=12)
        do(backend, Delete("a"))
        backend.close()
        assert sent(server)[0][1]["RecoveryWindowInDays"] == 12


# --- list ------------------------------------------------------------------------------------------------------------


def page(token: str | None, *names: str) -> Answer:
    return once(answer_json({"SecretList": [{"Name": name, "ARN": ARN} for name in names], "NextToken": token}))


def test_an_empty_page_in_the_middle_does_not_end_a_list() -> None:
    with FaultyServer(page("1", "a"), page("2"), page(None, "b")) as server:
        backend = connect(server.url)
        assert [info.name for info in do(backend, List())] == ["a", "b"]
        backend.close()
        assert [body.get("NextToken") for _, body in sent(server)] == [None, "1", "2"]


def test_a_list_that_goes_round_in_circles_is_ended() -> None:
    with FaultyServer(page("1", "a"), page("2", "b"), page("1", "c")) as server:
        backend = connect(server.url)
        assert type(failing(backend, List())) is errors.InvalidAnswer
        backend.close()
        assert len(server.requests) == 3


# --- the port ------------------------------------------------------------------------------------------------------


def in_a_thread(backend: Backend) -> tuple[threading.Thread, list[BaseException]]:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            do(backend, Get("a"))
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, caught


def test_close_ends_a_request_and_it_is_not_tried_again() -> None:
    with FaultyServer(Hang()) as server:
        backend = connect(server.url)
        thread, caught = in_a_thread(backend)
        server.wait_for_requests(1)
        started = time.monotonic()
        backend.close()
        backend.close()
        thread.join(LONG)

        assert not thread.is_alive()
        assert time.monotonic() - started < SLACK
        assert type(caught[0]) is errors.RequestFailed
        assert server.connections == 1
        assert repr(backend) == f"<AwsBackend [127.0.0.1:{server.port}, closed]>"


def test_close_ends_a_pause_between_attempts() -> None:
    hinted = aws_error("ThrottlingException", headers=(("x-amz-retry-after", "60000"),))
    with FaultyServer(hinted) as server:
        backend = connect(server.url)
        thread, caught = in_a_thread(backend)
        server.wait_for_requests(1)
        started = time.monotonic()
        backend.close()
        thread.join(LONG)

    assert not thread.is_alive()
    assert time.monotonic() - started < 4.0  # the pause would be five seconds and more
    assert isinstance(caught[0], errors.SecretsError)


def test_a_closed_backend_refuses() -> None:
    with FaultyServer(FOUND) as server:
        backend = connect(server.url)
        backend.close()

        assert type(failing(backend, Get("a"))) is errors.ConnectionFailed
        assert server.connections == 0


def test_a_call_without_keys_or_with_impossible_ones_is_not_sent() -> None:
    with FaultyServer(FOUND) as server:
        backend = connect(server.url)
        with pytest.raises(errors.MissingAccessKey):
            backend.perform(Get("a"), CallContext(time.monotonic() + LONG))
        with pytest.raises(errors.CredentialsError, match="session token"):
            backend.perform(Get("a"), context(Keys("AKID", "s", "line\nend")))
        backend.close()
        assert server.connections == 0


def test_an_operation_that_it_does_not_know_is_refused() -> None:
    class Strange(Operation[None]):
        kind = "strange"

    backend = connect("http://127.0.0.1:9")
    with pytest.raises(errors.UnknownMessage, match="Strange"):
        backend.perform(Strange(), context())
    assert backend.name == "aws_secrets_manager"


def test_a_bad_region_or_url_is_told_when_the_kit_is_made() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"aws\.endpoint_url"):
        connect("nonsense")


def test_all_connections_of_a_kit_share_one_tls_context(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    with TlsServer(chain, key) as server:
        made = kit(
            region="us-east-1",
            endpoint_url=f"https://127.0.0.1:{server.port}",
            ca_bundle=str(ca),
            timeout=5.0,
            recovery_window=30,
            credentials=StaticCredentials(),
        )
        first, second = made.connect(), made.connect()
        assert type(failing(first, Get("a"))) is errors.InvalidAnswer  # it answers {}: TLS came about
        first.close()
        ca.unlink()  # whoever read the bundle again would fail now
        assert type(failing(second, Get("a"))) is errors.InvalidAnswer
        second.close()

        assert server.handshakes == 2


def test_no_value_key_or_token_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys("AKIDCANARY", "canary-secret", "canary-token")
    answers = [
        once(answer_json(NAMED)),
        once(answer_json({**SECRET, "SecretString": "canary-value"})),
        html_500(b"canary"),
    ]
    with FaultyServer(*answers) as server:
        backend = connect(server.url)
        shown = [repr(backend), repr(do(backend, Set("a", SecretValue("canary-value")), keys))]
        shown.append(repr(backend.perform(Get("a"), context(keys))))
        error = failing(backend, Get("a"), keys)
        backend.close()

    text = f"{shown} {error!r} {error.__dict__} {caplog.text}".lower()
    assert "httpcore" in text
    assert "canary" not in text


def test_httpx_is_not_loaded_before_the_first_connection() -> None:
    code = """
import sys
before = set(sys.modules)  # such as what a measurement of coverage brought
from secrets_actor.backends.aws import backend
from secrets_actor.backends.aws.credentials import instance_metadata, static
kit = backend.kit(region="us-east-1", endpoint_url=None, ca_bundle=None, timeout=5.0, recovery_window=30,
                  credentials=static.StaticCredentials())
heavy = {"httpx", "httpcore", "asyncio", "cryptography", "sqlite3", "pydantic", "ssl"}
print(sorted(heavy & (set(sys.modules) - before)))
kit.connect().close()
print("httpx" in sys.modules)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert result.stdout.splitlines() == ["[]", "True"]
