"""The head of an ordinary answer of HTTP/1.1. PURE. Any other answer is for httpcore to read.

Rule 1: ordinary is what can be read in one way only: a whole head in printable ASCII, every header once, a final
        status that has a body, its length stated in digits and no transfer coding, on a connection that is kept.
Rule 2: what is ordinary reads here as it would in h11, with which the tests compare.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

# RFC 9112: a status line; then a token, a colon and a value on each line. Folded lines and other bytes do not match.
_HEAD: Final = re.compile(
    rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [ -~]*)?\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~\t]*\r\n)+)\r\n"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,9}")
_WITHOUT_BODY: Final = frozenset({204, 304})


class Head(NamedTuple):
    """An answer's status and headers as they came, and where in what was read its body starts and ends."""

    status: int
    headers: list[tuple[bytes, bytes]]
    start: int
    end: int


def request_bytes(start_line: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bytes:
    """A request as it is sent. Neither *start_line* nor *headers* may hold a line's end."""
    return b"%b\r\n%b\r\n%b" % (start_line, b"".join([b"%b: %b\r\n" % pair for pair in headers]), body)


def ordinary_head(data: bytes) -> Head | None:
    """The head that *data* begins with; None if it is not ordinary, or not whole."""
    found = _HEAD.match(data)
    if found is None:
        return None
    headers, known = [], {}
    for line in found[2].splitlines():
        name, _, value = line.partition(b":")
        value = value.strip(b" \t")
        headers.append((name, value))
        known[name.lower()] = value
    status, length = int(found[1]), known.get(b"content-length", b"")
    if (
        len(known) != len(headers)
        or status in _WITHOUT_BODY
        or b"transfer-encoding" in known
        or known.get(b"connection", b"keep-alive").lower() != b"keep-alive"
        or _LENGTH.fullmatch(length) is None
    ):
        return None
    return Head(status, headers, found.end(), found.end() + int(length))
