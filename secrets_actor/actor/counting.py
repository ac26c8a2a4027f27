"""What the actor and its workers count. The metrics are those of `domain/metrics.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from secrets_actor.actor.breaker import Circuit
from secrets_actor.actor.endpoint_watch import EndpointWatch
from secrets_actor.actor.jobs import FetchCredentials, Job
from secrets_actor.actor.pool import Pool
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import SecretsError, Throttled
from secrets_actor.domain.metrics import Meter, Reading
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.tracing import retries
from secrets_actor.otp import From, GenServer


def kind_of(job: Job | FetchCredentials) -> str:
    """What a worker does, in a word."""
    return job.operation.kind if isinstance(job, Job) else "fetch_credentials"


def count_job(meter: Meter, job: Job | FetchCredentials, ended: str, seconds: float) -> None:
    """A worker has had the store do *job*, which *ended* so (`ok`, an error's code, `crashed`) after *seconds*."""
    kind = kind_of(job)
    meter.count(metrics.UPSTREAM, kind, ended)
    meter.observe(metrics.UPSTREAM_SECONDS, seconds, kind)
    if isinstance(job, Job):
        attempts = job.context.attempts
        for outcome in retries(attempts):
            meter.count(metrics.RETRIES, outcome)
        throttled = sum(one.outcome == Throttled.code for one in attempts)
        if throttled:
            meter.count(metrics.THROTTLES, by=throttled)


def told(meter: Meter, operation: Operation[Any]) -> From[Any]:
    """The handle of *operation*, which nobody waits for. How a refresh ends is counted."""
    caller: From[Any] = From()
    if isinstance(operation, Get) and operation.refresh:
        caller.on_settled(lambda done: count_refresh(meter, "ahead", done.error))
    return caller


def count_refresh(meter: Meter, what: str, error: BaseException | None = None) -> None:
    """A secret (*what* `ahead`) or the `credentials` were fetched anew, or could not be."""
    outcome = "ok" if error is None else error.code if isinstance(error, SecretsError) else "ended"
    meter.count(metrics.REFRESHES, what, outcome)


def gauges(server: GenServer, pool: Pool[Any], watch: EndpointWatch) -> Callable[[], Iterable[Reading]]:
    """What reads the gauges of a dispatcher, in any thread: nothing, once *server* has ended."""

    def read() -> Iterable[Reading]:
        if not server.me.is_alive():
            return
        idle, state = len(pool.idle), watch.state
        yield metrics.QUEUE, (), len(pool.waiting)
        yield metrics.WORKERS, ("idle",), idle
        yield metrics.WORKERS, ("busy",), len(pool.workers) - idle
        for circuit in Circuit:
            yield metrics.BREAKER, (circuit.value,), float(circuit is state)

    return read
