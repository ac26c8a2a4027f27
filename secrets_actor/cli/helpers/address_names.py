"""Names of secrets for the addresses of servers, and back: `registry.example:5000` is `registry.example=3A5000`. PURE.

Rule 1: the way there and back loses nothing. `=` and two hexadecimal digits stand for each byte that a name cannot
        have, as in quoted-printable, and for `=` itself. The `%` of URLs is not legal in the names of AWS.
Rule 2: a name made here has no empty segment, and none of dots only: not every store takes those. A `/` beside another
        one or at an end, and such dots, are written as bytes, too.
"""

from __future__ import annotations

import re
from typing import Final

# AWS, CreateSecret `Name`, without `=` (rule 1) and `!`, which only the secrets that AWS's services make have.
_ILLEGAL: Final = re.compile(r"[^A-Za-z0-9/_+.@-]+")
_EMPTY_SEGMENT: Final = re.compile(r"(?<![^/])/|/(?![^/])")
_DOTS: Final = re.compile(r"(?<![^/])\.{1,2}(?![^/])")
_BYTES: Final = re.compile(r"(?:=[0-9A-F]{2})+")


def encoded(address: str) -> str:
    """Return *address* as a part of a secret's name. Raises `UnicodeError` for what is no text in UTF-8."""
    found = address
    for wrong in (_ILLEGAL, _EMPTY_SEGMENT, _DOTS):
        found = wrong.sub(lambda match: "".join([f"={byte:02X}" for byte in match[0].encode()]), found)
    return found


def decoded(name: str) -> str | None:
    """Return the address that `encoded` makes *name* of; None if there is no such address."""
    try:
        address = _BYTES.sub(lambda match: bytes.fromhex(match[0].replace("=", "")).decode(), name)
        return address if encoded(address) == name else None
    except UnicodeError:
        return None
