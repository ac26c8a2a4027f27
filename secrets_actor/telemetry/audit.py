"""The audit log: one event an operation, always of the same shape, never a value, key or token."""

import logging
from typing import Final

from secrets_actor.domain.ports import AuditRecord
from secrets_actor.telemetry.logs import Log
from secrets_actor.telemetry.redaction import Scalar

EVENT: Final = "audit"


class AuditLog:
    """An AuditSink that writes each record to *log* at INFO. For any thread; never raises."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def is_wanted(self) -> bool:
        """Whether a record would be written at all, as the host's logging has it now."""
        return self._log.wants(logging.INFO)

    def record(self, record: AuditRecord) -> None:
        """Write *record*."""
        try:
            facts = facts_of(record)
        except Exception:  # noqa: BLE001 - a record that is none must not end who hands it over
            self._log.drop()
        else:
            self._log.info(EVENT, **facts)


def facts_of(record: AuditRecord) -> dict[str, Scalar]:
    """The record as an event tells it: all fields always there, the duration in milliseconds to the microsecond."""
    return {
        "operation": record.operation,
        "secret_id": record.secret_id,
        "outcome": record.outcome,
        "source": record.source,
        "duration_ms": round(record.duration * 1000, 3),
        "version_id": record.version_id,
        "request_id": record.request_id,
        "caller": record.caller,
    }
