"""How often is too often. PURE: the time comes in."""

from __future__ import annotations

from secrets_actor.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class RestartWindow:
    """The restarts of one supervisor in the last *period* seconds; more than *intensity* are too many."""

    intensity: int
    period: float
    times: tuple[float, ...] = ()

    def record(self, now: float) -> RestartWindow:
        """With one more restart, at *now*, and without those that have left the window."""
        return replace(self, times=(*self.recent(now), now))

    def recent(self, now: float) -> tuple[float, ...]:
        """Those that are in the window at *now*."""
        return tuple(t for t in self.times if now - t <= self.period)

    @property
    def exceeded(self) -> bool:
        """Whether the supervisor must give up."""
        return len(self.times) > self.intensity
