"""Compares this machine's clock with AWS's. PURE.

AWS refuses a signature whose time is more than five minutes off. An answer's Date header tells the server's time. When
a signature was refused and the two clocks differ that much, all workers of the backend sign by the server's clock from
then on (`corrected_clock.py`).
"""

from datetime import datetime, timedelta
from typing import Final

from secrets_actor.domain.errors import InvalidSignature, SecretsError

# AWS tolerates this much; it says so in its refusals ("5 min.").
TOLERATED: Final = timedelta(minutes=5)
# With these codes AWS may mean the time, though a wrong secret key causes the first two as well. So the two clocks are
# compared before ours is corrected. Precedent: the lists of the AWS SDKs.
SKEW_CODES: Final = frozenset(
    {
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
    }
)


def may_be_skew(error: SecretsError) -> bool:
    """Whether AWS may have refused the time of a signature."""
    return isinstance(error, InvalidSignature) and error.aws_code in SKEW_CODES


def too_far(one: datetime, other: datetime) -> bool:
    """Whether AWS would refuse a signature of the time *one* at the time *other*."""
    return abs(one - other) >= TOLERATED


def set_back(at: datetime, skew: timedelta) -> datetime:
    """Convert *at* from a clock that is *skew* ahead to the clock that it is ahead of."""
    try:
        return at - skew
    except OverflowError:  # *at* is at the end of what a `datetime` can hold, where a skew does not matter
        return at


def in_words(skew: timedelta) -> str:
    """Return *skew* as text for an operator: `this machine's clock is 7200 s slow`.

    *skew* is positive when the server's clock is ahead of this machine's.
    """
    seconds = round(skew.total_seconds())
    return f"this machine's clock is {abs(seconds)} s {'slow' if seconds > 0 else 'fast'}"
