"""Which store is in force. Made outside the actor, so that it outlives it.

Rule: a worker belongs to the store that was in force when it was made, and says so; the actor gives no new job to one
of an earlier store. So a change drains the old workers, and nobody's call is lost.
"""

from __future__ import annotations

from secrets_actor.domain.ports import BackendFactory


class CurrentBackend:
    """The factory in force, and its number. Any thread reads; only a change of the configuration writes."""

    def __init__(self, factory: BackendFactory) -> None:
        self._now = (0, factory)

    @property
    def now(self) -> tuple[int, BackendFactory]:
        """The number of the factory, which grows with every change, and the factory."""
        return self._now

    @property
    def factory(self) -> BackendFactory:
        """The factory."""
        return self._now[1]

    def replace(self, factory: BackendFactory) -> None:
        """From now on *factory*."""
        self._now = (self._now[0] + 1, factory)

    def __repr__(self) -> str:
        return f"<CurrentBackend [{self.factory.name}, number {self._now[0]}]>"
