"""The metrics of a tree: counters of its life-cycle events, and gauges of its processes and its cache.

They stand apart from `wiring.py`, which makes objects and decides nothing: here is decided what is counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.endpoint_breakers import BreakerOpened
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import Meter, Reading
from secrets_actor.otp import LifecycleEvent, Node
from secrets_actor.otp.events import ChildRestarted, ProcessCrashed

# The processes whose mailboxes are measured: those that have names. A hosted tree has the same names.
_NAMES: Final = ("audit", "prefetches", "secrets", "subscribers", "timers", "workers")


class EventCounter:
    """An observer that counts life-cycle events on *meter*."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter

    def __call__(self, event: LifecycleEvent, /) -> None:
        """Count *event*, if it is a restart, a crash, or the opening of a breaker."""
        if isinstance(event, ChildRestarted):
            self._meter.count(metrics.RESTARTS, event.child)
        elif isinstance(event, ProcessCrashed):
            self._meter.count(metrics.CRASHES, event.process)
        elif isinstance(event, BreakerOpened):
            self._meter.count(metrics.BREAKER_OPENED)


def register_gauges(meter: Meter, node: Node, cache: Cache, subscriptions: Subscriptions) -> None:
    """Register the gauges of a tree with *meter*, which reads them whenever somebody asks for the metrics."""

    def read() -> Iterable[Reading]:
        yield metrics.ENTRIES, (), len(cache)
        yield metrics.BYTES, (), cache.size
        yield metrics.SUBSCRIPTIONS, (), len(subscriptions.numbers)
        yield metrics.DISOWNED, (), len(node.disowned)
        for name in _NAMES:
            pid = node.registry.whereis(name)
            if pid is not None:
                yield metrics.MAILBOX, (name,), len(pid.mailbox)

    meter.watch("tree", read)
