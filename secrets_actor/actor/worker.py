"""The worker: owns one connection, executes one job at a time. The only place that blocks.

Rule 1: an error with a name is an answer; any other ends the worker, and a fresh one takes its place.
Rule 2: answers go to the actor's name, not its pid: an actor that was restarted meanwhile must hear of a write, too.
Rule 3: an error leaves here without traceback, cause and context: their frames hold what only the worker may see.
Rule 4: cut off from outside, it closes its connection, so that its thread comes free.
Rule 5: an answer of the wrong type ends the worker and not the actor: the backend may be code that nobody here wrote.
Rule 6: each answer, each secret in it and each error leaves here with its origin. A backend with one endpoint need not
        say that it is the one.
"""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from secrets_actor.actor.current_backend import CurrentBackend
from secrets_actor.actor.messages import (
    Announce,
    CredentialsJob,
    Job,
    JobDone,
    JobFailed,
    JobStarted,
    StoreJob,
    WorkerReady,
)
from secrets_actor.domain import metrics
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError, Throttled
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, Backend
from secrets_actor.domain.results import SecretBatch
from secrets_actor.domain.secret import Secret, from_origin
from secrets_actor.domain.tracing import WORKER, Attempt, retries
from secrets_actor.otp import ExitReason, GenServer, Handled, Name


class Worker(GenServer):
    """One connection to the store that is in force when it is made; reports to the process of the name *owner*."""

    trap_exit = True
    may_wait = False

    def __init__(self, current_backend: CurrentBackend, owner: Name, meter: Meter = NO_METER) -> None:
        self._number, self._factory = current_backend.now
        origins = self._factory.endpoints or (self._factory.name,)
        self._origin = origins[0] if len(origins) == 1 else None  # of several, only the backend knows which it was
        self._owner, self._meter = owner, meter
        self._backend: Backend | None = None

    def init(self) -> None:
        """Report for work. The connection is made with the first job: a tree comes up during an outage."""
        self._owner.send(WorkerReady(self.me, self._number))

    def handle_cast(self, message: Any) -> Handled:
        """A job, or the question of a new actor which workers there are."""
        match message:
            case StoreJob() | CredentialsJob():
                self._owner.send(self._result(message))
            case Announce():
                self._owner.send(WorkerReady(self.me, self._number))
            case _:
                return super().handle_cast(message)
        return None

    def _result(self, job: Job) -> JobDone | JobFailed:
        began, outcome = self.node.clock.now(), "crashed"
        try:
            done = JobDone(self.me, job, self._perform(job))
            outcome = "ok"
            return done
        except SecretsError as error:
            failure, outcome = error.clone(), error.code
            if isinstance(job, StoreJob) and failure.origin is None:
                failure.origin = self._origin
        finally:
            ended = self.node.clock.now()
            _count(self._meter, job, outcome, ended - began)
            if isinstance(job, StoreJob):
                job.context.attempts.append(Attempt(WORKER, began, ended, outcome))
        return JobFailed(self.me, job, failure)

    def _perform(self, job: Job) -> Answer[Any] | Credentials:
        self.node.observe(JobStarted(self.me.label, self.me.serial, _kind(job)))
        if isinstance(job, CredentialsJob):
            if self._factory.credentials is None:
                raise TypeError("this store takes no credentials")
            return _checked_credentials(self._factory.credentials.fetch(job.deadline))
        if self._backend is None:
            self._backend = self._factory.connect()
            if not self.me.is_alive():  # cut off meanwhile, when `abandon` found nothing to close
                self._backend.close()
        return _placed(_checked(self._backend.perform(job.operation, job.context), job.operation), self._origin)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Give up the connection."""
        with contextlib.suppress(Exception):  # it ends already, and for a reason of its own
            self.abandon()

    def abandon(self) -> None:
        """Close the connection, from any thread."""
        if self._backend is not None:
            self._backend.close()


def _checked(answer: Answer[Any], operation: Operation[Any]) -> Answer[Any]:
    if not isinstance(answer, Answer) or (isinstance(operation, Get) and not isinstance(answer.value, Secret)):
        raise TypeError(f"the backend's answer to a {operation.kind} is none")
    return answer


def _placed(answer: Answer[Any], default: str | None) -> Answer[Any]:
    """*answer*, and the secrets in it, with the origin that it names, or the *default* one (rule 6)."""
    value, origin = answer.value, answer.origin or default
    if origin is None:
        return answer
    if isinstance(value, Secret):
        value = from_origin(value, origin)
    elif isinstance(value, SecretBatch):
        value = replace(value, found={one: from_origin(secret, origin) for one, secret in value.found.items()})
    return Answer(value, answer.request_id, origin)


def _checked_credentials(found: Credentials) -> Credentials:
    """*found*; its end is all that the actor looks at, so no more than that is checked."""
    end = found.expires_at if isinstance(found, Credentials) else ""
    if end is not None and (not isinstance(end, datetime) or end.utcoffset() is None):
        raise TypeError("the credential source gave no Credentials, or an end that is no time with a time zone")
    return found


def _kind(job: Job) -> str:
    """What a worker does, in a word."""
    return job.operation.kind if isinstance(job, StoreJob) else "fetch_credentials"


def _count(meter: Meter, job: Job, ended: str, seconds: float) -> None:
    """A worker has had the store do *job*, which *ended* so (`ok`, an error's code, `crashed`) after *seconds*."""
    kind = _kind(job)
    meter.count(metrics.UPSTREAM, kind, ended)
    meter.observe(metrics.UPSTREAM_SECONDS, seconds, kind)
    if isinstance(job, StoreJob):
        attempts = job.context.attempts
        for outcome in retries(attempts):
            meter.count(metrics.RETRIES, outcome)
        throttled = [one for one in attempts if one.outcome == Throttled.code]
        if throttled:
            meter.count(metrics.THROTTLES, by=len(throttled))
