"""The face for asyncio of a system: made when it is first named, so that a program of threads never loads asyncio.

What blocks runs in a thread of its own, and the loop goes on. Who is cancelled while he waits for it waits no longer; a
start or a stop that has begun is carried to its end all the same.
"""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from secrets_actor.client.front import Parts
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.client.async_secrets import AsyncSecrets


class AsyncFace:
    """The part of `System` that knows it."""

    _face: Parts
    _async_secrets: AsyncSecrets | None = None

    def start(self) -> Self:
        """See `System.start`."""
        raise NotImplementedError

    def stop(self, timeout: float = 10.0, *, drain: float = 0.0) -> None:
        """See `System.stop`."""
        raise NotImplementedError

    @property
    def async_secrets(self) -> AsyncSecrets:
        """The client for coroutines; any number of event loops may share it."""
        if self._async_secrets is None:
            with loading():
                from secrets_actor.client.async_secrets import AsyncSecrets

                self._async_secrets = self._async_secrets or AsyncSecrets(self._face)
        return self._async_secrets

    async def start_async(self) -> Self:
        """As `start`, without blocking the loop."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        return await in_a_thread(self.start)

    async def stop_async(self, timeout: float = 10.0, *, drain: float = 0.0) -> None:
        """As `stop`, without blocking the loop: what is under way on it is finished within *drain* seconds. If it is
        cancelled, the system is stopped all the same."""
        with loading():
            from secrets_actor.client.aio import in_a_thread

        await in_a_thread(lambda: self.stop(timeout, drain=drain))

    async def __aenter__(self) -> Self:
        return await self.start_async()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_async()
