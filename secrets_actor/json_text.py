"""JSON that somebody else wrote. The one way to what is in it. PURE.

Rule 1: what is nested too deeply is refused before Python's parser sees it. The parser goes down a level of the
        machine's stack for each level of the document, and not every Python knows how long the stack of a thread is:
        3.13 writes past the end of one of 1 MB (Alpine's default), and the whole process dies.
Rule 2: what cannot be read is a ValueError. It may hold the document: it is not to be passed on.
"""

import json
import re
from itertools import accumulate
from typing import Any, Final

# Far more than anybody needs, and far less than a thread of 128 KB can go down.
MAX_DEPTH: Final = 500
# All but the brackets: texts, in which a bracket is a letter like any other, and what stands between.
_BESIDE: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[^"\[\]{}]++', re.DOTALL)
_DOWN: Final = str.maketrans("[{]}", "\1\1\0\0")
_STEPS: Final = (-1, 1)


class NestedTooDeeply(ValueError):
    """Lists and objects in each other, more than `MAX_DEPTH` of them. Quotes nothing."""


def read_json(found: str | bytes) -> Any:
    """The value that is written in *found*: text, or bytes in UTF-8, -16 or -32. Raises `ValueError`; `NestedTooDeeply`
    is one."""
    if not isinstance(found, str):
        found = found.decode(json.detect_encoding(found), "surrogatepass")
    if found.count("[") + found.count("{") > MAX_DEPTH and _is_deep(found):
        raise NestedTooDeeply
    try:
        return json.loads(found)
    except RecursionError:  # its caller is far down, too
        raise NestedTooDeeply from None


def refuse_deep(body: bytes) -> None:
    """Raise `NestedTooDeeply` for JSON in UTF-8 that is, for another parser than Python's: each goes down the stack."""
    if len(body) <= MAX_DEPTH:  # most answers: each level takes a byte at least
        return
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(body.decode(errors="replace")):
        raise NestedTooDeeply


def _is_deep(text: str) -> bool:
    brackets = _BESIDE.sub("", text).translate(_DOWN).encode()
    return max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH
