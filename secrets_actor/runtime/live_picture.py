"""Gathers what the live page shows from the daemon and its system: `faces/live_state.py` says what of it is shown.

It asks no process and no store, so it costs their work nothing; and it is called only while somebody looks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from secrets_actor.actor.cache import Listed
from secrets_actor.clock import wall_time
from secrets_actor.faces.control import Status
from secrets_actor.faces.live_state import (
    MOST_SECRETS,
    LiveFact,
    LiveFile,
    LiveMemory,
    LiveSecret,
    LiveState,
    Moments,
    Rates,
    Tallied,
    callers_of,
    credentials_of,
    gauges_of,
    listeners_of,
    started_at,
    tree_of,
)
from secrets_actor.faces.watchdog import WATCHDOG
from secrets_actor.runtime.system import System, parts_of
from secrets_actor.telemetry.caller_tally import CallerTally

# The watchdog says how many rounds it has made: one more every few seconds.
_COUNTING: Final = frozenset({WATCHDOG})


class LivePicture:
    """Makes the state of one daemon. *status* returns what `secrets-actor status` shows; *began* is when the daemon
    was started, in seconds since 1970."""

    def __init__(
        self, system: System, memory: LiveMemory, tally: CallerTally, status: Callable[[], Status], began: float
    ) -> None:
        self._system, self._memory, self._tally, self._status, self._began = system, memory, tally, status, began
        self._gauge_rates, self._caller_rates = Rates(), Rates()
        self._starts, self._offsets = Moments(), Moments()

    def __call__(self) -> LiveState:
        """Return the state of this moment. For one thread at a time."""
        parts, status, tree, found = parts_of(self._system), self._status(), self._system.tree(), self._system.metrics()
        clock, now = parts.node.clock.now(), wall_time()
        # What to add to clock seconds for seconds since 1970: the same until one of the clocks leaps.
        offset = self._offsets.steady({"offset": now - clock})["offset"]
        tallied = {
            label: Tallied(one.requests, one.refusals, round(one.last + offset, 3))
            for label, one in self._tally.counts.items()
        }
        return LiveState(
            now=now,
            started_at=self._began,
            version=status.version,
            pid=status.pid,
            status=status.status,
            backend=status.backend,
            configuration=status.configuration,
            waits_for=status.waits_for,
            degraded=tuple(LiveFact(one.what, one.detail) for one in status.degraded),
            tree=tree_of(tree, self._starts.steady(started_at(tree, now)), self._memory.crashes, _COUNTING),
            gauges=gauges_of(found, self._gauge_rates, clock),
            secrets=tuple(_secret(one, clock, offset) for one in parts.cache.listing(MOST_SECRETS)),
            secrets_total=len(parts.cache),
            callers=callers_of(tallied, self._caller_rates, clock),
            listeners=listeners_of((one.address, one.faces, one.up, one.traffic) for one in status.listeners),
            credentials=credentials_of(found, status.backend),
            files=tuple(LiveFile(one.path, one.state, one.rendered_at, one.problem or None) for one in status.files),
            events=self._memory.events,
        )


def _secret(listed: Listed, now: float, offset: float) -> LiveSecret:
    return LiveSecret(
        name=listed.name,
        version=listed.version_id,
        stages=listed.stages,
        fetched_at=round(listed.fetched + offset, 3),
        source=listed.origin,
        stale=now >= listed.ends,
        next_refresh=round(listed.due + offset, 3),
    )
