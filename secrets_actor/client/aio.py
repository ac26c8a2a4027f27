"""THE door to asyncio: waiting in a coroutine for a handle that a process of ours will settle, in a thread of its own.

Rule 1: no thread is started, and the loop is never blocked: whoever settles the handle rings the waiter's loop.
Rule 2: who stops waiting, cancelled or out of time, says so: he settles the handle, and nobody begins his work.
Rule 3: a loop that was closed meanwhile is no trouble to who settles. What was asked there stands until its deadline.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TypeVar

from secrets_actor.otp import CallTimeout, From

T = TypeVar("T")


async def settled(handle: From[T], seconds: float) -> T:
    """The answer. Raises the error that *handle* failed with, or `CallTimeout` after *seconds*, as `From.wait` does."""
    if not handle.settled:
        if seconds > 0:
            await _rung(handle, seconds)
        else:
            handle.fail(_late(seconds))
    return handle.result()


async def _rung(handle: From[T], seconds: float) -> None:
    loop = asyncio.get_running_loop()
    awake = loop.create_future()

    def wake() -> None:
        if not awake.done():
            awake.set_result(None)

    def ring(_: From[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there
            loop.call_soon_threadsafe(wake)

    handle.on_settled(ring)
    alarm = loop.call_later(seconds, lambda: handle.fail(_late(seconds)))
    try:
        await awake
    finally:
        alarm.cancel()
        if not handle.settled:
            handle.fail(CallTimeout("the caller was cancelled"))


def _late(seconds: float) -> CallTimeout:
    return CallTimeout(f"no answer within {seconds:.3g} seconds")
