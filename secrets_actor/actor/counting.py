"""What the actor and its workers count. The metrics are those of `domain/metrics.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from secrets_actor.actor.breaker import Circuit
from secrets_actor.actor.jobs import FetchCredentials, Job
from secrets_actor.actor.pool import Pool
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import SecretsError, Throttled
from secrets_actor.domain.metrics import Meter, Reading
from secrets_actor.domain.steps import retries
from secrets_actor.otp import From


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


def refresh_ahead(meter: Meter) -> From[Any]:
    """The handle of a get that nobody waits for: how it ends is counted."""
    caller: From[Any] = From()
    caller.on_settled(lambda done: count_refresh(meter, "ahead", done.error))
    return caller


def count_refresh(meter: Meter, what: str, error: BaseException | None = None) -> None:
    """A secret (*what* `ahead`) or the `credentials` were fetched anew, or could not be."""
    outcome = "ok" if error is None else error.code if isinstance(error, SecretsError) else "ended"
    meter.count(metrics.REFRESHES, what, outcome)


def readings(waiting: int, pool: Pool[Any], circuit: Circuit | None) -> Iterable[Reading]:
    """The gauges of the actor. *circuit*: the state of its breaker, if it has one."""
    idle = len(pool.idle)
    yield metrics.WAITING, (), waiting
    yield metrics.QUEUE, (), len(pool.waiting)
    yield metrics.WORKERS, ("idle",), idle
    yield metrics.WORKERS, ("busy",), len(pool.workers) - idle
    if circuit is not None:
        for state in Circuit:
            yield metrics.BREAKER, (state.value,), float(state is circuit)
