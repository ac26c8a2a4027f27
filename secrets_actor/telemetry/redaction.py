"""The redaction of log lines: lets only facts through that cannot hold a secret. PURE.

Rule 1: only scalars pass, and flat lists of them. Anything else is shown as the name of its type, so that a mapping, a
        request, or an object with a talkative repr cannot bring a secret along.
Rule 2: under a name that looks like the name of a secret, nothing passes, whatever it is.
Rule 3: an exception is shown as the name of its type, and tracebacks and stacks are left out, because texts and local
        variables may hold a secret.
Rule 4: a text passes as one printable line, so that it can neither forge another line nor control a terminal.
"""

import math
import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from secrets_actor.domain.secret import MASK

Scalar = str | int | float | bool | None
Fact = Scalar | list[Scalar]

# Compared with a name in small letters and without separators: SecretString, secret_string and secret-string are alike.
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


def redact(facts: Mapping[str, object]) -> dict[str, Fact]:
    """Return those of the *facts* that may be shown, each as it may be shown."""
    return {name: shown(name, fact) for name, fact in facts.items() if name not in _LEFT_OUT}


def shown(name: str, fact: object) -> Fact:
    """Return *fact* as it may be shown under *name*."""
    if looks_secret(name):
        return MASK
    if isinstance(fact, list | tuple):
        return [scalar(one) for one in fact]
    return scalar(fact)


def scalar(fact: object) -> Scalar:
    """Return a scalar as it is, plain and printable; for anything else return the name of its type."""
    # The methods below are those of str, int and float themselves: a subclass may print anything it likes.
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
    """Return *text* with every character escaped that does not print: line ends, terminal controls, lone surrogates."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def looks_secret(name: str) -> bool:
    """Whether a fact of this *name* may be a value, a key or a token."""
    bare = _SEPARATORS.sub("", name.lower())
    return bare.endswith(_FORBIDDEN_ENDINGS) or any(part in bare for part in _FORBIDDEN_PARTS)


def in_order(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Return the event with timestamp, level and event first, and then the facts in their order. This is a structlog
    processor."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}
