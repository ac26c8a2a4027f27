"""The current backend: which store is in force. It is made outside the actor, and so outlives the actor's crashes.

Rule: a worker belongs to the store that was in force when the worker was made, and announces itself with that store's
number. The actor gives no new job to a worker of an earlier store. So after a change the old workers finish their jobs
and end, and no call is lost.
"""

from __future__ import annotations

from secrets_actor.domain.ports import BackendFactory


class CurrentBackend:
    """The backend factory in force, and its number. Any thread reads; only a change of the configuration writes."""

    def __init__(self, factory: BackendFactory) -> None:
        # One pair, so that a thread that reads both never gets the number of one factory and another factory.
        self._now = (0, factory)

    @property
    def now(self) -> tuple[int, BackendFactory]:
        """The number of the factory in force, which grows with every change, and the factory itself."""
        return self._now

    @property
    def factory(self) -> BackendFactory:
        """The factory in force."""
        return self._now[1]

    def replace(self, factory: BackendFactory) -> None:
        """Put *factory* into force."""
        self._now = (self._now[0] + 1, factory)

    def __repr__(self) -> str:
        return f"<CurrentBackend [{self.factory.name}, number {self._now[0]}]>"
