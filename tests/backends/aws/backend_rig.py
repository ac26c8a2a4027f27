"""One backend against a server: an emulator, or one that misbehaves on cue."""

import json
from typing import Any, TypeVar

import pytest

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Backend, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.servers.account import Keys
from tests.servers.behaviours import Answer, answer_json
from tests.servers.faulty import FaultyServer

T = TypeVar("T")
LONG = 20.0
SLACK = 5.0
FAKE = Keys("AKIDEXAMPLE", "secret")
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
NAMED = {"Name": "a", "ARN": ARN, "VersionId": "v" * 32}
SECRET = {**NAMED, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1.5, "SecretString": "found"}
FOUND = answer_json(SECRET, headers=(("x-amzn-RequestId", "r-1"),))


def connect(url: str, *, timeout: float = 5.0, clock: Any = utc_now, window: int = 30) -> Backend:
    return aws_backend_factory(
        endpoint=endpoint_for("us-east-1", url),
        ca_bundle=None,
        timeout=timeout,
        recovery_window=window,
        credentials=StaticCredentials(),
        clock=CorrectedClock(clock),
    ).connect()


def context(keys: Keys = FAKE, within: float = LONG) -> CallContext:
    token = None if keys.session_token is None else SecretValue(keys.session_token)
    return CallContext(clock_now() + within, AwsCredentials(keys.access_key_id, SecretValue(keys.secret_key), token))


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


def once(answer: Answer) -> Answer:
    return Answer(answer.body, answer.status, last=True)
