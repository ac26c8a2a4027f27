"""What is worth another try, and when. PURE: the clock's reading and the dice are arguments.

The schedule is that of AWS's standard retry mode of 2026: full jitter over a doubling ceiling, a twentieth of a second
at first after a transient failure and a second after throttling; three attempts in all unless told otherwise; a bucket
of tries that all calls share (`retry_budget.py`). Source: botocore's retries/standard.py, with which the tests compare.

Where we part from botocore: TLS that is not accepted is final, for the certificate will be no better; a used-up quota
of the account (LimitExceededException) is final, for Secrets Manager means it; an HTTP 429 without a code is
throttling; an answer with success that cannot be read is transient.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

from secrets_actor.backends.aws.error_codes import TRANSIENT_CODES
from secrets_actor.domain.errors import (
    BackendTimeout,
    BodyReadFailed,
    ConnectionFailed,
    InvalidAnswer,
    RequestFailed,
    SecretsError,
    StoreFailure,
    Throttled,
    TlsFailed,
)

MAX_ATTEMPTS: Final = 3
# Seconds.
MAX_PAUSE: Final = 20.0
# The first ceiling of the pause while a secret that was deleted by force is not gone: ours, AWS gives no number.
GOING_PAUSE: Final = 0.5
# Seconds a server's hint may add to our own pause.
MAX_HINT: Final = 5.0
# None: an answer that is no sound HTTP, and so is not Secrets Manager's word.
_TRANSIENT_STATUS: Final = frozenset({None, 200, 500, 502, 503, 504})


class RetryPolicy(Struct, frozen=True):
    """*max_attempts* in all, the first one too; *adaptive* also holds requests back once AWS throttles them."""

    max_attempts: int = MAX_ATTEMPTS
    adaptive: bool = False


class FailureKind(Enum):
    """How a failure is met. The value is the first ceiling of the pause, in seconds."""

    TRANSIENT = 0.05
    THROTTLING = 1.0
    FINAL = 0.0


# What another try takes from the quota.
COSTS: Final[Mapping[FailureKind, int]] = {FailureKind.TRANSIENT: 14, FailureKind.THROTTLING: 5}


def classify(error: SecretsError) -> FailureKind:
    """TRANSIENT, THROTTLING or FINAL (another try would end alike)."""
    if isinstance(error, Throttled):
        return FailureKind.THROTTLING
    if isinstance(error, TlsFailed):
        return FailureKind.FINAL
    if isinstance(error, ConnectionFailed | RequestFailed | BodyReadFailed | BackendTimeout):
        return FailureKind.TRANSIENT
    if isinstance(error, StoreFailure | InvalidAnswer) and (
        error.status in _TRANSIENT_STATUS or error.aws_code in TRANSIENT_CODES
    ):
        return FailureKind.TRANSIENT
    return FailureKind.FINAL


def pause_before(
    error: SecretsError,
    attempt: int,
    *,
    dice: float,
    now: float,
    deadline: float,
    hint: str | None = None,
    max_attempts: int = MAX_ATTEMPTS,
    needs: float = 0.0,
) -> float | None:
    """Seconds to wait after *attempt* (1 is the first) ended in *error*; None when there is to be no further attempt.

    *dice* is in [0, 1). *hint* is the answer's x-amz-retry-after header, in milliseconds. No attempt is planned that
    could not end before *deadline*, on the clock of *now*, if it takes *needs* seconds.
    """
    kind = classify(error)
    if kind is FailureKind.FINAL or attempt >= max_attempts:
        return None
    pause = _jittered(kind.value, attempt, dice)
    # int() reads other alphabets' digits too, and `isdecimal` lets only those through that it can read.
    if hint is not None and len(hint) <= 9 and hint.isdecimal():
        pause = max(pause, min(int(hint) / 1000, pause + MAX_HINT))
    return pause if now + pause + needs < deadline else None


def pause_while_going(attempt: int, *, dice: float, now: float, deadline: float, needs: float = 0.0) -> float | None:
    """Seconds to wait before a name is tried again whose secret was deleted by force; None when it would be too late.
    The arguments are those of `pause_before`."""
    pause = _jittered(GOING_PAUSE, attempt, dice)
    return pause if now + pause + needs < deadline else None


def _jittered(ceiling: float, attempt: int, dice: float) -> float:
    # A power beyond a float's range is far beyond the longest pause.
    return dice * min(ceiling * 2.0 ** min(attempt - 1, 64), MAX_PAUSE)


def sdk_request(attempt: int, max_attempts: int, ttl: str | None = None) -> str:
    """The amz-sdk-request header, as AWS's clients send it (unsigned): which attempt of how many, and when the answer
    would come too late (*ttl*, such as `20261124T031500Z`), if the server's clock is known."""
    return f"{'' if ttl is None else f'ttl={ttl}; '}attempt={attempt}; max={max_attempts}"
