"""THE door to prometheus-client: our metrics as its metric families, and as the text that Prometheus scrapes.

An extra brings that library, so nothing imports this file but who needs it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from secrets_actor.domain.metrics import MetricFamily, MetricKind, Metrics

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST


def text_of(metrics: Metrics) -> bytes:
    """Return *metrics* in the text format of Prometheus. Its media type is `CONTENT_TYPE`."""
    registry = CollectorRegistry()  # one for each scrape: nothing is kept between two of them
    registry.register(_Snapshot(metrics))
    return generate_latest(registry)


class _Snapshot(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        return ()  # no names can be taken twice in a registry with one collector

    def collect(self) -> Iterable[Metric]:
        return families_of(self._metrics)


def families_of(metrics: Metrics) -> list[Metric]:
    """Return all *metrics* as families of prometheus-client."""
    return [_translated(family) for family in metrics]


def _translated(family: MetricFamily) -> Metric:
    metric = family.metric
    if metric.kind is MetricKind.HISTOGRAM:
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        ends = [*map(str, metric.bounds), "+Inf"]
        for sample in family.samples:
            histogram.add_metric(sample.labels, list(zip(ends, sample.buckets, strict=True)), sample.sum)
        return histogram
    made = (CounterMetricFamily if metric.kind is MetricKind.COUNTER else GaugeMetricFamily)(
        metric.name, metric.help, labels=metric.labels
    )
    for sample in family.samples:
        made.add_metric(sample.labels, sample.value)
    return made
