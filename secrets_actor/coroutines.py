"""Tells which functions make coroutines, and which results are coroutines that nobody runs. PURE.

A coroutine that nobody would run is an error: dropped in silence, the program would think that its callback has run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Generator
from functools import partial
from typing import Final

# Flags of a code object that `async def`, `types.coroutine`, or an `async def` with `yield` has made. The values are
# those of CO_COROUTINE, CO_ITERABLE_COROUTINE and CO_ASYNC_GENERATOR in `inspect`.
_ASYNC: Final = 0x80 | 0x100 | 0x200


def is_async(given: object) -> bool:
    """Whether *given* is a coroutine function, a method or partial of one, or an object whose `__call__` is one.

    Some functions do not show from outside that they make a coroutine, such as a lambda: see `closed`.
    """
    while isinstance(given, partial):
        given = given.func
    for one in (given, getattr(type(given), "__call__", None)):  # noqa: B004  the method itself is looked at
        code = getattr(getattr(one, "__func__", one), "__code__", None)
        if code is not None and getattr(code, "co_flags", 0) & _ASYNC:
            return True
    return False


def closed(result: object) -> bool:
    """Whether *result*, which a function returned, is a coroutine or a generator; if so, it is closed now.

    A future or a task is neither: it runs by itself, and is left alone.
    """
    if not isinstance(result, (Coroutine, AsyncGenerator, Generator)):
        return False
    if not isinstance(result, AsyncGenerator):
        result.close()  # else Python warns as well that it was never awaited
    return True
