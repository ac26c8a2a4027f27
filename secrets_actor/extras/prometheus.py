"""For prometheus-client: a collector of a system's metrics for its registry. Extra: `prometheus`.

    from prometheus_client import REGISTRY, generate_latest

    import secrets_actor
    from secrets_actor.extras.prometheus import SystemCollector

    with secrets_actor.start() as system:
        REGISTRY.register(SystemCollector(system))
        system.secrets.set("db/password", "correct horse")
        assert b"secrets_actor_answers_total" in generate_latest(REGISTRY)

Each scrape reads the metrics anew; nothing is kept between two scrapes.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from secrets_actor.runtime.system import System
from secrets_actor.telemetry.prometheus import families_of


class SystemCollector(Collector):
    """A collector of *system*'s metrics. If a program has several systems, give each of them a registry of its own,
    because their series have the same names."""

    def __init__(self, system: System) -> None:
        self._system = system

    def describe(self) -> Iterable[Metric]:
        """Return the metrics that `collect` returns. The registry asks for them when the collector is registered, to
        find names that are taken."""
        return self.collect()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics with their present values."""
        return families_of(self._system.metrics())
