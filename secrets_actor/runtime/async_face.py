"""The face for asyncio of a system: made when it is first named, so that a program of threads never loads asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from secrets_actor.client.front import Parts
from secrets_actor.forks import loading

if TYPE_CHECKING:
    from secrets_actor.client.async_secrets import AsyncSecrets


class AsyncFace:
    """The part of `System` that knows it."""

    _face: Parts
    _async_secrets: AsyncSecrets | None = None

    @property
    def async_secrets(self) -> AsyncSecrets:
        """The client for coroutines; any number of event loops may share it."""
        if self._async_secrets is None:
            with loading():
                from secrets_actor.client.async_secrets import AsyncSecrets

                self._async_secrets = self._async_secrets or AsyncSecrets(self._face)
        return self._async_secrets
