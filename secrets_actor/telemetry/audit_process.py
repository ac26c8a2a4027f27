"""The audit process: writes the records that wait in the audit buffer (audit_buffer.py).

Rule 1: while it is awake it looks every `PERIOD`. When it has found nothing it sleeps until it is woken.
Rule 2: records are written in the order of their times, a part at a time, so that a crash loses one part at most.
Rule 3: sums of cached gets are kept in the buffer, too, so that they outlive this process. They are written every
        `summary_seconds`, and at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from secrets_actor.domain.names import plain
from secrets_actor.otp import ExitReason, GenServer, Handled, LifecycleEvent, NoReply, Ok
from secrets_actor.telemetry.audit_buffer import PERIOD, SOON, AuditBuffer, Hit
from secrets_actor.telemetry.audit_log import AuditLog

# How many cached gets are written at once: about 128 KiB.
PART: Final = 500
# How many sums, one for each version and caller, are kept at most. For one more, all are written before their time.
MAX_SUMS: Final = 10_000
_SUMS: Final = "sums"


class AuditRecordsLost(LifecycleEvent, frozen=True):
    """*count* audit records are lost: there was no room for them, because they were made faster than they are written
    (see `audit_buffer`), or they could not be written (then there was an `AuditLogFails` before)."""

    count: int


class AuditLogFails(LifecycleEvent, frozen=True):
    """From now on audit records cannot be written, and are lost; *problem* says why. When they can be written again, an
    `AuditRecordsLost` says how many were lost."""

    problem: str


class AuditProcess(GenServer):
    """The process that writes the records of *buffer* to *log*. *wall_clock* returns seconds since the epoch."""

    trap_exit = True
    may_wait = False  # handlers of the program's logging run here

    def __init__(self, buffer: AuditBuffer, log: AuditLog, wall_clock: Callable[[], float]) -> None:
        self._buffer, self._log, self._wall_clock = buffer, log, wall_clock
        self._failing = False

    def init(self) -> Ok:
        """Write the records that an earlier incarnation has left."""
        if self._buffer.rules.hits == "summary":
            self.send_after(self._buffer.rules.summary_seconds, _SUMS)
        self._write()
        return Ok(timeout=PERIOD)

    def handle_info(self, message: Any) -> Handled:
        """Write what waits: a message says that records are there, or that it is time to write the sums."""
        if message == SOON:
            return NoReply(timeout=PERIOD)  # let more of them come
        if message == _SUMS:
            self._write_sums()
            self.send_after(self._buffer.rules.summary_seconds, _SUMS)
        return self.handle_timeout()

    def handle_timeout(self) -> Handled:
        """Write what waits, and sleep if nothing did."""
        found = self._write()
        return NoReply(timeout=PERIOD if found or not self._buffer.may_sleep() else None)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Write all that is left, and report how many records could not be written."""
        self._write()
        self._write_sums()
        self._tell_unwritten(last=True)

    def _write(self) -> bool:
        """Write the records that wait now, and return whether there were any. Records that come meanwhile are left for
        the next time, or callers that never pause would keep this process from ending."""
        with self._at_work():
            return self._write_all()

    def _at_work(self) -> AbstractContextManager[None]:
        """Return the context to write in. If writing may call code of the program, the buffer has to know: that code
        may get a secret, and a record of such a get would cause another one without end."""
        return self._buffer.written() if self._log.runs_code_of_others else nullcontext()

    def _write_all(self) -> bool:
        buffer, offset = self._buffer, self._wall_clock() - self.node.clock.now()
        hits, records = buffer.look()
        # Cached gets that came after the look are left for the next time. Otherwise one of them could be written before
        # an older record that also came after the look.
        left = hits
        for _ in range(records):
            record = buffer.take_record()
            if record is not None:
                left -= self._write_hits(left, record[1], offset)
                self._log.record(record[0], record[1] + offset)
        self._write_hits(left, math.inf, offset)
        lost = buffer.take_lost()
        if lost:
            self._log.lost(lost)
            self.node.observe(AuditRecordsLost(self.me.label, lost))
        self._tell_unwritten()
        return hits + records > 0

    def _tell_unwritten(self, *, last: bool = False) -> None:
        """Report a log that fails at once, since an observer may do something about it; and report how many records
        were lost when the failure is over, or at the end (*last*)."""
        problem = self._log.problem
        if problem is not None and not self._failing:
            self._failing = True
            self.node.observe(AuditLogFails(self.me.label, problem))
        if (problem is None or last) and (unwritten := self._log.take_unwritten()):
            self._failing = False
            self.node.observe(AuditRecordsLost(self.me.label, unwritten))

    def _write_hits(self, most: int, until: float, offset: float) -> int:
        """Write up to *most* cached gets, in parts, of those that are not later than *until* (clock seconds). Return
        how many there were."""
        for taken in range(0, most, PART):
            wanted = min(PART, most - taken)
            part = self._buffer.take_hits(wanted, until)
            if self._buffer.rules.hits == "each":
                self._log.hits(part, offset)
            else:
                self._add_up(part)
            if len(part) < wanted:
                return taken + len(part)
        return most

    def _add_up(self, hits: list[Hit]) -> None:
        """Add *hits* to the sums: for each version and caller the count, and when the first and the last one was."""
        sums = self._buffer.sums
        for given, version, now, caller in hits:
            name = plain(given)  # the caller may have given a subclass of str, whose methods are not to be called
            known = sums.get((name, version, caller))
            if known is None:
                if len(sums) >= MAX_SUMS:
                    self._write_sums()
                sums[name, version, caller] = [1, now, now]
            else:
                known[0] += 1
                known[2] = now

    def _write_sums(self) -> None:
        """Write all sums, and begin new ones."""
        offset = self._wall_clock() - self.node.clock.now()
        sums = self._buffer.sums
        with self._at_work():
            for key in tuple(sums):
                known = sums.pop(key, None)
                if known is not None:  # else the thread of a killed incarnation has just written it
                    self._log.sum(key, int(known[0]), known[1] + offset, known[2] + offset)
