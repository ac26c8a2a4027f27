"""What may reach a log line. PURE.

Rule 1: only scalars pass, and flat lists of them. Anything else shows as its type's name: a mapping, a request, an
        object with a chatty repr cannot bring a secret along.
Rule 2: under a key that looks like a secret's, nothing passes, whatever it is.
Rule 3: an exception shows as its type's name; tracebacks and stacks are left out. Texts and locals may hold anything.
Rule 4: a text passes as one printable line, so that it cannot forge another line or steer a terminal.
"""

import math
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from secrets_actor.domain.secret import MASK

Scalar = str | int | float | bool | None
Fact = Scalar | list[Scalar]

# Compared with what is left of a key without case and separators: SecretString, secret_string, secret-string.
_FORBIDDEN_PARTS: Final = (
    "password",
    "passwd",
    "passphrase",
    "token",
    "secretstring",
    "secretbinary",
    "secretkey",
    "secretaccess",
    "accesskey",
    "apikey",
    "privatekey",
    "authorization",
    "credential",
    "signature",
    "cookie",
    "plaintext",
)
_FORBIDDEN_ENDINGS: Final = ("value", "values", "secret", "key", "keys")
_LEFT_OUT: Final = frozenset({"exc_info", "exception", "stack_info", "stack"})
_SEPARATORS: Final = re.compile(r"[^a-z0-9]")


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the event with nothing in it but what may be shown."""
    return {name: shown(name, fact) for name, fact in event.items() if name not in _LEFT_OUT}


def shown(name: str, fact: object) -> Fact:
    """*fact* as it may be shown under *name*."""
    if looks_secret(name):
        return MASK
    if isinstance(fact, list | tuple):
        return [scalar(one) for one in fact]
    return scalar(fact)


def scalar(fact: object) -> Scalar:
    """A scalar as it is, plain and printable; anything else as its type's name."""
    if fact is None or isinstance(fact, bool):
        return fact
    if isinstance(fact, str):
        return printable(str.__str__(fact))
    if isinstance(fact, int):
        return int.__int__(fact)
    if isinstance(fact, float):
        plain = float.__float__(fact)
        return plain if math.isfinite(plain) else repr(plain)  # JSON has no infinity
    if isinstance(fact, BaseException):
        return type(fact).__name__
    return f"<{type(fact).__name__}>"


def printable(text: str) -> str:
    """*text* with every character escaped that does not print: line ends, terminal controls, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def looks_secret(name: str) -> bool:
    """Whether what is kept under *name* may be a value, a key or a token."""
    bare = _SEPARATORS.sub("", name.lower())
    return bare.endswith(_FORBIDDEN_ENDINGS) or any(part in bare for part in _FORBIDDEN_PARTS)


def in_order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: timestamp, level and event first, then the facts as they were given."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}
