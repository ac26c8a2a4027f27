"""Compares this machine's clock with AWS's. PURE.

AWS refuses a signature whose time is more than five minutes off. An answer's Date header tells the server's time. When
a signature was refused and the two clocks differ that much, all workers of the backend sign by the server's clock from
then on (`corrected_clock.py`).
"""

import re
from datetime import UTC, datetime, timedelta
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
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# A year from which on a Date header is not believed: a `datetime` ends with the year 9999, and moments are added to
# this one.
_END: Final = 9000
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")


def may_be_skew(error: SecretsError) -> bool:
    """Whether AWS may have refused the time of a signature."""
    return isinstance(error, InvalidSignature) and error.aws_code in SKEW_CODES


def http_date(text: str | None) -> datetime | None:
    """Return the moment in a Date header, or None when there is none.

    Only the one form is read that servers may send (RFC 9110, 5.6.7). `email.utils` would read many more.
    """
    found = None if text is None else _DATE.fullmatch(text)
    if found is None or found[2] not in _MONTHS:
        return None
    day, month, year = int(found[1]), _MONTHS.index(found[2]) + 1, int(found[3])
    if year >= _END:
        return None
    try:
        return datetime(year, month, day, int(found[4]), int(found[5]), int(found[6]), tzinfo=UTC)
    except ValueError:
        return None


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
