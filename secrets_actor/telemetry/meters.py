"""The counters and histograms of one system, and the snapshot of all its metrics that a program can read.

Rule 1: there is no lock, since any thread counts, and a signal handler may count while its own thread does. An addition
        in place contains no call, so no other thread comes between its reading and its writing. A cached get is not
        counted here but in the audit buffer, where it is recorded anyway.
Rule 2: no metric has more than `MAX_SERIES` series. Labels beyond that are counted in the series `other`.
Rule 3: gauges are read only when a snapshot is made. A reader that raises is left out.
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

# More than the number of operations times the number of error codes.
MAX_SERIES: Final = 1000
Labels = tuple[str, ...]
Read = Callable[[], Iterable[Reading]]


class _Histogram:
    """One series of a histogram: how many observations fell between the bounds, and the sum of their seconds."""

    __slots__ = ("counts", "seconds")

    def __init__(self, metric: Metric) -> None:
        self.counts, self.seconds = [0] * (len(metric.bounds) + 1), 0.0


class Meters:
    """The `Meter` of a system."""

    def __init__(self) -> None:
        self._watched: dict[str, Read] = {}
        self.forget()
        on_fork(self)

    def forget(self) -> None:
        """Start from zero: at first, and in the child of a fork."""
        self._counts: dict[str, dict[Labels, float]] = {}  # by the metrics' names
        self._histograms: dict[str, dict[Labels, _Histogram]] = {}

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Add *by* to the series of *metric* with these *labels*."""
        series = self._counts.setdefault(metric.name, {})
        if labels not in series:
            labels = _admitted(metric, labels, series)
            series.setdefault(labels, 0)
        series[labels] += by  # rule 1

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add one observation of *seconds* to the histogram *metric* with these *labels*."""
        series = self._histograms.setdefault(metric.name, {})
        if labels not in series:
            labels = _admitted(metric, labels, series)
            series.setdefault(labels, _Histogram(metric))
        histogram, at = series[labels], bisect_left(metric.bounds, seconds)
        histogram.counts[at] += 1  # rule 1
        histogram.seconds += seconds

    def watch(self, owner: str, read: Read) -> None:
        """Call *read* for every snapshot. It replaces an earlier reader of the same *owner*."""
        self._watched[owner] = read

    def snapshot(self) -> Metrics:
        """Return all metrics as they are now."""
        # Each `copy` is one step, so that threads which count meanwhile change no dictionary under this loop.
        sums = {name: series.copy() for name, series in self._counts.copy().items()}
        histograms = {
            name: tuple(_sample(labels, one) for labels, one in sorted(series.copy().items()))
            for name, series in self._histograms.copy().items()
        }
        for metric, labels, value in self._readings():
            series = sums.setdefault(metric.name, {})
            admitted = _admitted(metric, labels, series)
            series[admitted] = series.get(admitted, 0) + value
        return Metrics(
            tuple(
                MetricFamily(metric, histograms.get(metric.name, ()))
                if metric.kind is MetricKind.HISTOGRAM
                else MetricFamily(metric, _samples(metric, sums.get(metric.name, {})))
                for metric in ALL
            )
        )

    def _readings(self) -> Iterable[Reading]:
        for read in tuple(self._watched.values()):
            try:
                yield from tuple(read())
            except Exception:  # noqa: BLE001, S112 - rule 3: another thread may be changing what the reader reads
                continue


def _admitted(metric: Metric, labels: Labels, series: Collection[Labels]) -> Labels:
    found = tuple(map(word, labels))
    if len(found) != len(metric.labels) or (found not in series and len(series) >= MAX_SERIES):
        return (OTHER,) * len(metric.labels)
    return found


def _samples(metric: Metric, series: dict[Labels, float]) -> tuple[MetricSample, ...]:
    """Return the samples of *series*, sorted. A metric without labels has a sample, 0, before anything was counted."""
    if not metric.labels:
        series = {(): 0, **series}
    return tuple(MetricSample(labels, value) for labels, value in sorted(series.items()))


def _sample(labels: Labels, histogram: _Histogram) -> MetricSample:
    cumulated = tuple(accumulate(histogram.counts.copy()))
    return MetricSample(labels, cumulated[-1], histogram.seconds, cumulated)
