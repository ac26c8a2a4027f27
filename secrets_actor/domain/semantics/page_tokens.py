"""Where a page of a list ends, as an opaque token: the place of its last item. PURE.

Rule 1: the next page begins behind that place, whatever has come or gone meanwhile: what is there all the time and does
        not change its place is listed once.
Rule 2: a token has a checksum over the list it is of, so that one of another list, or a damaged one, is noticed.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Final

_SUM: Final = 12  # bytes


def token(this_list: object, key: str, name: str) -> str:
    """The token for what comes behind (*key*, *name*), both ASCII, in the list that *this_list* tells."""
    body = f"{key}\0{name}".encode("ascii")
    return base64.urlsafe_b64encode(_sum(this_list, body) + body).decode()


def place(this_list: object, given: str) -> tuple[str, str] | None:
    """The key and name in the token *given*; None if it is none of this list's."""
    try:
        raw = base64.urlsafe_b64decode(given)
    except ValueError:
        return None
    body = raw[_SUM:]
    # The encoded form, too: the decoder passes over what is not of its alphabet.
    if raw[:_SUM] != _sum(this_list, body) or base64.urlsafe_b64encode(raw).decode() != given:
        return None
    key, _, name = body.decode("latin-1").partition("\0")
    return key, name


def sortable(moment: datetime | None) -> str:
    """A moment in UTC as a text that sorts as it does; none is before all."""
    return "" if moment is None else moment.isoformat(timespec="microseconds")


def _sum(this_list: object, body: bytes) -> bytes:
    return hashlib.sha256(f"{this_list!r}\0".encode() + body).digest()[:_SUM]
