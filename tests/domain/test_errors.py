"""One tree of errors, with facts as attributes and codes that machines may rely on."""

from collections.abc import Iterator
from typing import Any

import pytest

from secrets_actor.domain import errors
from secrets_actor.domain.errors import (
    BackendTimeout,
    ConfigurationError,
    DeadlineExceeded,
    InvalidParameter,
    KeyFileError,
    SecretNotFound,
    SecretsError,
    ServerDown,
    WorkerCrashed,
)


def all_errors() -> Iterator[type[SecretsError]]:
    waiting: list[type[SecretsError]] = [SecretsError]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += one.__subclasses__()


MADE = [
    SecretNotFound("no secret a", aws_code="ResourceNotFoundException", status=400, request_id="r-1"),
    BackendTimeout("late", endpoint="127.0.0.1:1"),
    KeyFileError("open to others", path="/k"),
    DeadlineExceeded("late", token="t"),
    ServerDown("down", token="t"),
    WorkerCrashed("again", error_type="MemoryError", token="t"),
    InvalidParameter("stage", "1 to 256 characters"),
    ConfigurationError(("ttl_seconds: 0 or more", "region: missing")),
]


def test_every_class_has_a_code_of_its_own() -> None:
    classes = [one for one in all_errors() if one.__module__.startswith(errors.__name__)]
    codes = [one.code for one in classes]

    assert len(classes) > 30
    assert len(set(codes)) == len(codes)
    assert all("code" in vars(one) for one in classes)
    assert all(one.__doc__ for one in classes)


def test_bad_input_is_a_value_error_and_a_deadline_a_timeout_error() -> None:
    assert issubclass(errors.InvalidInput, ValueError)
    assert issubclass(errors.DeadlineExceeded, TimeoutError)
    assert issubclass(errors.UnknownMessage, TypeError)
    assert all(issubclass(one, Exception) for one in all_errors())


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (errors.Throttled, True),
        (errors.StoreFailure, True),
        (errors.ConnectionFailed, True),
        (errors.TlsFailed, False),
        (errors.AccessDenied, False),
        (errors.LimitExceeded, False),
        (errors.StoreUnavailable, True),
        (errors.WrongKey, False),
        (errors.InvalidInput, False),
    ],
)
def test_the_class_says_whether_trying_again_may_help(error: type[SecretsError], retryable: bool) -> None:
    assert error.retryable is retryable


@pytest.mark.parametrize(
    ("status", "retryable"), [(None, True), (200, True), (204, False), (302, False), (403, False), (500, True)]
)
def test_an_answer_that_is_none_is_worth_another_try_by_its_status(status: int | None, retryable: bool) -> None:
    error = errors.InvalidAnswer("what?", status=status)

    assert error.retryable is retryable
    assert error.clone().retryable is retryable


@pytest.mark.parametrize("error", MADE, ids=lambda error: type(error).__name__)
def test_a_clone_is_equal_in_all_facts_and_another_object(error: SecretsError) -> None:
    twin = error.clone()

    assert twin is not error
    assert type(twin) is type(error)
    assert str(twin) == str(error)
    assert vars(twin) == vars(error)
    assert twin.request_id == error.request_id


def test_a_clone_has_no_traceback_cause_or_context() -> None:
    caught: Any = None
    try:
        try:
            raise KeyError("what only the worker should see")
        except KeyError as cause:
            raise SecretNotFound("no secret a") from cause
    except SecretNotFound as exc:
        caught = exc

    twin = caught.clone()

    assert caught.__traceback__ is not None
    assert isinstance(caught.__cause__, KeyError)
    assert (twin.__traceback__, twin.__cause__, twin.__context__) == (None, None, None)
    assert "only the worker" not in repr(vars(twin))


def test_a_clone_goes_its_own_way() -> None:
    error = SecretNotFound("no secret a")
    twin = error.clone()
    twin.request_id = "r-2"

    assert error.request_id is None


def test_texts_say_the_facts() -> None:
    assert str(InvalidParameter("stage", "1 to 256 characters")) == "stage: 1 to 256 characters"
    assert str(ConfigurationError(("a: b", "c: d"))) == "a: b; c: d"
    assert ConfigurationError(("a: b", "c: d")).mistakes == ("a: b", "c: d")
