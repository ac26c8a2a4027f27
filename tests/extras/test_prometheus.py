"""A system's metrics as Prometheus reads them."""

import math

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from secrets_actor import SecretNotFound
from secrets_actor.domain.metrics import ALL, MetricKind
from secrets_actor.extras.prometheus import SystemCollector
from secrets_actor.testing import fake_system


def test_a_scrape_tells_what_the_system_counted() -> None:
    registry = CollectorRegistry()
    with fake_system() as (system, store):
        registry.register(SystemCollector(system))
        store.put("db/password", "hunter2-hunter2")
        for _ in range(4):
            system.secrets.get("db/password")
        with pytest.raises(SecretNotFound):
            system.secrets.get("none")
        metrics, scraped = system.metrics(), generate_latest(registry).decode()

    families = {one.name: one for one in text_string_to_metric_families(scraped)}
    assert set(families) == {metric.name for metric in ALL}
    for family in metrics:
        read, kind = families[family.metric.name], family.metric.kind
        assert (read.type, read.documentation) == (kind.value, family.metric.help)
        if kind is not MetricKind.HISTOGRAM:
            told = {tuple(one.labels.values()): one.value for one in read.samples}
            assert told == {one.labels: one.value for one in family.samples}
    assert registry.get_sample_value("secrets_actor_cache_hits_total") == 3
    labels = {"operation": "get", "outcome": "not_found"}
    assert registry.get_sample_value("secrets_actor_answers_total", labels) == 1
    assert "hunter2" not in scraped
    assert "db/password" not in scraped


def test_a_histogram_has_its_buckets_its_count_and_its_sum() -> None:
    registry = CollectorRegistry()
    with fake_system() as (system, store):
        registry.register(SystemCollector(system))
        store.put("a", "v")
        system.secrets.get("a")
        text = generate_latest(registry).decode()

    family = next(one for one in text_string_to_metric_families(text) if one.type == "histogram")
    buckets = [float(one.labels["le"]) for one in family.samples if one.name.endswith("_bucket")]
    assert buckets[-1] == math.inf
    assert buckets == sorted(buckets)
    name = "secrets_actor_upstream_duration_seconds"
    ended = [registry.get_sample_value(f"{name}_{what}", {"operation": "get"}) for what in ("count", "sum")]
    assert ended[0] == registry.get_sample_value(f"{name}_bucket", {"operation": "get", "le": "+Inf"}) == 1
    assert ended[1] is not None
    assert 0 < ended[1] < 60


def test_a_stopped_system_can_be_scraped() -> None:
    registry = CollectorRegistry()
    with fake_system() as (system, _):
        registry.register(SystemCollector(system))

    assert registry.get_sample_value("secrets_actor_cache_hits_total") == 0
