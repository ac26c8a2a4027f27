"""The audit process: writes the records that others hand over to the trail (audit_buffer.py).

Rule 1: while it is awake it comes every `PERIOD`; when it has found nothing it sleeps, until it is woken.
Rule 2: what waits is written in the order of its time, a part at a time: a crash loses a part at most.
Rule 3: sums of cached gets are the trail's, as the rest; they are written every `summary_seconds`, and at the end.
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

# Cached gets that are written in one go: about 128 KiB.
PART: Final = 500
# Different versions and callers that sums are kept of between two times; with one more they are written early.
MAX_SUMS: Final = 10_000
_SUMS: Final = "sums"


class AuditRecordsLost(LifecycleEvent, frozen=True):
    """So many audit records are lost: there was no room for them, for writing them is slower than making them (see
    `audit_buffer`), or they could not be written (`AuditLogFails` was told then)."""

    count: int


class AuditLogFails(LifecycleEvent, frozen=True):
    """From now on audit records cannot be written, and are lost; *problem* says why. How many those were,
    `AuditRecordsLost` tells when the log takes records again."""

    problem: str


class AuditProcess(GenServer):
    """Writes the *trail* to *log*. *wall_clock*: seconds since the epoch."""

    trap_exit = True
    may_wait = False  # handlers of the program's logging run here

    def __init__(self, trail: AuditBuffer, log: AuditLog, wall_clock: Callable[[], float]) -> None:
        self._trail, self._log, self._wall_clock = trail, log, wall_clock
        self._failing = False

    def init(self) -> Ok:
        """Write what an earlier incarnation left."""
        if self._trail.rules.hits == "summary":
            self.send_after(self._trail.rules.summary_seconds, _SUMS)
        self._write()
        return Ok(timeout=PERIOD)

    def handle_info(self, message: Any) -> Handled:
        """There are records."""
        if message == SOON:
            return NoReply(timeout=PERIOD)  # let more of them come
        if message == _SUMS:
            self._write_sums()
            self.send_after(self._trail.rules.summary_seconds, _SUMS)
        return self.handle_timeout()

    def handle_timeout(self) -> Handled:
        """It is time to look."""
        found = self._write()
        return NoReply(timeout=PERIOD if found or not self._trail.may_sleep() else None)

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Write the last of them."""
        self._write()
        self._write_sums()
        self._tell_unwritten(last=True)

    def _write(self) -> bool:
        """What waits now, and not what comes meanwhile: a stop must not wait for the callers to tire. Whether there
        was, or is, something."""
        with self._at_work():
            return self._write_all()

    def _at_work(self) -> AbstractContextManager[None]:
        return self._trail.written() if self._log.runs_code_of_others else nullcontext()

    def _write_all(self) -> bool:
        trail, offset = self._trail, self._wall_clock() - self.node.clock.now()
        hits, records = trail.look()
        left = hits  # never one more: a record that came after the look may be older than a cached get after it
        for _ in range(records):
            record = trail.take_record()
            if record is not None:
                left -= self._write_hits(left, record[1], offset)
                self._log.record(record[0], record[1] + offset)
        self._write_hits(left, math.inf, offset)
        lost = trail.take_lost()
        if lost:
            self._log.lost(lost)
            self.node.observe(AuditRecordsLost(self.me.label, lost))
        self._tell_unwritten()
        return hits + records > 0

    def _tell_unwritten(self, *, last: bool = False) -> None:
        """Of a log that fails it is told at once, for an observer may hear it; how much is lost, when it is over."""
        problem = self._log.problem
        if problem is not None and not self._failing:
            self._failing = True
            self.node.observe(AuditLogFails(self.me.label, problem))
        if (problem is None or last) and (unwritten := self._log.take_unwritten()):
            self._failing = False
            self.node.observe(AuditRecordsLost(self.me.label, unwritten))

    def _write_hits(self, most: int, until: float, offset: float) -> int:
        """Up to *most* cached gets, in parts, of those that were before *until*. How many those were."""
        for taken in range(0, most, PART):
            wanted = min(PART, most - taken)
            part = self._trail.take_hits(wanted, until)
            if self._trail.rules.hits == "each":
                self._log.hits(part, offset)
            else:
                self._add_up(part)
            if len(part) < wanted:
                return taken + len(part)
        return most

    def _add_up(self, hits: list[Hit]) -> None:
        sums = self._trail.sums
        for given, version, now, caller in hits:
            name = plain(given)  # as its reader has spelt it
            known = sums.get((name, version, caller))
            if known is None:
                if len(sums) >= MAX_SUMS:
                    self._write_sums()
                sums[name, version, caller] = [1, now, now]
            else:
                known[0] += 1
                known[2] = now

    def _write_sums(self) -> None:
        offset = self._wall_clock() - self.node.clock.now()
        sums = self._trail.sums
        with self._at_work():
            for key in tuple(sums):
                known = sums.pop(key, None)
                if known is not None:  # else the thread of an earlier incarnation has written it
                    self._log.sum(key, int(known[0]), known[1] + offset, known[2] + offset)
