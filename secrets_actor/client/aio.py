"""THE door to asyncio, for both directions and for blocking work.

`settled`: a coroutine waits for an answer that comes from a thread of ours. `awaited`: a thread of ours has a coroutine
of the program run on the program's loop. `in_a_thread`: a coroutine waits for a function that blocks.

Rule 1: a call starts no thread and never blocks the loop. The thread that settles the handle wakes the waiter's loop.
Rule 2: when a caller's time is over, the timer on its loop fails the handle, so that nobody begins its work. When a
        caller is cancelled, the handle stays open here: the client that made the handle fails it (rule 6 of
        base_client.py), because it also has to tell the actor and to end the trace.
Rule 3: if the waiter's loop has been closed meanwhile, the thread that settles the handle goes on untroubled. A request
        of that loop that is not settled yet stands until its deadline.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, Final, TypeVar

from secrets_actor.coroutines import is_async
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.otp import CallTimeout, From, begin, process_waits

S = TypeVar("S")
T = TypeVar("T")
# Seconds between two checks whether a loop that is to run a callback has been closed: asyncio does not settle the
# futures of a loop that is closed, so a thread that only waited for one would wait for ever.
_LOOK: Final = 1.0


async def settled(handle: From[T], seconds: float | None) -> T:
    """Wait for *handle* and return its answer, as `From.wait` does for threads.

    Raises the error that *handle* failed with, or `CallTimeout` after *seconds* (None: no limit).
    """
    if not handle.settled:
        if seconds is None or seconds > 0:
            await _rung(handle, seconds)
        else:
            handle.fail(_late(seconds))
    return handle.result()


async def in_a_thread(work: Callable[[], T], *, undo: Callable[[], object] | None = None) -> T:
    """Run *work* in a thread of its own, and return or raise what it does.

    If the machine has no thread left, *work* runs here and blocks the loop. If the coroutine is cancelled, it waits no
    longer, and the work goes on. With *undo* it waits for the end of *work* and of *undo*, which is run after it;
    cancelled once more, it waits no longer, and they are run all the same. The thread is a daemon and not one of the
    loop's executor: a work that hangs would keep the program from ending.
    """
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
    try:
        return await settled(handle, None)
    except asyncio.CancelledError:
        if undo is not None:
            await in_a_thread(lambda: _after(handle, undo))
        raise


def _after(handle: From[Any], undo: Callable[[], object]) -> None:
    with suppress(BaseException):  # nobody waits any more for how the work ended
        handle.wait()
    undo()


def awaited(name: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that a thread of ours can call in the place of *callback*, the argument for parameter *name*.

    That function calls *callback* in the thread. If this makes a coroutine, the coroutine runs on the loop that runs
    now, and the thread waits until it has ended. Raises `InvalidParameter` for a coroutine function if no loop runs.
    """
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
    """Run *coroutine* on *loop*, wait, and return or raise what it does. Raises `RuntimeError` if the loop is closed
    before the coroutine has ended."""
    ended = threading.Event()
    with process_waits():  # so that a coroutine which stops the system does not wait for the end of this thread
        try:
            task = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the loop is closed already
            coroutine.close()
            raise
        task.add_done_callback(lambda _: ended.set())
        while not ended.wait(_LOOK):
            if loop.is_closed():
                if isinstance(coroutine, CoroutineType) and getcoroutinestate(coroutine) == CORO_CREATED:
                    coroutine.close()  # it never began: Python would warn, besides our error, that nobody awaited it
                raise RuntimeError("the loop that was to await it was closed")
        return task.result()


def awaitable(name: str, attempt: Callable[[S], Awaitable[T]]) -> Callable[[S], Awaitable[T]]:
    """Return *attempt* as a coroutine function, so that the client can await it. It may be a plain function that
    returns its answer at once. Raises `InvalidParameter` if it cannot be called."""
    if not callable(attempt):
        raise InvalidParameter(name, f"a function, not {type(attempt).__name__}")

    async def call(given: S) -> T:
        result: Any = attempt(given)
        answer: T = await result if isinstance(result, Awaitable) else result
        return answer

    return call


async def _rung(handle: From[T], seconds: float | None) -> None:
    """Wait until *handle* is settled; after *seconds* a timer of the loop settles it."""
    loop = asyncio.get_running_loop()
    awake = loop.create_future()

    def wake() -> None:
        if not awake.done():  # a waiter that was cancelled has ended this future already
            awake.set_result(None)

    def ring(_: From[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
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
