"""Which store is in force. Made outside the actor, so that it outlives it.

Rule: a worker belongs to the store that was in force when it was made, and says so; the actor gives no new job to one
of an earlier store. So a change drains the old workers, and nobody's call is lost.
"""

from __future__ import annotations

from secrets_actor.domain.ports import BackendKit


class PresentKit:
    """The kit in force, and its number. Any thread reads; only a change of the configuration writes."""

    def __init__(self, kit: BackendKit) -> None:
        self._now = (0, kit)

    @property
    def now(self) -> tuple[int, BackendKit]:
        """The number of the kit, which grows with every change, and the kit."""
        return self._now

    @property
    def kit(self) -> BackendKit:
        """The kit."""
        return self._now[1]

    def replace(self, kit: BackendKit) -> None:
        """From now on *kit*."""
        self._now = (self._now[0] + 1, kit)

    def __repr__(self) -> str:
        return f"<PresentKit [{self.kit.name}, number {self._now[0]}]>"
