"""What can be seen of a system while it runs."""

from __future__ import annotations

from secrets_actor.domain.errors import StartFailed
from secrets_actor.domain.metrics import Metrics
from secrets_actor.forks import notice_fork
from secrets_actor.otp import Pid, Tree, snapshot
from secrets_actor.runtime.wiring import Parts


class Looking:
    """Part of System."""

    _root: Pid | None
    _parts: Parts

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def tree(self) -> Tree:
        """The tree as it is now; its `str` is a drawing. Raises `StartFailed` if it was never started."""
        if self._root is None:
            raise StartFailed("the system has not been started")
        self._is_ready()
        return snapshot(self._root)

    def whereis(self, name: str) -> Pid | None:
        """The process that is registered as *name* now: `secrets`, `workers`, `audit`, `timers`."""
        self._is_ready()
        return self._parts.node.registry.whereis(name)

    def metrics(self) -> Metrics:
        """What was counted since the system was made, and what its gauges show now, as in
        `metrics().value("secrets_actor_cache_hits")`. The names are those of `domain/metrics.py`."""
        notice_fork()
        return self._parts.meters.picture()
