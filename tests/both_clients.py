"""Both clients with one shape, so that the same tests run over either."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from secrets_actor import AsyncSecrets, System

THREADS: Final = "threads"
ASYNCIO: Final = "asyncio"
CLIENTS: Final = (THREADS, ASYNCIO)
PATIENCE: Final = 60.0


class BlockingAsyncSecrets:
    """`AsyncSecrets` for who calls and waits: each call runs in *loop*, in another thread."""

    def __init__(self, secrets: AsyncSecrets, loop: asyncio.AbstractEventLoop) -> None:
        self._secrets, self._loop = secrets, loop

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._secrets, name)
        return lambda *given, **named: self._waited_for(method(*given, **named))

    def _waited_for(self, found: Any) -> Any:
        if isinstance(found, AsyncSecrets):
            return BlockingAsyncSecrets(found, self._loop)
        if isinstance(found, AsyncIterator):
            return self._each(found)
        return self._run(found) if inspect.isawaitable(found) else found

    def _each(self, many: AsyncIterator[Any]) -> Iterator[Any]:
        end = object()
        while (one := self._run(anext(many, end))) is not end:
            yield one

    def _run(self, awaitable: Awaitable[Any]) -> Any:
        async def wait() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(wait(), self._loop).result(PATIENCE)

    def __repr__(self) -> str:
        return repr(self._secrets)


class SystemWith:
    """*system*, of which `secrets` is another face."""

    def __init__(self, system: System, secrets: Any) -> None:
        self.secrets, self._system = secrets, system

    def __getattr__(self, name: str) -> Any:
        return getattr(self._system, name)


@contextmanager
def loop_thread() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()


@contextmanager
def seen_through(face: str) -> Iterator[Callable[[System], Any]]:
    """What makes of a system one that is used through *face*."""
    if face == THREADS:
        yield lambda system: system
        return
    with loop_thread() as loop:
        yield lambda system: SystemWith(system, BlockingAsyncSecrets(system.async_secrets, loop))
