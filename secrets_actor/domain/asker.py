"""Who asks: what travels with a call, and is not part of the question."""

from __future__ import annotations

from secrets_actor.domain.journey import Journey


class Asker:
    """*label* is what the asking part of the program calls itself, for the audit log; `recorded` is set by whoever
    writes the audit record of this call, so that it is written once; `taken` by the secrets actor when it has taken the
    call up, and what was in memory of a secret that is written is gone; `journey` is there if somebody traces it."""

    __slots__ = ("__weakref__", "journey", "label", "recorded", "taken")

    def __init__(self, label: str | None = None, journey: Journey | None = None) -> None:
        self.label, self.journey = label, journey
        self.recorded = self.taken = False

    def meets(self, problem: str) -> None:
        """An error with this code is in his way, even if there is something stale instead."""
        if self.journey is not None:
            self.journey.problem = problem
