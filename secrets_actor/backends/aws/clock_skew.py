"""How far this machine's clock is from AWS's. PURE.

AWS refuses what was signed more than five minutes off. An answer's Date header tells the server's time; when a
signature was refused and the two clocks differ that much, all workers of a backend sign by the server's from then on
(`corrected_clock.py`).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from secrets_actor.domain.errors import InvalidSignature, SecretsError

# What AWS tolerates; it says so in its refusals ("5 min.").
TOLERATED: Final = timedelta(minutes=5)
# With these AWS may mean the time, though the first two also come of a wrong key. Precedent: the AWS SDKs' lists.
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
# No server's clock is there, and moments that are counted on from such a time would have no date.
_END: Final = 9000
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")


def may_be_skew(error: SecretsError) -> bool:
    """Whether AWS may have refused the time of a signature."""
    return isinstance(error, InvalidSignature) and error.aws_code in SKEW_CODES


def http_date(text: str | None) -> datetime | None:
    """A Date header, in the one form that servers may send (RFC 9110, 5.6.7); None when it is none."""
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
    """Whether AWS would refuse *one* where it is *other*."""
    return abs(one - other) >= TOLERATED


def set_back(at: datetime, skew: timedelta) -> datetime:
    """*at*, which a clock tells that is *skew* ahead, by the clock that it is ahead of."""
    try:
        return at - skew
    except OverflowError:  # the end of time, at whatever hour
        return at


def in_words(skew: timedelta) -> str:
    """*skew* of the server's clock against ours, as an operator reads it: `this machine's clock is 7200 s slow`."""
    seconds = round(skew.total_seconds())
    return f"this machine's clock is {abs(seconds)} s {'slow' if seconds > 0 else 'fast'}"
