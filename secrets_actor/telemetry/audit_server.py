"""The audit process: writes the records that others hand over, so that no caller waits for a disk.

Rule 1: records wait in a trail that outlives the process: a crash loses none that has not been taken out.
Rule 2: the trail is bounded. Past the bound a record is counted as lost, and the next one written says how many were.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from secrets_actor.domain.ports import AuditRecord, AuditSink
from secrets_actor.domain.secret import Secret
from secrets_actor.otp import ExitReason, GenServer, Handled, Name

# A second of cached gets at full speed; about 30 MB.
MAX_RECORDS: Final = 100_000
_WAKE: Final = "records"


class AuditTrail:
    """An AuditSink that any thread may tell; *server* is woken to write what is told, if it *is_wanted*."""

    def __init__(self, server: Name, is_wanted: Callable[[], bool] = lambda: True) -> None:
        self._server, self._is_wanted = server, is_wanted
        self._lock = threading.Lock()
        self._records: deque[AuditRecord] = deque()
        self._lost = 0

    def record(self, record: AuditRecord) -> None:
        """Hand *record* over. Nothing, if nobody wants to read it: waking the server costs more than a cached get."""
        if not self._is_wanted():
            return
        with self._lock:
            first = not self._records
            if len(self._records) >= MAX_RECORDS:
                self._lost += 1
                return
            self._records.append(record)
        if first:
            self._server.post(_WAKE)

    def hit(self, secret: Secret, now: float, caller: str | None) -> None:  # noqa: ARG002
        """A cached get."""
        self.record(AuditRecord("get", secret.name, "ok", "cache", 0.0, secret.version_id, caller=caller))

    def forget(self) -> None:
        """In the child of a fork: empty, for what waits is the parent's to write."""
        self._lock, self._records, self._lost = threading.Lock(), deque(), 0

    def take(self) -> tuple[list[AuditRecord], int]:
        """All records that wait, and how many were lost since the last time."""
        with self._lock:
            records, self._records = list(self._records), deque()
            lost, self._lost = self._lost, 0
        return records, lost


class AuditServer(GenServer):
    """Writes the *trail* to *log*; *report_lost* is told how many records the trail had no room for."""

    trap_exit = True

    def __init__(self, trail: AuditTrail, log: AuditSink, report_lost: Callable[[int], None]) -> None:
        self._trail, self._log, self._report_lost = trail, log, report_lost

    def init(self) -> None:
        """Write what an earlier incarnation left."""
        self._write()

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """There are records."""
        self._write()
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Write the last of them."""
        self._write()

    def _write(self) -> None:
        records, lost = self._trail.take()
        for record in records:
            self._log.record(record)
        if lost:
            self._report_lost(lost)
