"""The backend `daemon` over a Unix socket: what it sends, how its errors are worded, what its doctor says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.aws_json.errors import OWN_HEADER, encode_own
from secrets_actor.backends.aws.daemon_backend import daemon_backend_factory, in_our_words
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.operations import Delete, Get, Operation
from secrets_actor.domain.ports import Backend, CallContext
from tests.backends.aws.backend_rig import FOUND, LONG, SECRET, sent
from tests.servers.behaviours import Answer, Behaviour, Hang, answer_json, aws_error
from tests.servers.faulty import FaultyServer


def connect(path: Path, timeout: float = 5.0) -> Backend:
    return daemon_backend_factory(path=str(path), timeout=timeout).connect()


def do(backend: Backend, operation: Operation[Any], within: float = LONG) -> Any:
    return backend.perform(operation, CallContext(clock_now() + within, None)).value


def failing(backend: Backend, operation: Operation[Any], within: float = LONG) -> errors.SecretsError:
    with pytest.raises(errors.SecretsError) as caught:
        do(backend, operation, within)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    return caught.value


def test_a_request_is_one_of_aws_without_credentials(tmp_path: Path) -> None:
    with FaultyServer(FOUND, path=tmp_path / "s") as server:
        secret = do(connect(tmp_path / "s"), Get("a"))

        asked = ("GetSecretValue", {"SecretId": "a", "VersionStage": "AWSCURRENT"})
        head = server.requests[0].head.decode().lower()
        assert (secret.name, secret.reveal(), sent(server)) == ("a", "found", [asked])
    assert "host: localhost\r\n" in head
    assert "content-type: application/x-amz-json-1.1\r\n" in head
    assert not [name for name in ("authorization", "x-amz-date", "x-amz-security-token") if name in head]


def test_a_factory_needs_no_credentials_and_names_its_socket(tmp_path: Path) -> None:
    factory = daemon_backend_factory(path=str(tmp_path / "s"), timeout=1.0)

    assert (factory.name, factory.credentials) == ("daemon", None)
    assert factory.endpoints == (f"unix:{tmp_path / 's'}",)
    assert factory.connect().name == "daemon"
    assert str(tmp_path / "s") in repr(factory.connect())


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        (Delete("a"), {"SecretId": "a"}),
        (Delete("a", recovery_window=8), {"SecretId": "a", "RecoveryWindowInDays": 8}),
        (Delete("a", force=True), {"SecretId": "a", "ForceDeleteWithoutRecovery": True}),
    ],
)
def test_the_daemon_decides_about_a_recovery_window_that_nobody_names(
    operation: Delete, body: dict[str, object], tmp_path: Path
) -> None:
    deleted = answer_json({"Name": "a", "ARN": SECRET["ARN"], "DeletionDate": 1.5})
    with FaultyServer(deleted, path=tmp_path / "s") as server:
        do(connect(tmp_path / "s"), operation)

        assert sent(server) == [("DeleteSecret", body)]


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (aws_error("AccessDeniedException"), errors.AccessDenied, "[[daemon.allow]]"),
        (aws_error("ResourceNotFoundException"), errors.SecretNotFound, "in the daemon's store"),
        (aws_error("LimitExceededException"), errors.LimitExceeded, "a quota of the daemon's store"),
        (aws_error("DecryptionFailure"), errors.DecryptionFailed, "the daemon's log"),
        (aws_error("InvalidRequestException"), errors.SecretDeleted, "restore it first"),
        (Answer(b"<html>", 404, content_type="text/html"), errors.InvalidAnswer, "the face aws is served there"),
    ],
)
def test_a_refusal_is_told_in_words_that_fit_a_daemon(
    answer: Answer, kind: type[errors.SecretsError], told: str, tmp_path: Path
) -> None:
    with FaultyServer(answer, path=tmp_path / "s"):
        error = failing(connect(tmp_path / "s"), Get("a"))

    assert type(error) is kind
    assert told in str(error)
    for word in ("IAM", "credentials", "account"):
        assert word not in str(error)


def told(error: errors.SecretsError, code: str, *, with_text: bool = True) -> Answer:
    return answer_json(
        {"__type": code, "Message": "AWS's words"},
        status=400,
        headers=((OWN_HEADER, encode_own(error, with_text=with_text)), ("x-amzn-RequestId", "r-1")),
    )


def test_an_error_of_the_daemon_comes_through_with_its_words_and_facts(tmp_path: Path) -> None:
    given = errors.SecretNotFound("no such version: it is gone")
    given.stage = "AWSPREVIOUS"
    with FaultyServer(told(given, "ResourceNotFoundException"), path=tmp_path / "s"):
        error = failing(connect(tmp_path / "s"), Get("a"))

    assert isinstance(error, errors.SecretNotFound)
    assert (str(error), error.stage, error.version_id) == ("no such version: it is gone", "AWSPREVIOUS", None)
    assert (error.aws_code, error.status, error.request_id) == ("ResourceNotFoundException", 400, "r-1")


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (told(errors.UnknownMessage("not here"), "InvalidRequestException"), errors.UnknownMessage, "not here"),
        # AWS has one code for both, and a get with it would be taken for one of a deleted secret.
        (told(errors.InvalidRequest("no"), "InvalidRequestException"), errors.InvalidRequest, "no"),
        (
            told(
                errors.AccessDenied(
                    "x",
                ),
                "AccessDeniedException",
                with_text=False,
            ),
            errors.AccessDenied,
            "daemon.allow",
        ),
        (told(errors.ServerDown("x"), "ResourceNotFoundException"), errors.SecretNotFound, "in the daemon's store"),
        (answer_json({}, status=400, headers=((OWN_HEADER, "{"),)), errors.InvalidAnswer, "none of a daemon's"),
    ],
    ids=["unknown to AWS", "told apart", "without text", "not believed", "not understood"],
)
def test_what_the_header_says_is_believed_about_refusals_alone(
    answer: Answer, kind: type[errors.SecretsError], text: str, tmp_path: Path
) -> None:
    with FaultyServer(answer, path=tmp_path / "s"):
        error = failing(connect(tmp_path / "s"), Get("a"))

    assert type(error) is kind
    assert text in str(error)


def test_what_is_final_stays_final() -> None:
    final = errors.StoreFailure("x", status=501)
    final.retryable = False

    assert in_our_words(final).retryable is False


def test_a_daemon_that_does_not_run_is_told_by_its_socket_and_how_to_start_it(tmp_path: Path) -> None:
    error = failing(connect(tmp_path / "s"), Get("a"))

    assert type(error) is errors.ConnectionFailed
    assert error.endpoint == f"unix:{tmp_path / 's'}"
    assert "'secrets-actor run' starts it" in str(error)
    assert "daemon_client.address" in str(error)


def test_a_daemon_that_hangs_costs_the_time_of_its_attempts(tmp_path: Path) -> None:
    with FaultyServer(Hang(), path=tmp_path / "s") as server:
        error = failing(connect(tmp_path / "s", timeout=0.05), Get("a"))

        assert (type(error), server.connections) == (errors.BackendTimeout, 3)


def findings(path: Path) -> list[Finding]:
    diagnose = daemon_backend_factory(path=str(path), timeout=5.0).diagnose
    assert diagnose is not None
    return list(diagnose(clock_now() + LONG, "app/"))


@pytest.mark.parametrize(
    ("behaviour", "verdicts", "told"),
    [
        (aws_error("ResourceNotFoundException"), [Verdict.OK, Verdict.OK], "begins with app/"),
        (aws_error("AccessDeniedException"), [Verdict.OK, Verdict.WARNING], "does not let this user get"),
        (aws_error("DecryptionFailure"), [Verdict.OK, Verdict.FAULT], "the daemon's store cannot decrypt"),
        (Answer(b"hello", content_type="text/plain"), [Verdict.FAULT], "answered with success but not as"),
        (None, [Verdict.FAULT], "is the daemon running?"),
    ],
    ids=["allowed", "denied", "fails", "another server", "nobody"],
)
def test_its_doctor_tells_whether_it_answers_and_lets_us_in(
    behaviour: Behaviour | None, verdicts: list[Verdict], told: str, tmp_path: Path
) -> None:
    def found() -> list[Finding]:
        return findings(tmp_path / "s")

    all_: list[Finding] = found() if behaviour is None else served(behaviour, tmp_path / "s", found)

    assert [one.verdict for one in all_] == verdicts
    assert told in all_[-1].fact


def served(behaviour: Behaviour, path: Path, ask: Callable[[], list[Finding]]) -> list[Finding]:
    with FaultyServer(behaviour, path=path) as server:
        found = ask()
        for action, body in sent(server):
            assert (action, body["SecretId"][:4]) == ("GetSecretValue", "app/")
    return found
