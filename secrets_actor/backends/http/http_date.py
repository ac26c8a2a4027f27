"""The time of a server, as the Date header of its answers tells it. PURE."""

import re
from datetime import UTC, datetime
from typing import Final

_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# A year from which on a Date header is not believed: a `datetime` ends with the year 9999, and moments are added to
# this one.
_END: Final = 9000
_DATE: Final = re.compile(r"[A-Z][a-z]{2}, ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT")


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
