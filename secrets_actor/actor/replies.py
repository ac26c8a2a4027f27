"""The replies to callers. Every answer is audited once, and every caller gets an error object of its own: a traceback
that one thread adds to its error must not show in another's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from secrets_actor.actor.error_translation import with_token_of
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.messages import Waiter
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.ports import Answer, AuditRecord, AuditSink
from secrets_actor.domain.results import SecretBatch, VersionBatch
from secrets_actor.domain.secret import Secret
from secrets_actor.otp import From, answer_all


class Replies:
    """Answers waiters, and writes their audit records to the sink *audit*. *now* is the clock of `Waiter.arrived`;
    *reply_all* answers many callers with one value."""

    def __init__(
        self,
        audit: AuditSink,
        now: Callable[[], float],
        reply_all: Callable[[Sequence[From[Any]], Any], object] = answer_all,
    ) -> None:
        self._audit, self._now, self._reply_all = audit, now, reply_all

    def answer(self, waiter: Waiter, value: Any, source: str) -> None:
        """Give *value* to *waiter*. The value is not a store's fresh answer: it may come from memory, or be None."""
        origin = value.origin if isinstance(value, Secret) else None
        self._answer_all([waiter], Answer(value, origin=origin), source)

    def refuse(self, waiter: Waiter, error: SecretsError, source: str) -> None:
        """Give a copy of *error* to *waiter*. For a write whose outcome is not known, it has the write's token."""
        if waiter.caller.recorded:
            return
        self._record(waiter, error.code, source, None, error.request_id, error.origin)
        waiter.reply_to.fail(with_token_of(waiter.operation, error.clone()))

    def settle(self, flight: Flight, answer: Answer[Any], source: str) -> None:
        """Give *answer* to all waiters of *flight*."""
        self._answer_all(flight.waiters, answer, source)

    def _answer_all(self, waiters: Iterable[Waiter], answer: Answer[Any], source: str) -> None:
        value, request_id, origin = answer.value, answer.request_id, answer.origin
        version_id = getattr(value, "version_id", None)  # it is read from the secret's block: once for all waiters
        waiting: list[From[Any]] = []
        for waiter in waiters:
            if waiter.caller.recorded:
                continue
            if isinstance(value, SecretBatch | VersionBatch):
                self._record_each(waiter, value, source, request_id, origin)
            else:
                self._record(waiter, "ok", source, version_id, request_id, origin)
            waiting.append(waiter.reply_to)
        self._reply_all(waiting, value)

    def _record_each(
        self,
        waiter: Waiter,
        batch: SecretBatch | VersionBatch,
        source: str,
        request_id: str | None,
        origin: str | None,
    ) -> None:
        """Write one record for each secret of *batch*."""
        for secret_id, found in batch.found.items():
            by = found.origin if isinstance(found, Secret) else origin
            self._record(waiter, "ok", source, found.version_id, request_id, by, secret_id)
        for secret_id, error in batch.errors.items():
            self._record(waiter, error.code, source, None, request_id, error.origin or origin, secret_id)

    def _record(
        self,
        waiter: Waiter,
        outcome: str,
        source: str,
        version_id: str | None,
        request_id: str | None,
        origin: str | None,
        secret_id: str | None = None,
    ) -> None:
        operation, caller = waiter.operation, waiter.caller
        caller.recorded = True
        if caller.trace is not None:
            caller.trace.source, caller.trace.origin = source, origin
        if waiter.gone and outcome == "ok":
            outcome = "too_late"
        shown = secret_id or getattr(operation, "secret_id", None)
        took = self._now() - waiter.arrived
        self._audit.record(
            AuditRecord(
                operation.kind, shown, outcome, source, took, version_id, request_id, caller.name, origin=origin
            )
        )
