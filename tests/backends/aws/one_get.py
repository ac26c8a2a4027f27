"""Kits against a server under test, one get over them, and what the server saw."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from secrets_actor.backends.aws.backend import aws_backend_factory
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.backends.aws.credentials.static import StaticCredentials
from secrets_actor.backends.aws.endpoint import endpoint_for
from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import utc_now
from secrets_actor.domain import errors
from secrets_actor.domain.operations import Get
from secrets_actor.domain.ports import Backend, BackendFactory, CallContext
from secrets_actor.domain.secret import SecretValue
from tests.servers.behaviours import Answer, answer_json, aws_error

LONG = 20.0
KEYS = AwsCredentials("AKIDEXAMPLE", SecretValue("secret"))
ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-AbCdEf"
SECRET: dict[str, object] = {"Name": "a", "ARN": ARN, "VersionId": "v" * 32, "VersionStages": ["AWSCURRENT"]}
SECRET |= {"CreatedDate": 1, "SecretString": "found"}
FOUND = answer_json(SECRET)
THROTTLED = aws_error("ThrottlingException")


def kit_of(
    server_url: str,
    *,
    retries: RetryPolicy | None = None,
    clock: Callable[[], datetime] = utc_now,
    on_skew: Any = None,
    timeout: float = 5.0,
) -> BackendFactory:
    return aws_backend_factory(
        endpoint=endpoint_for("us-east-1", server_url),
        ca_bundle=None,
        timeout=timeout,
        recovery_window=30,
        credentials=StaticCredentials(),
        clock=CorrectedClock(clock, on_skew),
        retries=retries,
    )


def get(backend: Backend, within: float = LONG) -> Any:
    return backend.perform(Get("a"), CallContext(clock_now() + within, KEYS)).value.reveal()


def failing(backend: Backend, within: float = LONG) -> Any:
    with pytest.raises(errors.SecretsError) as caught:
        get(backend, within)
    assert caught.value.__context__ is None
    return caught.value


def header(request: Any, name: str) -> str:
    """A header of *request*, its name in small letters."""
    lines = request.head.decode().splitlines()[1:]
    return next((value.strip() for key, _, value in (line.partition(":") for line in lines) if key.lower() == name), "")


def once(answer: Answer) -> Answer:
    """*answer*, and then the end of the connection."""
    return Answer(answer.body, answer.status, last=True)
