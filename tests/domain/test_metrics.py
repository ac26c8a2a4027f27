"""The picture of what was counted, and what may be a label."""

import re

import pytest

from secrets_actor.domain.metrics import (
    ALL,
    NO_METER,
    OTHER,
    Metric,
    MetricFamily,
    MetricKind,
    Metrics,
    MetricSample,
    word,
)
from secrets_actor.domain.tracing import Attempt, retries


def test_the_metrics_have_names_of_their_own_and_say_what_they_are() -> None:
    names = [metric.name for metric in ALL]

    assert len(set(names)) == len(names)
    for metric in ALL:
        assert re.fullmatch(r"secrets_actor_[a-z_]+", metric.name)
        assert not metric.name.endswith("_total")
        assert metric.help
        assert (metric.kind is MetricKind.HISTOGRAM) == bool(metric.bounds)
        assert list(metric.bounds) == sorted(metric.bounds)


def test_no_label_is_for_the_name_of_a_secret() -> None:
    labels = {label for metric in ALL for label in metric.labels}

    assert labels == {
        *("operation", "outcome", "what", "process", "state", "fate", "receiver"),
        *("face", "status", "reason", "moment"),
    }


@pytest.mark.parametrize("label", ["get", "get_many", "secret_not_found", "a" * 40, "200"])
def test_a_word_of_ours_is_a_label(label: str) -> None:
    assert word(label) == label


@pytest.mark.parametrize("label", ["", "db/password", "hunter2!", "AKIAIOSFODNN7EXAMPLE", "a" * 41, "a\n", None, 3])
def test_anything_else_is_other(label: object) -> None:
    assert word(label) == OTHER


def test_a_picture_is_asked_by_name_and_by_the_first_labels() -> None:
    calls = Metric("calls", MetricKind.COUNTER, "x", ("operation", "outcome"))
    samples = (MetricSample(("get", "ok"), 3), MetricSample(("get", "denied"), 2), MetricSample(("set", "ok"), 7))
    picture = Metrics((MetricFamily(calls, samples),))

    assert [family.metric for family in picture] == [calls]
    assert [picture.value("calls"), picture.value("calls", "get"), picture.value("calls", "get", "ok")] == [12, 5, 3]
    assert picture.value("calls", "delete") == 0
    with pytest.raises(KeyError, match="no metric call; iterate"):
        picture.value("call")
    with pytest.raises(AttributeError, match="immutable"):
        picture.families = ()  # type: ignore[misc]


def test_who_counts_nothing_takes_everything() -> None:
    NO_METER.count(ALL[0], "get", "ok", by=3)
    NO_METER.observe(ALL[0], 1.0, "get")
    assert NO_METER.watch("me", lambda: 1 / 0) is None  # type: ignore[func-returns-value,arg-type,return-value]


def test_a_retry_is_the_same_action_after_a_failure() -> None:
    outcomes = [("Put", "resource_not_found"), ("Create", "throttled"), ("Create", "unreachable"), ("Create", "ok")]
    attempts = [Attempt(name, 1.0, 2.0, outcome) for name, outcome in [*outcomes, ("Create", "ok")]]

    assert retries(attempts) == ["throttled", "unreachable"]
    assert retries([]) == []
