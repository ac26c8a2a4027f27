"""Refuses what a program gives as a function and is none, or makes a coroutine that no loop here could await. PURE.

Rule 1: a coroutine function is awaited where a loop can do that. Where there is no loop, the function is refused as
        soon as it is given.
Rule 2: some functions do not show from outside that they make a coroutine, such as a lambda. They are recognised by
        what they return.
"""

from __future__ import annotations

from typing import Final, TypeVar

from secrets_actor.coroutines import closed, is_async
from secrets_actor.domain.errors import InvalidParameter

T = TypeVar("T")
_REFUSED: Final = "a plain function: nobody would await a coroutine here (async_secrets awaits what can be awaited)"


def plain(name: str, given: T) -> T:
    """Return *given*, the argument of parameter *name*. Raises `InvalidParameter` if it is a coroutine function."""
    if is_async(given):
        raise InvalidParameter(name, _REFUSED)
    return given


def required(name: str, given: T) -> T:
    """Return *given* as `plain` does. Raises `InvalidParameter` also if it cannot be called."""
    if not callable(given):
        raise InvalidParameter(name, f"a function, not {type(given).__name__}")
    return plain(name, given)


def optional(name: str, given: T) -> T:
    """Return *given* as `required` does, or None."""
    return given if given is None else required(name, given)


def done(name: str, result: T) -> T:
    """Return *result*, which the function *name* returned. Raises `InvalidParameter` if it is a coroutine (rule 2)."""
    if closed(result):
        raise InvalidParameter(name, _REFUSED)
    return result
