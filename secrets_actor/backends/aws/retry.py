"""Decides which errors are worth another attempt, and when. PURE: the clock's reading and the dice are arguments.

The schedule is that of AWS's standard retry mode of 2026. A pause is a random share of a ceiling that doubles with each
attempt; the first ceiling is 0.05 s after a transient failure and 1 s after throttling. There are three attempts in all
unless configured otherwise, and a retry quota that all calls share (`retry_budget.py`). Source: botocore's
retries/standard.py; the tests compare with it.

We differ from botocore in four points. A certificate that is not accepted is final, for it will be no better the next
time. A used-up quota of the account (LimitExceededException) is final, for in Secrets Manager it is a hard limit. An
HTTP 429 without a code is throttling. An answer with success that cannot be read is transient.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct

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
# Seconds: the first ceiling of the pause while a secret that was deleted by force is not gone yet. Our own choice: AWS
# gives no number.
GOING_PAUSE: Final = 0.5
# Seconds that a server's hint may add to our own pause. botocore's number.
MAX_HINT: Final = 5.0
# Source: botocore's retries/standard.py, without LimitExceededException: in Secrets Manager that is a hard quota, which
# no waiting lifts.
THROTTLING_CODES: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
TRANSIENT_CODES: Final = frozenset({"RequestTimeout", "RequestTimeoutException"})
# None stands for an answer that is not sound HTTP: it does not come from Secrets Manager.
_TRANSIENT_STATUS: Final = frozenset({None, 200, 500, 502, 503, 504})


class RetryPolicy(Struct, frozen=True):
    """How often to try: *max_attempts* in all, with the first. *adaptive* also delays requests once AWS throttles."""

    max_attempts: int = MAX_ATTEMPTS
    adaptive: bool = False


class FailureKind(Enum):
    """How a failure is answered. The value is the first ceiling of the pause, in seconds."""

    TRANSIENT = 0.05
    THROTTLING = 1.0
    FINAL = 0.0


# What another attempt takes from the quota. Source: botocore's numbers of 2026.
COSTS: Final[Mapping[FailureKind, int]] = {FailureKind.TRANSIENT: 14, FailureKind.THROTTLING: 5}


def classify(error: SecretsError) -> FailureKind:
    """Return the kind of *error*. FINAL means that another attempt would end in the same way."""
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
    """Return the seconds to wait after *attempt* (1 is the first) ended in *error*, or None for no further attempt.

    *dice* is in [0, 1). *hint* is the answer's x-amz-retry-after header, in milliseconds. An attempt that takes *needs*
    seconds and could not end before *deadline*, on the clock of *now*, is not planned.
    """
    kind = classify(error)
    if kind is FailureKind.FINAL or attempt >= max_attempts:
        return None
    pause = _jittered(kind.value, attempt, dice)
    # `isdecimal` is true for exactly the digits that `int` can read; `isdigit` is true for some that it cannot. Nine
    # digits are more than any sensible hint has, and keep `int` quick.
    if hint is not None and len(hint) <= 9 and hint.isdecimal():
        pause = max(pause, min(int(hint) / 1000, pause + MAX_HINT))
    return pause if now + pause + needs < deadline else None


def pause_while_going(attempt: int, *, dice: float, now: float, deadline: float, needs: float = 0.0) -> float | None:
    """Return the seconds to wait while a secret that was deleted by force still occupies its name.

    None when the next attempt would be too late. The arguments are those of `pause_before`.
    """
    pause = _jittered(GOING_PAUSE, attempt, dice)
    return pause if now + pause + needs < deadline else None


def _jittered(ceiling: float, attempt: int, dice: float) -> float:
    # Without the 64, a high attempt would exceed a float's range; the longest pause is reached far below.
    return dice * min(ceiling * 2.0 ** min(attempt - 1, 64), MAX_PAUSE)


def sdk_request(attempt: int, max_attempts: int, ttl: str | None = None) -> str:
    """Return the amz-sdk-request header as AWS's own clients send it (unsigned).

    It tells which attempt this is, of how many, and, if the server's clock is known, the moment after which the answer
    is of no use (*ttl*, such as `20261124T031500Z`).
    """
    return f"{'' if ttl is None else f'ttl={ttl}; '}attempt={attempt}; max={max_attempts}"
