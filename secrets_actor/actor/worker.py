"""The worker: owns one connection, executes one job at a time. The only place that blocks.

Rule 1: an error with a name is an answer; any other ends the worker, and a fresh one takes its place.
Rule 2: answers go to the actor's name, not its pid: an actor that was restarted meanwhile must hear of a write, too.
Rule 3: an error leaves here without traceback, cause and context: their frames hold what only the worker may see.
Rule 4: cut off from outside, it closes its connection, so that its thread comes free.
Rule 5: an answer that is none ends the worker and not the actor: a port may be filled by code that nobody here wrote.
"""

from __future__ import annotations

import contextlib
from typing import Any

from secrets_actor.actor.counting import count_job, kind_of
from secrets_actor.actor.jobs import (
    Announce,
    FetchCredentials,
    Job,
    JobDone,
    JobFailed,
    JobStarted,
    WorkerReady,
)
from secrets_actor.actor.present_kit import PresentKit
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, Backend
from secrets_actor.domain.secret import Secret
from secrets_actor.domain.tracing import WORKER, Attempt
from secrets_actor.otp import ExitReason, GenServer, Handled, Name


class Worker(GenServer):
    """One connection to the store of the *present* factory; reports to whoever is *owner*."""

    trap_exit = True
    may_wait = False

    def __init__(self, present: PresentKit, owner: Name, meter: Meter = NO_METER) -> None:
        self._number, self._factory = present.now
        self._owner, self._meter = owner, meter
        self._backend: Backend | None = None

    def init(self) -> None:
        """Report for work. The connection is made with the first job: a tree comes up during an outage."""
        self._owner.send(WorkerReady(self.me, self._number))

    def handle_cast(self, message: Any) -> Handled:
        """A job, or a new actor's question who is there."""
        match message:
            case Job() | FetchCredentials():
                self._owner.send(self._result(message))
            case Announce():
                self._owner.send(WorkerReady(self.me, self._number))
            case _:
                return super().handle_cast(message)
        return None

    def _result(self, job: Job | FetchCredentials) -> JobDone | JobFailed:
        began, outcome = self.node.clock.now(), "crashed"
        try:
            done = JobDone(self.me, job, self._perform(job))
            outcome = "ok"
            return done
        except SecretsError as error:
            failure, outcome = error.clone(), error.code
        finally:
            ended = self.node.clock.now()
            count_job(self._meter, job, outcome, ended - began)
            if isinstance(job, Job):
                job.context.attempts.append(Attempt(WORKER, began, ended, outcome))
        return JobFailed(self.me, job, failure)

    def _perform(self, job: Job | FetchCredentials) -> Answer[Any] | Credentials:
        self.node.observe(JobStarted(self.me.label, self.me.serial, kind_of(job)))
        if isinstance(job, FetchCredentials):
            if self._factory.credentials is None:
                raise TypeError("this store takes no credentials")
            return _checked_keys(self._factory.credentials.fetch(job.deadline))
        if self._backend is None:
            self._backend = self._factory.connect()
            if not self.me.is_alive():  # cut off meanwhile, when `abandon` found nothing to close
                self._backend.close()
        return _checked(self._backend.perform(job.operation, job.context), job.operation)

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


def _checked_keys(keys: Credentials) -> Credentials:
    if not isinstance(keys, Credentials) or (keys.expires_at is not None and keys.expires_at.utcoffset() is None):
        raise TypeError("the credential source gave no Credentials, or an end without time zone")
    return keys
