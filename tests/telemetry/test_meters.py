"""Counting: from many threads, within bounds, and never a word that is not ours."""

from concurrent.futures import ThreadPoolExecutor

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import OTHER, MetricFamily
from secrets_actor.telemetry.meters import MAX_SERIES, Meters


def family(meters: Meters, name: str) -> MetricFamily:
    return next(one for one in meters.snapshot() if one.metric.name == f"secrets_actor_{name}")


def test_a_new_one_has_all_metrics_and_nothing_counted() -> None:
    snapshot = Meters().snapshot()

    assert tuple(one.metric for one in snapshot) == metrics.ALL
    assert all(snapshot.value(one.metric.name) == 0 for one in snapshot)
    assert snapshot == Meters().snapshot()


def test_counts_add_up_by_their_labels_from_any_thread() -> None:
    meters = Meters()
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(lambda n=number: [meters.count(metrics.ANSWERS, "get", f"o{n % 2}", by=2) for _ in range(500)])

    assert [(one.labels, one.value) for one in family(meters, "answers").samples] == [
        (("get", "o0"), 4000),
        (("get", "o1"), 4000),
    ]


def test_what_is_no_word_of_ours_is_other() -> None:
    meters = Meters()
    meters.count(metrics.ANSWERS, "get", "hunter2-HUNTER2")
    meters.count(metrics.ANSWERS, "get", "hunter3-HUNTER3")
    meters.count(metrics.ANSWERS, "get")  # one label too few

    assert "hunter" not in repr(meters.snapshot()).lower()
    assert [(one.labels, one.value) for one in family(meters, "answers").samples] == [
        (("get", OTHER), 2),
        ((OTHER, OTHER), 1),
    ]


def test_there_are_only_so_many_series() -> None:
    meters = Meters()
    for number in range(MAX_SERIES + 50):
        meters.count(metrics.ANSWERS, "get", f"o{number}")
    meters.count(metrics.ANSWERS, "get", "o3")

    samples = {one.labels: one.value for one in family(meters, "answers").samples}
    assert len(samples) == MAX_SERIES + 1
    assert samples[OTHER, OTHER] == 50
    assert samples["get", "o3"] == 2


def test_a_histogram_tells_how_many_took_no_longer() -> None:
    meters = Meters()
    for seconds in (0.0005, 0.001, 0.02, 7.0, 100.0):
        meters.observe(metrics.UPSTREAM_SECONDS, seconds, "get")

    (one,) = family(meters, "upstream_duration_seconds").samples
    assert (one.labels, one.value, round(one.sum, 4)) == (("get",), 5, 107.0215)
    assert dict(zip((*metrics.BOUNDS, "inf"), one.buckets, strict=True)) == {
        0.001: 2, 0.0025: 2, 0.005: 2, 0.01: 2, 0.025: 3, 0.05: 3, 0.1: 3, 0.25: 3, 0.5: 3, 1.0: 3, 2.5: 3, 5.0: 3,
        10.0: 4, "inf": 5,
    }  # fmt: skip


def test_gauges_are_read_when_somebody_looks_and_added_to_what_was_counted() -> None:
    meters = Meters()
    hits = 5
    meters.count(metrics.HITS)
    meters.watch("trail", lambda: [(metrics.HITS, (), hits)])
    assert meters.snapshot().value("secrets_actor_cache_hits") == 6
    hits = 7
    assert meters.snapshot().value("secrets_actor_cache_hits") == 8


def test_the_last_to_say_so_answers_for_an_owner_and_who_cannot_is_left_out() -> None:
    meters = Meters()
    meters.watch("actor", lambda: [(metrics.WAITING, (), 1)])
    meters.watch("actor", lambda: [(metrics.WAITING, (), 2)])
    meters.watch("broken", lambda: [(metrics.QUEUE, (), 1 / 0)])

    snapshot = meters.snapshot()
    assert (snapshot.value("secrets_actor_callers_waiting"), snapshot.value("secrets_actor_pool_queue")) == (2, 0)


def test_a_fork_begins_at_nothing() -> None:
    meters = Meters()
    meters.count(metrics.HITS)
    meters.observe(metrics.UPSTREAM_SECONDS, 1.0, "get")
    meters.forget()

    assert meters.snapshot() == Meters().snapshot()
