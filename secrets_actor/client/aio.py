"""THE door to asyncio: waiting in a coroutine for a handle that a process of ours will settle, in a thread of its own;
running a coroutine of the program's on its loop for a thread of ours; and waiting for what blocks.

Rule 1: for a call no thread is started, and the loop is never blocked: whoever settles the handle rings the waiter's
        loop.
Rule 2: a caller whose time is up settles the handle, and nobody begins its work. A caller that is cancelled leaves here
        with the handle open: whoever made the handle settles it (rule 6 of base_client.py), for there is more to do.
Rule 3: a loop that was closed meanwhile is no trouble to the thread that settles. What was asked there stands until its
        deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, Final, TypeVar

from secrets_actor.domain.callbacks import is_async
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.otp import CallTimeout, From, begin

S = TypeVar("S")
T = TypeVar("T")
# Seconds between two looks at whether a loop that is to run a callback has been closed.
_LOOK: Final = 1.0


async def settled(handle: From[T], seconds: float | None) -> T:
    """The answer. Raises the error that *handle* failed with, or `CallTimeout` after *seconds* (None: never), as
    `From.wait` does."""
    if not handle.settled:
        if seconds is None or seconds > 0:
            await _rung(handle, seconds)
        else:
            handle.fail(_late(seconds))
    return handle.result()


async def in_a_thread(work: Callable[[], T]) -> T:
    """What *work* returns, in a thread of its own; or here, blocking the loop, where no thread is to be had. A
    coroutine that is cancelled waits no longer, and the work goes on. Raises what it raises."""
    handle: From[T] = From()

    def run() -> None:
        try:
            answer = work()
        except BaseException as error:  # noqa: BLE001  it is raised where it is awaited
            handle.fail(error)
        else:
            handle.reply(answer)

    if not begin(threading.Thread(target=run, name="secrets_actor, for a coroutine", daemon=True)):
        run()
    return await settled(handle, None)


def awaited(name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    """*callback*, the parameter *name*, for a thread of ours: it comes back when the coroutine that *callback* makes
    has ended on the loop that runs now. What a plain function does is done in that thread. Raises `InvalidParameter`
    for a coroutine function where no loop runs."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        if is_async(callback):
            raise InvalidParameter(name, "a plain function, or a coroutine that a running loop can await") from None
        return callback
    if not callable(callback):
        return callback

    def call(*given: Any) -> object:
        result = callback(*given)
        return _on_loop(loop, result) if isinstance(result, Coroutine) else result

    return call


def _on_loop(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, object]) -> object:
    """What *coroutine* returns on *loop*. Raises what it raises, and `RuntimeError` when the loop is closed before."""
    ended = threading.Event()
    try:
        task = asyncio.run_coroutine_threadsafe(coroutine, loop)
    except RuntimeError:  # closed
        coroutine.close()
        raise
    task.add_done_callback(lambda _: ended.set())
    while not ended.wait(_LOOK):
        if loop.is_closed():
            if isinstance(coroutine, CoroutineType) and getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()  # it never began: Python would warn that nobody awaited it, too
            raise RuntimeError("the loop that was to await it was closed")
    return task.result()


def awaitable(_name: str, attempt: Callable[[S], Awaitable[T]]) -> Callable[[S], Awaitable[T]]:
    """*attempt* as a coroutine function, which it is mostly."""

    async def call(given: S) -> T:
        result: Any = attempt(given)
        answer: T = await result if isinstance(result, Awaitable) else result
        return answer

    return call


async def _rung(handle: From[T], seconds: float | None) -> None:
    loop = asyncio.get_running_loop()
    awake = loop.create_future()

    def wake() -> None:
        if not awake.done():
            awake.set_result(None)

    def ring(_: From[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there
            loop.call_soon_threadsafe(wake)

    handle.on_settled(ring)
    timer = None if seconds is None else loop.call_later(seconds, lambda: handle.fail(_late(seconds)))
    try:
        await awake
    finally:
        if timer is not None:
            timer.cancel()


def _late(seconds: float | None) -> CallTimeout:
    return CallTimeout(f"no answer within {seconds or 0.0:.3g} seconds")
