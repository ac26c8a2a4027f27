"""The counters of one system, and the picture of them.

Rule 1: any thread counts, and a signal handler in the middle of counting: there is no lock. An addition in place is no
        call, so nobody comes between its reading and its writing. A cached get is counted where its record waits.
Rule 2: no metric has more than `MAX_SERIES` series; what would be the next one counts as `other`.
Rule 3: gauges are asked for when somebody looks. One who cannot answer is left out.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable
from itertools import accumulate
from typing import Final

from secrets_actor.domain.metrics import (
    ALL,
    OTHER,
    Metric,
    MetricFamily,
    MetricKind,
    Metrics,
    MetricSample,
    Reading,
    word,
)
from secrets_actor.forks import on_fork

# Operations times error codes, and some.
MAX_SERIES: Final = 1000
Labels = tuple[str, ...]
Read = Callable[[], Iterable[Reading]]


class _Spread:
    """One series of a histogram."""

    __slots__ = ("counts", "seconds")

    def __init__(self, metric: Metric) -> None:
        self.counts, self.seconds = [0] * (len(metric.bounds) + 1), 0.0


class Meters:
    """The Meter of a system."""

    def __init__(self) -> None:
        self._watched: dict[str, Read] = {}
        self.forget()
        on_fork(self)

    def forget(self) -> None:
        """In the child of a fork: nothing has been counted yet."""
        self._counts: dict[str, dict[Labels, float]] = {}  # by the metrics' names
        self._spreads: dict[str, dict[Labels, _Spread]] = {}

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """*by* more."""
        series = self._counts.setdefault(metric.name, {})
        if labels not in series:
            labels = _admitted(metric, labels, series)
            series.setdefault(labels, 0)
        series[labels] += by  # rule 1

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """One that took *seconds*."""
        series = self._spreads.setdefault(metric.name, {})
        if labels not in series:
            labels = _admitted(metric, labels, series)
            series.setdefault(labels, _Spread(metric))
        spread, at = series[labels], bisect_left(metric.bounds, seconds)
        spread.counts[at] += 1  # rule 1
        spread.seconds += seconds

    def watch(self, owner: str, read: Read) -> None:
        """Ask *read* whenever somebody looks."""
        self._watched[owner] = read

    def picture(self) -> Metrics:
        """All of it, as it is now."""
        sums = {name: series.copy() for name, series in self._counts.copy().items()}
        spread = {
            name: tuple(_sample(labels, one) for labels, one in sorted(series.copy().items()))
            for name, series in self._spreads.copy().items()
        }
        for metric, labels, value in self._readings():
            series = sums.setdefault(metric.name, {})
            admitted = _admitted(metric, labels, series)
            series[admitted] = series.get(admitted, 0) + value
        return Metrics(
            tuple(
                MetricFamily(metric, spread.get(metric.name, ()))
                if metric.kind is MetricKind.HISTOGRAM
                else MetricFamily(metric, _samples(metric, sums.get(metric.name, {})))
                for metric in ALL
            )
        )

    def _readings(self) -> Iterable[Reading]:
        for read in tuple(self._watched.values()):
            try:
                yield from tuple(read())
            except Exception:  # noqa: BLE001, S112 - rule 3: what it reads is another thread's, and may be changing
                continue


def _admitted(metric: Metric, labels: Labels, series: Collection[Labels]) -> Labels:
    found = tuple(map(word, labels))
    if len(found) != len(metric.labels) or (found not in series and len(series) >= MAX_SERIES):
        return (OTHER,) * len(metric.labels)
    return found


def _samples(metric: Metric, series: dict[Labels, float]) -> tuple[MetricSample, ...]:
    """Sorted; one without labels is there from the start."""
    if not metric.labels:
        series = {(): 0, **series}
    return tuple(MetricSample(labels, value) for labels, value in sorted(series.items()))


def _sample(labels: Labels, spread: _Spread) -> MetricSample:
    upto = tuple(accumulate(spread.counts.copy()))
    return MetricSample(labels, upto[-1], spread.seconds, upto)
