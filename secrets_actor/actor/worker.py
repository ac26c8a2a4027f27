"""The worker: it owns one connection, and executes one job at a time. Only workers block on the store.

Rule 1: a typed error (`SecretsError`) is an answer. Any other exception ends the worker, and a fresh worker takes its
        place.
Rule 2: the worker sends its answers to the actor's name, not to its pid: if the actor was restarted meanwhile, the new
        one must hear of a write, too.
Rule 3: an error leaves the worker without traceback, cause and context, because their frames hold credentials and other
        objects that only the worker may see.
Rule 4: a worker that is cut off from outside closes its connection, so that its thread comes free.
Rule 5: the worker checks the types of the backend's answers, so that a wrong one ends the worker and not the actor. The
        backend may be foreign code.
Rule 6: each answer, each secret in it and each error leaves the worker with its origin. A backend with one endpoint
        need not name it.
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
    """A worker with one connection, to the store that was in force when the worker was made. It reports to the process
    with the name *owner*."""

    trap_exit = True
    may_wait = False

    def __init__(self, current_backend: CurrentBackend, owner: Name, meter: Meter = NO_METER) -> None:
        self._number, self._factory = current_backend.now
        origins = self._factory.endpoints or (self._factory.name,)
        # The default origin (rule 6). If there are several endpoints, only the backend knows which one it asked.
        self._origin = origins[0] if len(origins) == 1 else None
        self._owner, self._meter = owner, meter
        self._backend: Backend | None = None
        self.explains = self._factory.explains

    def init(self) -> None:
        """Announce the worker to the actor. The connection is made with the first job, so that a tree comes up even
        during an outage."""
        self._owner.send(WorkerReady(self.me, self._number))

    def handle_cast(self, message: Any) -> Handled:
        """Do a job; or announce the worker again, when a new actor asks for it."""
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
            # The worker may have been cut off while it connected: `abandon` found no connection to close then.
            if not self.me.is_alive():
                self._backend.close()
        return _placed(_checked(self._backend.perform(job.operation, job.context), job.operation), self._origin)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Close the connection."""
        with contextlib.suppress(Exception):  # an error here must not replace the reason for which the worker ends
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
    """Return *answer*, with its secrets, marked with the origin that it names, or with the *default* one (rule 6)."""
    value, origin = answer.value, answer.origin or default
    if origin is None:
        return answer
    if isinstance(value, Secret):
        value = from_origin(value, origin)
    elif isinstance(value, SecretBatch):
        value = replace(value, found={one: from_origin(secret, origin) for one, secret in value.found.items()})
    return Answer(value, answer.request_id, origin)


def _checked_credentials(found: Credentials) -> Credentials:
    """Return *found*. Only its expiry date is checked, because the actor looks at nothing else in it. Raises
    `TypeError`."""
    end = found.expires_at if isinstance(found, Credentials) else ""
    if end is not None and (not isinstance(end, datetime) or end.utcoffset() is None):
        raise TypeError("the credential source gave no Credentials, or an end that is no time with a time zone")
    return found


def _kind(job: Job) -> str:
    """Return the kind of *job* in one word, for metrics and events."""
    return job.operation.kind if isinstance(job, StoreJob) else "fetch_credentials"


def _count(meter: Meter, job: Job, ended: str, seconds: float) -> None:
    """Count in *meter* a job that took *seconds*. *ended* is `ok`, an error's code, or `crashed`."""
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
