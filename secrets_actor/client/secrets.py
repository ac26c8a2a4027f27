"""The face for threads: builds the messages, reads the cache in the caller's own thread, waits for answers.

Rule 1: bad input is refused here, in the caller's thread, before anything is sent.
Rule 2: a hit never leaves the caller's thread, and is audited like any other answer.
Rule 3: a request that did not reach the actor, because it was being restarted, is sent again; so is, once, a read whose
        actor died over it. A write whose actor died is the caller's to repeat, with the token that the error carries.
        What the actor could not answer, and so not audit, is audited here.
Rule 4: a raw value is masked before anything can raise: no frame of ours shows it in a traceback.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.failures import out_of_time, translated
from secrets_actor.client.administration import Administration
from secrets_actor.domain.descriptions import SecretBatch, SecretDescription
from secrets_actor.domain.errors import InvalidParameter, SecretsError
from secrets_actor.domain.operations import (
    BATCH_SIZE,
    Delete,
    Filter,
    Get,
    GetMany,
    List,
    ListPage,
    Operation,
    Restore,
    Set,
    SortBy,
    with_token,
)
from secrets_actor.domain.paging import Trail
from secrets_actor.domain.ports import AuditRecord, AuditSink
from secrets_actor.domain.secret import (
    DeleteReceipt,
    RestoreReceipt,
    Secret,
    SecretInfo,
    SecretValue,
    SetReceipt,
)
from secrets_actor.otp import CallTimeout, Clock, From, Name, NoProcess, OtpError

T = TypeVar("T")
# Seconds. Longer than anybody waits, and within what every timer and lock can do.
MAX_TIMEOUT: Final = 86_400.0
# Seconds between two looks at whether an actor that is being restarted, or its whole tree, is there (again).
_RESTART_GLANCE = 0.05


@dataclass(frozen=True, slots=True)
class _Asked(Generic[T]):
    """A question on its way. *arrived* and *deadline* are in clock seconds."""

    operation: Operation[T]
    arrived: float
    deadline: float
    caller: From[T]


class Secrets(Administration):
    """What a program holds to get and set secrets. Any number of threads may share one.

    Every method takes *timeout* in seconds (0 to 86,400; None: as configured) and raises `DeadlineExceeded` when it is
    over; every error is a `SecretsError`.
    """

    def __init__(
        self,
        *,
        server: Name,
        cache: Cache,
        audit: AuditSink,
        clock: Clock,
        call_timeout: float,
        running: Callable[[], bool],
    ) -> None:
        self._server, self._cache, self._audit = server, cache, audit
        self._clock, self._call_timeout, self._running = clock, call_timeout, running

    def get(
        self,
        secret_id: str,
        *,
        version_id: str | None = None,
        stage: str | None = None,
        refresh: bool = False,
        timeout: float | None = None,
    ) -> Secret:
        """The secret with this name or ARN: its AWSCURRENT version unless *version_id* or *stage* says otherwise.

        *refresh* asks the store even when the cache could answer. Raises `SecretNotFound`, `SecretDeleted`,
        `AccessDenied`, `Unreachable` and the other `SecretsError`s.
        """
        request = Get(secret_id, version_id=version_id, stage=stage, refresh=refresh)
        now = self._clock.now()
        cached = self._cache.read(request, now) if self._running() else None
        if cached is None:
            return self.ask(request, timeout=timeout)
        self._record(request, "ok", cached.source, now, cached.version_id)
        return cached

    def get_many(
        self, secret_ids: Iterable[str], *, refresh: bool = False, timeout: float | None = None
    ) -> SecretBatch:
        """The AWSCURRENT versions of many secrets, 20 a call, several calls at a time: those that were found, and for
        each other one its error. *refresh* asks the store even for those that the cache has.

        Raises what a call as a whole meets, such as `AccessDenied` and `Unreachable`.
        """
        asked = GetMany(secret_ids).secret_ids
        found: dict[str, Secret] = {}
        now, running = self._clock.now(), self._running()
        for request in map(Get, () if refresh else asked):
            cached = self._cache.read(request, now) if running else None
            if cached is not None:
                found[request.secret_id] = cached
                self._record(request, "ok", cached.source, now, cached.version_id)
        rest = [secret_id for secret_id in asked if secret_id not in found]
        chunks = [GetMany(rest[start : start + BATCH_SIZE]) for start in range(0, len(rest), BATCH_SIZE)]
        under_way = [self._deliver(chunk, timeout) for chunk in chunks]
        errors: dict[str, SecretsError] = {}
        failures: list[SecretsError] = []
        for chunk, one in zip(chunks, under_way, strict=True):
            try:
                batch = self._wait(one)
            except SecretsError as error:
                failures.append(error)
                errors |= {secret_id: error.clone() for secret_id in chunk.secret_ids}
            else:
                found |= batch.found
                errors |= batch.errors
        if failures and not found and len(failures) == len(chunks):
            raise failures[0]
        return SecretBatch({one: found[one] for one in asked if one in found}, errors)

    def set(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        *,
        token: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
        restore_on_set: bool = False,
        timeout: float | None = None,
    ) -> SetReceipt:
        """Make *value* the current version of the secret, creating the secret if there is none.

        *token* (32 to 64 characters, a new UUID when None) makes it idempotent: repeat a set whose outcome is unknown
        with the token of its error. *tags* and *kms_key_id* are for a secret that is new. Raises `SecretDeleted` for a
        secret that is scheduled for deletion, unless *restore_on_set*: then it is restored first.
        """
        try:
            masked = SecretValue(value)
        finally:
            del value  # rule 4
        message = Set(secret_id, masked, token, description, tags, kms_key_id, restore_on_set)
        return self.ask(message, timeout=timeout)

    def delete(
        self,
        secret_id: str,
        *,
        recovery_window: int | None = None,
        force: bool = False,
        timeout: float | None = None,
    ) -> DeleteReceipt:
        """Delete the secret softly, restorable for *recovery_window* days (7 to 30; None: as configured), or, with
        *force*, at once and for good."""
        return self.ask(Delete(secret_id, recovery_window=recovery_window, force=force), timeout=timeout)

    def restore(self, secret_id: str, *, timeout: float | None = None) -> RestoreReceipt:
        """Call off a soft delete."""
        return self.ask(Restore(secret_id), timeout=timeout)

    def list(self, *, include_deleted: bool = False, timeout: float | None = None) -> tuple[SecretInfo, ...]:
        """All secrets, without values; those scheduled for deletion only with *include_deleted*."""
        return self.ask(List(include_deleted=include_deleted), timeout=timeout)

    def iterate(
        self,
        filters: Iterable[Filter] = (),
        *,
        sort_by: SortBy | None = None,
        descending: bool | None = None,
        include_deleted: bool = False,
        page_size: int = 100,
        timeout: float | None = None,
    ) -> Iterator[SecretDescription]:
        """Secrets that fit all *filters*, without values, page by page as they are asked for: one page is held at a
        time. *timeout* is for each page."""
        first = ListPage(tuple(filters), sort_by, descending, include_deleted, page_size)
        return self._pages(first, timeout)

    def _pages(self, first: ListPage, timeout: float | None) -> Iterator[SecretDescription]:
        asked, trail = first, Trail()
        while True:
            page = self.ask(asked, timeout=timeout)
            yield from page.secrets
            if page.next_token is None:
                return
            asked = replace(first, next_token=trail.on_to(page.next_token))

    def ask(self, operation: Operation[T], *, timeout: float | None = None) -> T:
        """Have the secrets actor perform *operation*, and wait for its answer. Does not look into the cache first."""
        return self._wait(self._deliver(operation, timeout))

    def _deliver(self, operation: Operation[T], timeout: float | None) -> _Asked[T]:
        arrived = self._clock.now()
        deadline = arrived + (self._call_timeout if timeout is None else _checked(timeout))
        asked = _Asked(with_token(operation, _new_token), arrived, deadline, From(deadline))
        self._server.deliver(asked.operation, asked.caller)
        return asked

    def _wait(self, asked: _Asked[T]) -> T:
        operation, deadline, caller = asked.operation, asked.deadline, asked.caller
        asked_again = False
        while True:
            try:
                return caller.wait(deadline - self._clock.now())
            except OtpError as error:
                ended = error
            failure = translated(ended, operation)
            if isinstance(ended, CallTimeout):
                raise failure  # the actor has it still, and audits it
            lost = isinstance(ended, NoProcess)
            problem: SecretsError | None = failure
            if lost or not (operation.writes or asked_again):
                asked_again = asked_again or not lost
                problem = self._await_restart(deadline, operation, failure)
            if problem is not None:
                self._record(operation, problem.code, "client", asked.arrived)
                raise problem
            caller = From(deadline)
            self._server.deliver(operation, caller)

    def _await_restart(self, deadline: float, operation: Operation[T], failure: SecretsError) -> SecretsError | None:
        """Wait until the actor is there; the error if the tree is gone (*failure*), or the time is up."""
        while self._running():
            left = deadline - self._clock.now()
            if left <= 0:
                return out_of_time(operation)
            if self._server.registry.wait_for(self._server.name, min(left, _RESTART_GLANCE)) is not None:
                return None
        return failure

    def _record(
        self, operation: Operation[Any], outcome: str, source: str, arrived: float, version_id: str | None = None
    ) -> None:
        secret_id, duration = getattr(operation, "secret_id", None), self._clock.now() - arrived
        self._audit.record(AuditRecord(operation.kind, secret_id, outcome, source, duration, version_id))

    def __repr__(self) -> str:
        return f"<Secrets of {self._server.name}>"


def _checked(timeout: float) -> float:
    if isinstance(timeout, (int, float)) and 0 <= timeout <= MAX_TIMEOUT:
        return timeout
    raise InvalidParameter("timeout", f"seconds, 0 to {MAX_TIMEOUT:,.0f}")


def _new_token() -> str:
    return str(uuid.uuid4())
