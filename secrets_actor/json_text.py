"""The reader of JSON that other programs wrote. No other file parses such JSON. PURE.

Rule 1: a document that is nested too deeply is refused before Python's parser sees it. The parser goes down one level
        of the machine's stack for each level of the document, and not every Python knows how long the stack of a thread
        is: 3.13 writes past the end of a stack of 1 MB (Alpine's default), and the whole process dies.
Rule 2: a document that cannot be read raises a ValueError. The exception may hold the document, which may be secret, so
        callers must not pass it on.
"""

import json
import re
from itertools import accumulate
from typing import Any, Final

# How many levels a document may have: far more than any document of ours needs, and far fewer than a thread with a
# stack of 128 KB can go down.
MAX_DEPTH: Final = 500
# Everything but the brackets of lists and objects: texts, in which a bracket is an ordinary letter, and all other
# letters.
_BESIDE: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++', re.DOTALL)
_DOWN: Final = str.maketrans("[{]}", "\1\1\0\0")  # an opening bracket becomes byte 1, a closing one byte 0
_STEPS: Final = (-1, 1)  # by these bytes, how the depth changes


class NestedTooDeeply(ValueError):
    """A document has more than `MAX_DEPTH` lists and objects inside each other. The error quotes nothing of it."""


def read_json(found: str | bytes) -> Any:
    """Return the value of the document *found*: text, or bytes in UTF-8, UTF-16 or UTF-32. Raises `ValueError`;
    `NestedTooDeeply` is one."""
    if not isinstance(found, str):
        found = found.decode(json.detect_encoding(found), "surrogatepass")
    if found.count("[") + found.count("{") > MAX_DEPTH and _is_deep(found):
        raise NestedTooDeeply
    try:
        return json.loads(found)
    except RecursionError:  # the caller itself is so far down the stack that fewer levels are too many
        raise NestedTooDeeply from None


def refuse_deep(body: bytes) -> None:
    """Raise `NestedTooDeeply` for JSON in UTF-8 that is nested too deeply. For use before another parser than Python's,
    which goes down the stack in the same way."""
    if len(body) <= MAX_DEPTH:  # each level takes a byte at least, so most answers need no search
        return
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(body.decode(errors="replace")):
        raise NestedTooDeeply


def _is_deep(text: str) -> bool:
    brackets = _BESIDE.sub("", text).translate(_DOWN).encode()
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH
