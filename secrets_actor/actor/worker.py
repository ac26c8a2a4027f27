"""The worker: it owns one connection, and executes one job at a time. Only workers block on the store.

Rule 1: a typed error (`SecretsError`) is an answer. Any other exception ends the worker, and a fresh worker takes its
        place.
Rule 2: the worker sends its answers to the actor's name, not to its pid: if the actor was restarted meanwhile, the new
        one must hear of a write, too.
Rule 3: an error leaves the worker without traceback, cause and context, because their frames hold credentials and other
        objects that only the worker may see.
Rule 4: a worker that is cut off from outside closes its connection, so that its thread comes free.
Rule 5: the worker checks what the backend and the source of credentials give (answer_check.py), for both may be foreign
        code. A wrong answer is an error of that one call, and cannot end the actor.
Rule 6: each answer, each secret in it and each error leaves the worker with its origin. A backend with one endpoint
        need not name it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from secrets_actor.actor.answer_check import checked_answer, checked_credentials, checked_error, drop_wrong_attempts
from secrets_actor.actor.credential_refresh import RENEWAL_SHARE
from secrets_actor.actor.credential_state import DatedCredentials
from secrets_actor.actor.current_backend import CurrentBackend
from secrets_actor.actor.messages import (
    Announce,
    CredentialsJob,
    Job,
    JobDone,
    JobFailed,
    JobStarted,
    ReleaseJob,
    StoreJob,
    WorkerReady,
)
from secrets_actor.domain import metrics
from secrets_actor.domain.errors import SecretsError, Throttled
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.domain.ports import HELD, RELEASE, Answer, Backend, CredentialSource
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
            case StoreJob() | CredentialsJob() | ReleaseJob():
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
            failure = checked_error(error, self._factory.name, self._origin if isinstance(job, StoreJob) else None)
            outcome = failure.code
            if isinstance(job, StoreJob):
                drop_wrong_attempts(job.context.attempts)
        finally:
            ended = self.node.clock.now()
            _count(self._meter, job, outcome, ended - began)
            if isinstance(job, StoreJob):
                job.context.attempts.append(Attempt(WORKER, began, ended, outcome))
        return JobFailed(self.me, job, failure)

    def _perform(self, job: Job) -> Answer[Any] | DatedCredentials | None:
        self.node.observe(JobStarted(self.me.label, self.me.serial, _kind(job)))
        if isinstance(job, CredentialsJob):
            if self._factory.credentials is None:
                raise TypeError("this store takes no credentials")
            return checked_credentials(self._fetched(self._factory.credentials, job), self._factory.name)
        if isinstance(job, ReleaseJob):
            getattr(job.source, RELEASE)(job.deadline)
            return None
        if self._backend is None:
            self._backend = self._factory.connect()
            # The worker may have been cut off while it connected: `abandon` found no connection to close then.
            if not self.me.is_alive():
                self._backend.close()
        operation, context = job.operation, job.context
        answer = self._backend.perform(operation, context)
        return checked_answer(answer, operation, context.attempts, self._factory.name, self._origin)

    def _fetched(self, source: CredentialSource[Any], job: CredentialsJob) -> Any:
        """Return new credentials of *source*; or those that it has, if it cannot renew them and the actor lacks them:
        an actor that was started anew must not be without a token that the one before it would use on."""
        deadline, held = job.deadline, getattr(source, HELD, _nothing) if job.lacks else _nothing
        if held() is not None:
            now = self.node.clock.now()
            deadline = now + (deadline - now) * RENEWAL_SHARE
        try:
            return source.fetch(deadline)
        except SecretsError:
            kept = held()
            if kept is None:
                raise
        return kept

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Close the connection."""
        with contextlib.suppress(Exception):  # an error here must not replace the reason for which the worker ends
            self.abandon()

    def abandon(self) -> None:
        """Close the connection, from any thread."""
        if self._backend is not None:
            self._backend.close()


def _nothing() -> None:
    return None


def _kind(job: Job) -> str:
    """Return the kind of *job* in one word, for metrics and events."""
    if isinstance(job, StoreJob):
        return job.operation.kind
    return "fetch_credentials" if isinstance(job, CredentialsJob) else "release_credentials"


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
