"""Tells which of the functions that a program gives us are coroutine functions, and refuses them. PURE.

Rule 1: a coroutine function is awaited where a loop can do that. Where there is no loop, the function is refused as
        soon as it is given.
Rule 2: some functions do not show from outside that they make a coroutine, such as a lambda. They are recognised by
        what they return. A coroutine that nobody would run is an error: dropped in silence, the program would think
        that its callback has run.
Rule 3: a future or a task that a function returns runs by itself. It is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from functools import partial
from typing import Final, TypeVar

from secrets_actor.domain.errors import InvalidParameter

T = TypeVar("T")
# Flags of a code object that `async def`, `types.coroutine`, or an `async def` with `yield` has made. The values are
# those of CO_COROUTINE, CO_ITERABLE_COROUTINE and CO_ASYNC_GENERATOR in `inspect`.
_ASYNC: Final = 0x80 | 0x100 | 0x200
_REFUSED: Final = "a plain function: nobody would await a coroutine here (async_secrets awaits what can be awaited)"


def is_async(given: object) -> bool:
    """Whether *given* is a coroutine function, a method or partial of one, or an object whose `__call__` is one."""
    while isinstance(given, partial):
        given = given.func
    for one in (given, getattr(type(given), "__call__", None)):  # noqa: B004  the method itself is looked at
        code = getattr(getattr(one, "__func__", one), "__code__", None)
        if code is not None and getattr(code, "co_flags", 0) & _ASYNC:
            return True
    return False


def plain(name: str, given: T) -> T:
    """Return *given*, the argument of parameter *name*. Raises `InvalidParameter` if it is a coroutine function."""
    if is_async(given):
        raise InvalidParameter(name, _REFUSED)
    return given


def done(name: str, result: T) -> T:
    """Return *result*, which the function *name* returned. Raises `InvalidParameter` if it is a coroutine (rule 2)."""
    if not isinstance(result, (Coroutine, AsyncGenerator, Generator)):
        return result
    if not isinstance(result, AsyncGenerator):
        result.close()  # else Python warns as well that it was never awaited
    raise InvalidParameter(name, _REFUSED)
