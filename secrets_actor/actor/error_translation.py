"""Error translation: turns errors of the OTP layer into the errors that callers know, and makes those for deadlines and
crashed workers. PURE."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from secrets_actor import otp
from secrets_actor.domain.errors import (
    CalledFromWithin,
    CircuitOpen,
    DeadlineExceeded,
    ForkedProcess,
    Overloaded,
    SecretsError,
    ServerDown,
    ServiceError,
    WorkerCrashed,
)
from secrets_actor.domain.operations import Operation, token_of
from secrets_actor.otp import CallFailed, CallingSelf, CallTimeout, Crashed, ExitReason, NoProcess

NO_THREAD_HELP: Final = (
    "this machine, user or container is at its limit of threads (ulimit -u, pids.max), or the program is ending: raise "
    "the limit, or have fewer threads"
)
E = TypeVar("E", bound=SecretsError)
_FROM_WITHIN: Final = (
    "this call was made in a thread of the system itself, as by a log handler or a finalizer that comes to run there: "
    "the system would wait for itself, so nothing was done. Have a thread of your own do it"
)


def translated(error: BaseException, operation: Operation[Any] | None = None) -> SecretsError:
    """Return *error* as a SecretsError that is one caller's own object. If *operation* is a write whose outcome is
    unknown, the error has its token, so that the caller can repeat the write safely."""
    if isinstance(error, SecretsError):
        return error.clone()
    token = token_of(operation)
    if isinstance(error, otp.ForkedProcess):
        text = "this process was forked from the one that runs the system: start one here, or set after_fork"
        return ForkedProcess(f'{text} = "restart"', token=token)
    if isinstance(error, NoProcess):
        text = (
            "the secrets actor is not running: try again in a moment, or start the system. Its wait() says why it ended"
        )
        return ServerDown(text, token=token)
    if isinstance(error, CallFailed):
        return ServerDown(f"the secrets actor ended before it answered: {error.reason}.{_unknown(token)}", token=token)
    if isinstance(error, CallingSelf):
        return CalledFromWithin(_FROM_WITHIN)
    if isinstance(error, CallTimeout):
        return out_of_time(operation)
    return ServiceError(f"the secrets service failed: {type(error).__name__}")


def with_token_of(operation: Operation[Any], error: E) -> E:
    """Return *error*. If *operation* is a write that may have taken effect, or was at least tried, its token is added
    to the error."""
    token = token_of(operation)
    # CircuitOpen and Overloaded mean that it was not sent. If it was sent before, flights.py has added the token.
    if token is not None and error.retryable and not isinstance(error, (CircuitOpen, Overloaded)):
        error.token = token
    return error


def out_of_time(operation: Operation[Any] | None) -> DeadlineExceeded:
    """Return the error for *operation*, whose deadline has passed."""
    token = token_of(operation)
    return DeadlineExceeded(f"no answer within the time given.{_unknown(token)}", token=token)


def workers_crashed(reason: ExitReason, times: int, operation: Operation[Any] | None = None) -> WorkerCrashed:
    """Return the error for a job on which *times* workers ended, the last one with *reason*."""
    error_type = reason.error_type if isinstance(reason, Crashed) else str(reason)
    ended = "a worker ended on this job," if times == 1 else f"{times} workers ended on this job, the last one"
    return WorkerCrashed(
        f"{ended} of {error_type}; the crash reports in the log say where",
        error_type=error_type,
        token=token_of(operation),
    )


def _unknown(token: str | None) -> str:
    return " The write may have taken effect: ask again with the same token." if token else " Try again."
