"""The opaque tokens between the pages of a list: each holds the place of its page's last item. PURE.

Rule 1: the next page begins behind that place, whatever has been added or removed meanwhile. So an item that exists all
        the time, and does not change its place, is listed exactly once.
Rule 2: a token has a checksum over the list that it belongs to, so a damaged token, and one of another list, is
        noticed. It guards against mistakes, not against forgers: any caller may list all places.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Final

_SUM: Final = 12  # bytes


def token(this_list: object, key: str, name: str) -> str:
    """Return the token for the items behind (*key*, *name*), both ASCII. The repr of *this_list* tells lists apart."""
    body = f"{key}\0{name}".encode("ascii")
    return base64.urlsafe_b64encode(_sum(this_list, body) + body).decode()


def place(this_list: object, given: str) -> tuple[str, str] | None:
    """Return the key and name in the token *given*; None if the token was not made for this list."""
    try:
        raw = base64.urlsafe_b64decode(given)
    except ValueError:
        return None
    body = raw[_SUM:]
    # The encoded form is compared, too: the decoder skips characters that are not of its alphabet.
    if raw[:_SUM] != _sum(this_list, body) or base64.urlsafe_b64encode(raw).decode() != given:
        return None
    key, _, name = body.decode("latin-1").partition("\0")
    return key, name


def sortable(moment: datetime | None) -> str:
    """Return a moment in UTC as a text that sorts as the moment does. None comes before all moments."""
    return "" if moment is None else moment.isoformat(timespec="microseconds")


def _sum(this_list: object, body: bytes) -> bytes:
    return hashlib.sha256(f"{this_list!r}\0".encode() + body).digest()[:_SUM]
