"""The kernel's errors in the words of callers."""

import pytest

from secrets_actor import otp
from secrets_actor.actor.error_translation import out_of_time, translated, with_token_of, workers_crashed
from secrets_actor.domain.errors import (
    CalledFromWithin,
    CircuitOpen,
    DeadlineExceeded,
    ForkedProcess,
    Overloaded,
    SecretNotFound,
    SecretsError,
    ServerDown,
    ServiceError,
    Throttled,
)
from secrets_actor.domain.operations import Get, Operation, Set
from secrets_actor.domain.secret import SecretValue
from secrets_actor.otp import KILLED, NOPROC, CallFailed, CallingSelf, CallTimeout, Crashed, NoProcess

TOKEN = "22222222-2222-4222-8222-222222222222"
WRITE = Set("a", SecretValue("hunter2"), TOKEN)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (NoProcess(NOPROC), ServerDown, "not running"),
        (CallFailed(KILLED), ServerDown, "ended before it answered: killed"),
        (CallTimeout("x"), DeadlineExceeded, "no answer within the time given"),
        (otp.ForkedProcess(NOPROC), ForkedProcess, "this process was forked"),
        (CallingSelf("x"), CalledFromWithin, "in a thread of the system itself"),
        (ValueError("hunter2"), ServiceError, "failed: ValueError"),
    ],
)
@pytest.mark.parametrize("operation", [WRITE, Get("a"), None])
def test_kernel_errors_become_ours_and_a_write_keeps_its_token(
    error: Exception, kind: type[SecretsError], text: str, operation: Operation[object] | None
) -> None:
    ours = translated(error, operation)

    assert type(ours) is kind
    assert text in str(ours)
    assert "hunter2" not in str(ours)
    if kind not in (ServiceError, CalledFromWithin):
        assert getattr(ours, "token", None) == (TOKEN if operation is WRITE else None)


def test_an_error_of_ours_becomes_a_copy_of_the_callers_own() -> None:
    error = SecretNotFound("no such secret", request_id="r-1")

    copy = translated(error)

    assert copy is not error
    assert (type(copy), str(copy), copy.request_id) == (SecretNotFound, "no such secret", "r-1")


@pytest.mark.parametrize(
    ("error", "token"),
    [(Throttled("x"), TOKEN), (CircuitOpen("x"), None), (Overloaded("x"), None), (SecretNotFound("x"), None)],
)
def test_an_error_of_a_write_that_may_have_been_tried_takes_its_token(error: SecretsError, token: str | None) -> None:
    assert with_token_of(WRITE, error) is error
    assert getattr(error, "token", None) == token


def test_what_may_have_happened_is_said_of_a_write_only() -> None:
    assert "may have taken effect: ask again with the same token" in str(out_of_time(WRITE))
    assert str(out_of_time(Get("a"))).endswith("Try again.")


def test_a_job_that_ends_workers_says_what_the_last_one_died_of() -> None:
    died = workers_crashed(Crashed.by(RuntimeError("hunter2")), 3, WRITE)
    killed = workers_crashed(KILLED, 3)

    assert (died.error_type, died.token) == ("RuntimeError", TOKEN)
    assert (killed.error_type, killed.token) == ("killed", None)
    assert "hunter2" not in str(died)


def test_a_call_from_within_did_nothing_and_has_no_token() -> None:
    ours = translated(CallingSelf("x"), WRITE)

    assert type(ours) is CalledFromWithin
    assert getattr(ours, "token", None) is None
