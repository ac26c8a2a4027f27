"""What is worth another try, and when. PURE: the clock's reading and the dice are arguments.

The schedule is that of AWS's standard retry mode of 2026: three attempts in all, full jitter over a doubling ceiling, a
twentieth of a second at first after a transient failure and a second after throttling. Source: botocore's
retries/standard.py. No quota bucket yet.
"""

from enum import Enum
from typing import Final

from secrets_actor.backends.aws.failures import TRANSIENT_CODES
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
# Seconds a server's hint may add to our own pause.
MAX_HINT: Final = 5.0
_TRANSIENT_STATUS: Final = frozenset({200, 500, 502, 503, 504})


class Kind(Enum):
    """How a failure is met. The value is the first ceiling of the pause, in seconds."""

    TRANSIENT = 0.05
    THROTTLING = 1.0
    FINAL = 0.0


def classify(error: SecretsError) -> Kind:
    """TRANSIENT, THROTTLING or FINAL (another try would end alike).

    A used-up quota (`LimitExceeded`) is final although botocore's list has its code: Secrets Manager means it.
    """
    if isinstance(error, Throttled):
        return Kind.THROTTLING
    if isinstance(error, TlsFailed):
        return Kind.FINAL
    if isinstance(error, ConnectionFailed | RequestFailed | BodyReadFailed | BackendTimeout):
        return Kind.TRANSIENT
    if isinstance(error, StoreFailure | InvalidAnswer) and (
        error.status in _TRANSIENT_STATUS or error.aws_code in TRANSIENT_CODES
    ):
        return Kind.TRANSIENT
    return Kind.FINAL


def pause_before(
    error: SecretsError, attempt: int, *, dice: float, now: float, deadline: float, hint: str | None = None
) -> float | None:
    """Seconds to wait after *attempt* (1 is the first) ended in *error*; None when there is to be no further attempt.

    *dice* is in [0, 1). *hint* is the answer's x-amz-retry-after header, in milliseconds. No attempt is planned that
    could not start before *deadline*, on the clock of *now*.
    """
    kind = classify(error)
    if kind is Kind.FINAL or attempt >= MAX_ATTEMPTS:
        return None
    pause = dice * min(kind.value * 2 ** (attempt - 1), MAX_PAUSE)
    # int() reads other alphabets' digits too, and `isdecimal` lets only those through that it can read.
    if hint is not None and len(hint) <= 9 and hint.isdecimal():
        pause = max(pause, min(int(hint) / 1000, pause + MAX_HINT))
    return pause if now + pause < deadline else None
