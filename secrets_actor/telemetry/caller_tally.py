"""Counts the requests of each caller, as their audit records are taken out to be written.

Only a daemon has one: a program that embeds a system knows its callers. The audit process counts; any thread may read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from secrets_actor.domain.errors import AccessDenied
from secrets_actor.domain.ports import AuditRecord
from secrets_actor.domain.tracing import CallerName, label_of
from secrets_actor.telemetry.audit_buffer import Hit

# How many callers are kept. For one more, the one that has not asked for longest is forgotten.
MOST_CALLERS: Final = 500
# The sources of records in which the daemon itself has refused a caller.
_REFUSING: Final = frozenset({"policy", "proof"})


class CallerCount(Struct, frozen=True):
    """How often a caller has asked, how often it was refused, and when it last asked (clock seconds)."""

    requests: int
    refusals: int
    last: float


class CallerTally:
    """The counts of all callers, by their labels. What has no caller is the daemon's own, and is not counted."""

    def __init__(self) -> None:
        self._counts: dict[str, CallerCount] = {}

    def count_hits(self, hits: Sequence[Hit]) -> None:
        """Count cached gets. All are taken to be as late as the last one: they come a part of a second at a time."""
        if hits:
            last = hits[-1][2]
            for caller, count in Counter([hit[3] for hit in hits]).items():
                self._add(caller, count, 0, last)

    def count_record(self, record: AuditRecord, at: float) -> None:
        """Count the operation of *record*."""
        refused = record.outcome == AccessDenied.code and record.source in _REFUSING
        self._add(record.caller, 1, int(refused), at)

    def _add(self, caller: CallerName, requests: int, refusals: int, last: float) -> None:
        label = label_of(caller)
        if label is None:
            return
        known = self._counts.get(label)
        if known is not None:
            requests, refusals, last = known.requests + requests, known.refusals + refusals, max(known.last, last)
        elif len(self._counts) >= MOST_CALLERS:
            del self._counts[min(self._counts, key=lambda one: self._counts[one].last)]
        self._counts[label] = CallerCount(requests, refusals, last)

    @property
    def counts(self) -> dict[str, CallerCount]:
        """The counts now, by the callers' labels."""
        return self._counts.copy()
