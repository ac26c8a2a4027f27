"""The audit buffer: audit records wait in it for the audit process, so that no caller waits for a disk.

Rule 1: the buffer outlives the audit process: a crash loses no record that the process has not taken out.
Rule 2: a cached get costs its caller one small tuple: name, version, time, caller. It makes no record, keeps no value,
        and does not ask whether a record is wanted. It wakes the audit process only if that sleeps; once awake, the
        process comes by itself every `PERIOD`, until it has found nothing for as long. The record of any other read
        that went well wakes it in the same way, so that a thousand callers of one secret have their answers before
        their records are written. Every other record, of a change or of a refusal, makes the process come at once.
Rule 3: the buffer is bounded: so many cached gets can wait, and as many other records. Those others come only as fast
        as the secrets actor can answer. They never wait for room.
Rule 4: a cached get that finds no room waits for it (`block`), *patience* seconds at most, or is not recorded (`drop`).
        Records that are lost so are counted, and the audit process reports their number.
Rule 5: a thread first appends and then looks whether the process sleeps; the process first says that it sleeps and then
        looks whether there is anything. So one of them sees the other.
Rule 6: while a record is written, code of the program may run that gets a secret: a log handler that sends the record
        somewhere, for example. Such a get makes no record, or that would go on without end. It is counted as `omitted`.
Rule 7: there is no lock: a signal handler may interrupt a thread that holds one and come here again. Adding to a number
        in place contains no call, so no other thread comes in between. A few records more than *buffer* do no harm.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter, Reading
from secrets_actor.domain.operations import STORE_MESSAGES
from secrets_actor.domain.packed_secret import HEAD, KIND, VERSION
from secrets_actor.domain.ports import AuditRecord, TakesHit
from secrets_actor.domain.tracing import CallerName
from secrets_actor.forks import notice_fork
from secrets_actor.otp import Clock, Name, Notifier

# Seconds between two looks while there is something to write.
PERIOD: Final = 0.05
# When the audit process has not looked for this many seconds, a cached get checks whether the process is there at all.
OVERDUE: Final = 1.0
# Records that may wait: as many as the cached gets of a second at full speed; about 25 MB.
BUFFER: Final = 100_000
# The messages to the audit process: write within a PERIOD; write now.
SOON, NOW = "soon", "now"
_READS: Final = frozenset(one.kind for one in STORE_MESSAGES if not one.writes)
# A cached get: the secret's name, its version and origin as bytes (`packed_secret.version_bytes`), clock seconds,
# the caller.
Hit = tuple[str, bytes, float, CallerName]


class AuditRules(Struct, frozen=True):
    """The settings of the audit. *hits*: a record for each cached get; or one in *summary_seconds* for all of the same
    version and caller; or none. *buffer*: how many records may wait. *full*: whether one more waits for room or is
    dropped. *patience*: how many seconds it waits at most."""

    hits: Literal["each", "summary", "off"] = "each"
    buffer: int = BUFFER
    full: Literal["block", "drop"] = "drop"
    patience: float = 1.0
    summary_seconds: float = 60.0


DEFAULT: Final = AuditRules()


class Tally(Protocol):
    """Is shown what is taken out of a buffer. It must not raise."""

    def count_hits(self, hits: Sequence[Hit]) -> None:
        """Take notice of cached gets."""

    def count_record(self, record: AuditRecord, at: float) -> None:
        """Take notice of *record*, which was handed over at *at* (clock seconds)."""


_ALWAYS: Final = -1  # a value of `_mark` by which each cached get looks whether there is room


class AuditBuffer:
    """One buffer. Any thread may hand records over; *server* is the audit process, which is woken to write them. While
    *is_wanted* returns False, records are only counted: waking the process would cost more than making them."""

    def __init__(
        self,
        server: Name,
        clock: Clock,
        rules: AuditRules = DEFAULT,
        meter: Meter = NO_METER,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self.rules = rules
        self._server, self._clock, self._meter, self._is_wanted = server, clock, meter, is_wanted
        self._hits: deque[Hit] = deque()
        self.sums: dict[tuple[str, bytes, CallerName], list[float]] = {}  # how many, the first and the last time
        self._half = max(1, rules.buffer // 2)
        # Is shown all that is taken out to be written. Here, and not where callers hand records over: a cached get must
        # not become slower by it.
        self.tally: Tally | None = None
        self.forget()
        self.hit: TakesHit = self._hit_unrecorded() if rules.hits == "off" else self._hit_recorded()
        meter.watch("audit buffer", self._readings)

    def forget(self) -> None:
        """Become empty: at first, and in the child of a fork, since the parent writes the records that wait."""
        self._hits.clear()  # not a new one: callers hold the function `hit`, which refers to this deque
        self.sums.clear()
        self._room = Notifier()
        self._records: deque[tuple[AuditRecord, float]] = deque()
        self._lost = self._taken = self._lost_hits = 0
        self._off = 0
        self._writer: int | None = None  # the id of the thread that writes, while the program's code may run in it
        self._asleep, self._pressed, self._mark = True, False, self._half
        self._wake_at = -math.inf  # clock seconds; a hit after it wakes the process, or checks that it is there
        self._urgent = False  # whether the process has been told to come now and has not looked yet

    # --- handing over ---------------------------------------------------------------------------------------------

    def _hit_recorded(self) -> TakesHit:
        mine, hits, append = self, self._hits, self._hits.append  # names of a closure are found faster than attributes
        head, kind, length = HEAD, KIND, VERSION

        def hit(name: str, kept: bytes, now: float, caller: CallerName) -> None:
            if len(hits) >= mine._mark and not mine._finds_room():
                return
            append((name, kept[kind : head + kept[length]], now, caller))  # packed_secret.version_bytes, inlined
            if now >= mine._wake_at:
                mine._wake_for(name, kept, now, caller)

        return hit

    def _hit_unrecorded(self) -> TakesHit:
        mine = self

        def hit(name: str, kept: bytes, now: float, caller: CallerName) -> None:  # noqa: ARG001
            mine._off += 1
            if now >= mine._wake_at:
                mine._wake_at = now + OVERDUE
                notice_fork()

        return hit

    def _wake_for(self, name: str, kept: bytes, now: float, caller: CallerName) -> None:
        """Wake the process, which sleeps or has not looked for long. In the second case it hangs, or this is the child
        of a fork that Python did not notice: then the buffer has just been emptied, and the hit is made again."""
        self._wake_at = now + OVERDUE
        if notice_fork():
            self.hit(name, kept, now, caller)
        elif self._asleep:
            self._wake()

    def _wake(self) -> None:
        self._asleep, self._wake_at = False, self._clock.now() + OVERDUE
        self._server.post(SOON)

    def _finds_room(self) -> bool:
        """Whether there is room for one more cached get. The buffer is half full or full: tell the process to come."""
        buffer = self.rules.buffer
        if self._writer is not None:
            if self._is_written_here():
                self._lost_hits += 1
                return False
            if len(self._hits) < self._half:
                return True
        if not self._pressed:
            self._pressed = True
            self._server.post(NOW)
        if len(self._hits) < buffer:
            self._mark = buffer if self._writer is None else _ALWAYS
            return True
        if self.rules.full == "block" and self._room.wait_for(lambda: len(self._hits) < buffer, self.rules.patience):
            return True
        self._lost += 1
        self._lost_hits += 1
        return False

    def _is_written_here(self) -> bool:
        """Whether this call comes from a handler that is just writing a record (rule 6). If so, count it as omitted."""
        if self._writer != threading.get_ident():
            return False
        self._meter.count(metrics.AUDIT, "omitted")
        return True

    def record(self, record: AuditRecord) -> None:
        """Hand *record* over to the audit process, and count it for the metrics."""
        self._tally(record)
        if not self._is_wanted() or (self._writer is not None and self._is_written_here()):
            return
        at, waits = self._clock.now(), record.outcome == "ok" and record.operation in _READS
        before = len(self._records)
        if before >= self.rules.buffer:
            self._lost += 1
            return
        self._records.append((record, at))
        urgent = not self._urgent and (not waits or before >= self._half)
        if urgent:
            self._urgent = True
            self._server.post(NOW)
        elif self._asleep:
            self._wake()

    def _tally(self, record: AuditRecord) -> None:
        count = self._meter.count
        count(metrics.ANSWERS, record.operation, record.outcome)
        if record.source == "cache":
            count(metrics.HITS if record.outcome == "ok" else metrics.NEGATIVE_HITS)
        elif record.source == "stale":
            count(metrics.STALE)
        elif record.source == "backend" and record.operation in ("get", "get_many"):
            count(metrics.MISSES)

    # --- taking (the audit process alone) -------------------------------------------------------------------------

    @property
    def waiting(self) -> tuple[int, int]:
        """The number of cached gets that wait, and the number of other records that wait."""
        return len(self._hits), len(self._records)

    def look(self) -> tuple[int, int]:
        """Return `waiting`, and note that the process looks now. A record that comes later may not be in these numbers,
        so it may make the process come once more."""
        self._urgent, self._wake_at = False, self._clock.now() + OVERDUE
        return self.waiting

    def take_hits(self, most: int, until: float = math.inf) -> list[Hit]:
        """Take out and return up to *most* cached gets, the oldest first, of those that are not later than *until*."""
        hits, taken = self._hits, []
        take = hits.popleft
        with contextlib.suppress(IndexError):  # none left; the thread of a killed incarnation may take them, too
            for _ in range(most):
                if hits[0][2] > until:
                    break
                taken.append(take())
        self._taken += len(taken)
        if self.tally is not None:
            self.tally.count_hits(taken)
        self._mark, self._pressed = self._half if self._writer is None else _ALWAYS, False
        if self.rules.full == "block":
            self._room.ring()
        return taken

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """Hold this while records go to code of the program, such as its log handlers (rule 6)."""
        before = self._writer  # not None if this is entered again inside of itself
        self._writer, self._mark = threading.get_ident(), _ALWAYS
        try:
            yield
        finally:
            self._writer, self._mark = before, self._half if before is None else _ALWAYS

    def take_record(self) -> tuple[AuditRecord, float] | None:
        """Take out and return the oldest of the other records, with the clock seconds at which it was handed over; None
        if there is none."""
        try:
            taken = self._records.popleft()
        except IndexError:
            return None
        if self.tally is not None:
            self.tally.count_record(*taken)
        return taken

    def take_lost(self) -> int:
        """Return how many records were lost for want of room since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def may_sleep(self) -> bool:
        """Whether no record waits, so that the process may sleep. The next record then wakes it (rule 5)."""
        self._asleep, self._wake_at = True, -math.inf
        if self._hits or self._records:
            self._asleep = False
        return self._asleep

    # --- counting -------------------------------------------------------------------------------------------------

    @property
    def hits(self) -> int:
        """The number of all cached gets so far, recorded or not."""
        if self.rules.hits == "off":
            return self._off
        return self._taken + len(self._hits) + self._lost_hits

    def _readings(self) -> Iterable[Reading]:
        hits = self.hits
        return (
            (metrics.HITS, (), hits),
            (metrics.ANSWERS, ("get", "ok"), hits),
            (metrics.AUDIT_WAITING, (), len(self._hits) + len(self._records)),
        )
