"""The audit log: writes one event for each operation, always of the same shape, and never a value, key or token.

Rule: cached gets of one version by one caller differ only in their time. So the record of them is made once, through
the same redaction as every other record, and each get is written with its own time filled in.
"""

import logging
from collections.abc import Sequence
from typing import Final

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter
from secrets_actor.domain.names import plain
from secrets_actor.domain.packed_secret import origin_text, version_text
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.tracing import CallerFacts, CallerName, label_of
from secrets_actor.telemetry.audit_buffer import Hit
from secrets_actor.telemetry.logs import Log, stamp
from secrets_actor.telemetry.redaction import Scalar
from secrets_actor.telemetry.sinks import Template

EVENT: Final = "audit"
# How many templates are kept, of some kilobytes each. When they are more, all are dropped; those in use come back.
MAX_TEMPLATES: Final = 2048
# What all cached gets of one template have in common: the secret's name, its version, the caller.
Alike = tuple[str, bytes, CallerName]


class AuditLog:
    """The writer of audit records to *log*, at level INFO. Any thread may use it, but only one at a time may call
    `hits`. It never raises. Times are seconds since the epoch."""

    def __init__(self, log: Log, meter: Meter = NO_METER) -> None:
        self._log, self._meter = log, meter
        self._templates: dict[Alike, Template] = {}
        self._unwritten = 0

    def is_wanted(self) -> bool:
        """Whether a record would be written at all, as the host's logging is configured now."""
        return self._log.wants(logging.INFO)

    @property
    def runs_code_of_others(self) -> bool:
        """Whether writing may call code of the program, such as its log handlers."""
        return self._log.runs_code_of_others

    def record(self, record: AuditRecord, at: float) -> None:
        """Write *record*, which was handed over at the time *at*."""
        try:
            facts = facts_of(record)
        except Exception:  # noqa: BLE001 - a bad record must not end the process that hands it over
            self._log.drop()
            self._count(1, 0)
        else:
            self._write(at, facts)

    def hits(self, hits: Sequence[Hit], offset: float) -> None:
        """Write a record for each of *hits*. *offset* is the number of seconds to add to their clock times, which gives
        seconds since the epoch."""
        if not hits or not self.is_wanted():
            return
        templates, records = self._templates, []
        try:
            for given, version, now, caller in hits:
                alike = given if type(given) is str else plain(given), version, caller
                template = templates.get(alike)
                if template is None:
                    template = self._template(alike)
                records.append((template, now + offset))
        except Exception:  # noqa: BLE001 - as in `record`
            self._log.drop(len(hits) - len(records))
        self._count(len(hits), self._log.write(logging.INFO, records))

    def sum(self, alike: Alike, count: int, first: float, last: float) -> None:
        """Write one record for *count* cached gets, the first of them at *first* and the last at *last*."""
        if self.is_wanted():
            self._write(last, {**facts_of(_record(alike)), "count": count, "since": stamp(first)})

    @property
    def problem(self) -> str | None:
        """Why records cannot be written at present; None if they can."""
        return self._log.problem if self._unwritten else None

    def take_unwritten(self) -> int:
        """Return how many records could not be written since the last call."""
        unwritten, self._unwritten = self._unwritten, 0
        return unwritten

    def lost(self, count: int) -> None:
        """Count *count* records that were lost because there was no room for them in the buffer."""
        self._meter.count(metrics.AUDIT, "dropped", by=count)

    def _template(self, alike: Alike) -> Template:
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        made = self._templates[alike] = self._log.template(logging.INFO, EVENT, **facts_of(_record(alike)))
        return made

    def _write(self, at: float, facts: dict[str, Scalar]) -> None:
        self._count(1, int(self._log.log_at(at, logging.INFO, EVENT, **facts)))

    def _count(self, records: int, written: int) -> None:
        if written:
            self._meter.count(metrics.AUDIT, "written", by=written)
        if written < records:
            self._unwritten += records - written
            self._meter.count(metrics.AUDIT, "dropped", by=records - written)


def _record(alike: Alike) -> AuditRecord:
    name, kept, caller = alike
    return AuditRecord("get", name, "ok", "cache", 0.0, version_text(kept), caller=caller, origin=origin_text(kept))


def facts_of(record: AuditRecord) -> dict[str, Scalar]:
    """Return the fields of *record* for the log. All fields are always there except `place`, which only work on a whole
    store has, and the facts of a caller that has some, such as `caller_pid`. The duration is in milliseconds, to the
    microsecond."""
    facts: dict[str, Scalar] = {
        "operation": record.operation,
        "secret_id": record.secret_id,
        "outcome": record.outcome,
        "source": record.source,
        "duration_ms": round(record.duration * 1000, 3),
        "version_id": record.version_id,
        "request_id": record.request_id,
        "caller": label_of(record.caller),
        "origin": record.origin,
    }
    if isinstance(record.caller, CallerFacts):
        facts |= {f"caller_{name}": fact for name, fact in record.caller.facts}
    return facts if record.place is None else {**facts, "place": record.place}
