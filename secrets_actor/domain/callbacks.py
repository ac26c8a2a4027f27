"""Functions that a program gives us to call: which of them want somebody to await them. PURE.

Rule 1: a coroutine function is awaited where there is a loop to do it. Where there is none it is refused, when it is
        given.
Rule 2: what cannot be told from outside, such as a lambda that makes a coroutine, is told by what it returns. Nothing
        is dropped without a word: a coroutine that nobody runs is an error of who gave the function.
Rule 3: a future or a task that a function returns runs by itself, and is nobody's concern here.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from functools import partial
from typing import Final, TypeVar

from secrets_actor.domain.errors import InvalidParameter

T = TypeVar("T")
# Of a code object: made by `async def`, by `types.coroutine`, or by `async def` with a `yield` (inspect.CO_...).
_ASYNC: Final = 0x80 | 0x100 | 0x200
_REFUSED: Final = "a plain function: nobody would await a coroutine here (async_secrets awaits what can be awaited)"


def is_async(given: object) -> bool:
    """Whether *given* is a coroutine function: by itself, as a method, in a partial, or as an object that is called."""
    while isinstance(given, partial):
        given = given.func
    for one in (given, getattr(type(given), "__call__", None)):  # noqa: B004  not whether it can be called: by what
        code = getattr(getattr(one, "__func__", one), "__code__", None)
        if code is not None and getattr(code, "co_flags", 0) & _ASYNC:
            return True
    return False


def plain(name: str, given: T) -> T:
    """*given*, the parameter *name*. Raises `InvalidParameter` for a coroutine function."""
    if is_async(given):
        raise InvalidParameter(name, _REFUSED)
    return given


def done(name: str, result: T) -> T:
    """What the function *name* returned. Raises `InvalidParameter` if that has yet to be run."""
    if not isinstance(result, (Coroutine, AsyncGenerator, Generator)):
        return result
    if not isinstance(result, AsyncGenerator):
        result.close()  # so that Python does not tell as well that it was never awaited
    raise InvalidParameter(name, _REFUSED)
