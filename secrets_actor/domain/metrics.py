"""The metrics of a system, the port that counts them, and a snapshot of their values. PURE.

Rule 1: a label's value is a word of ours: an operation, an error's code, a state, a process of the tree, a status.
        There are few of them. The name of a secret, a value, a key or a token is never one; a text that does not look
        like a word of ours is shown as `other`.
Rule 2: a snapshot is frozen. Its units are those of Prometheus: seconds, bytes, and totals since the system was made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final, Protocol

from msgspec import Struct

OTHER: Final = "other"
_WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,39}|[1-5][0-9]{2}")


class MetricKind(StrEnum):
    """The kind of a metric: a counter only grows, a gauge goes up and down, a histogram counts durations."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(Struct, frozen=True):
    """One metric: its name, without the ending `_total` of a counter, its help text, and the names of its labels.

    *bounds* are the upper bounds of a histogram's buckets, in seconds, except the last bucket, which has none.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


class MetricSample(Struct, frozen=True):
    """One series of a metric: the values of the metric's labels, and the number that it stands at.

    For a histogram `value` is the number of observations, `sum` their seconds in all, and `buckets` how many of them
    took no longer than each bound.
    """

    labels: tuple[str, ...]
    value: float
    sum: float = 0.0
    buckets: tuple[int, ...] = ()


class MetricFamily(Struct, frozen=True):
    """All series of one metric, sorted by their labels."""

    metric: Metric
    samples: tuple[MetricSample, ...]


class Metrics(Struct, frozen=True):
    """All metrics of a system at one moment, in the order of `ALL`."""

    families: tuple[MetricFamily, ...]

    def __iter__(self) -> Iterator[MetricFamily]:
        return iter(self.families)

    def value(self, name: str, *labels: str) -> float:
        """Return the sum of the series of metric *name* whose labels begin with *labels*.

        Raises `KeyError` if there is no such metric.
        """
        for family in self.families:
            if family.metric.name == name:
                return sum(one.value for one in family.samples if one.labels[: len(labels)] == labels)
        raise KeyError(f"there is no metric {name}; iterate over the snapshot for all of them")


def word(label: object) -> str:
    """Return *label* if it looks like a word of ours, else `other` (rule 1)."""
    text = str(label) if isinstance(label, str) else ""
    return text if _WORD.fullmatch(text) else OTHER


# A gauge, the values of its labels, and the number that it stands at.
Reading = tuple[Metric, tuple[str, ...], float]


class Meter(Protocol):
    """The port that counts. Any thread may call it. It never blocks and never raises."""

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Add *by* to the counter *metric*."""

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Add an observation of *seconds* to the histogram *metric*."""

    def watch(self, owner: str, read: Callable[[], Iterable[Reading]]) -> None:
        """Have *read* called whenever somebody reads the gauges, in the reader's thread.

        It replaces the function that *owner* gave before: a restarted process registers its gauges again.
        """


class NoMeter:
    """A meter that counts nothing."""

    def count(self, metric: Metric, *labels: str, by: int = 1) -> None:
        """Do nothing."""

    def observe(self, metric: Metric, seconds: float, *labels: str) -> None:
        """Do nothing."""

    def watch(self, owner: str, read: Callable[[], Iterable[Reading]]) -> None:
        """Do nothing."""


NO_METER: Final = NoMeter()

# Seconds. A store nearby answers in milliseconds, AWS in tens of them; an attempt ends after 5 s, a call after 10 s.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def _counter(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"secrets_actor_{name}", MetricKind.COUNTER, help, labels)


def _gauge(name: str, help: str, *labels: str) -> Metric:
    return Metric(f"secrets_actor_{name}", MetricKind.GAUGE, help, labels)


ANSWERS: Final = _counter(
    "answers", "Operations that were answered or refused, cached gets among them", "operation", "outcome"
)
HITS: Final = _counter("cache_hits", "Gets answered from the cache")
MISSES: Final = _counter("cache_misses", "Gets that the cache could not answer, so that the store was asked")
NEGATIVE_HITS: Final = _counter(
    "cache_negative_hits", "Gets refused by the cache, because the store said recently that there is no such secret"
)
STALE: Final = _counter("stale_answers", "Gets answered with a value past its TTL, because the store could not answer")
JOINED: Final = _counter(
    "flights_joined", "Gets that share the answer of an earlier get of the same secret, which was still under way"
)
UPSTREAM: Final = _counter("upstream_calls", "Operations that workers carried out at the store", "operation", "outcome")
UPSTREAM_SECONDS: Final = Metric(
    "secrets_actor_upstream_duration_seconds",
    MetricKind.HISTOGRAM,
    "Seconds that an operation took at the store",
    ("operation",),
    BOUNDS,
)
RETRIES: Final = _counter(
    "retries", "Attempts that repeat a failed attempt, by the outcome of the failed one", "outcome"
)
THROTTLES: Final = _counter("throttles", "Attempts that the store throttled")
RESENT: Final = _counter(
    "jobs_resent", "Jobs sent to a worker again: it had crashed, its credentials were refused, or its time was over"
)
BREAKER: Final = _gauge(
    "breaker_state", "1 for the state that the circuit breaker is in, 0 for the other states", "state"
)
BREAKER_OPENED: Final = _counter("breaker_opened", "Times the circuit breaker opened")
REFRESHES: Final = _counter(
    "refreshes", "Refreshes of secrets before their TTL ends (ahead), and of credentials", "what", "outcome"
)
CREDENTIALS: Final = _gauge(
    "credentials", "Seconds since 1970 of the end of the store's credentials, and of their next renewal", "moment"
)
RESTARTS: Final = _counter("restarts", "Restarts of processes by their supervisors", "process")
CRASHES: Final = _counter("crashes", "Processes that crashed", "process")
WAITING: Final = _gauge("callers_waiting", "Callers that wait for an answer of the secrets actor")
QUEUE: Final = _gauge("pool_queue", "Jobs that wait for a worker")
WORKERS: Final = _gauge("workers", "Workers that are idle, and workers that are busy", "state")
MAILBOX: Final = _gauge("mailbox", "Messages that wait in the mailbox of a process", "process")
DISOWNED: Final = _gauge("disowned_threads", "Threads that still run although their processes were killed")
ENTRIES: Final = _gauge("cache_entries", "Secrets in the cache")
BYTES: Final = _gauge("cache_bytes", "Bytes in the cache, approximately")
AUDIT: Final = _counter(
    "audit_records", "Audit records: written, dropped, or omitted (of gets by a log handler at work)", "fate"
)
AUDIT_WAITING: Final = _gauge("audit_waiting", "Audit records that wait to be written")
EVENTS_LOST: Final = _counter("events_lost", "Life-cycle events that did not reach their receiver", "receiver")
SUBSCRIPTIONS: Final = _gauge("subscriptions", "Subscriptions to secrets")
FACE_REQUESTS: Final = _counter(
    "face_requests",
    "Requests that a face answered, by their HTTP status; of the face systemd, ok or refused",
    "face",
    "status",
)
LISTENER_REFUSALS: Final = _counter(
    "listener_refusals", "Requests and connections that a listener refused before any face saw them", "reason"
)
LISTENER_CONNECTIONS: Final = _gauge("listener_connections", "Connections to the listeners")
WATCHES: Final = _gauge("watches", "Requests to the daemon that wait for a change of a secret")

ALL: Final = (
    *(ANSWERS, HITS, MISSES, NEGATIVE_HITS, STALE, JOINED, UPSTREAM, UPSTREAM_SECONDS, RETRIES, THROTTLES, RESENT),
    *(BREAKER, BREAKER_OPENED, REFRESHES, CREDENTIALS, RESTARTS, CRASHES, WAITING, QUEUE, WORKERS, MAILBOX, DISOWNED),
    *(ENTRIES, BYTES, AUDIT, AUDIT_WAITING, EVENTS_LOST, SUBSCRIPTIONS),
    *(FACE_REQUESTS, LISTENER_REFUSALS, LISTENER_CONNECTIONS, WATCHES),
)
