"""Where audit records wait for the audit process, so that no caller waits for a disk.

Rule 1: the trail outlives the process: a crash loses none that has not been taken out.
Rule 2: a cached get costs its caller one small tuple: name, version, time, caller. It makes no record, keeps no value,
        and asks nobody whether it is wanted. The process is woken for it only when it sleeps; once awake, it comes by
        itself every `PERIOD`, until it has found nothing for as long. So is it for the record of any other read that
        went well: a thousand callers of one secret shall have their answers before their records are written. All
        else, which is what changes a secret and what was refused, has it come at once.
Rule 3: the trail is bounded, for gets from the cache and for all other records apart: so many cached gets can wait, and
        as many of the rest, which come only as fast as the secrets actor can answer, and never wait for room.
Rule 4: a cached get that finds no room waits for some (`block`), for *patience* at most, or goes unrecorded (`drop`).
        What is not recorded is counted, and the next one written says how many those were.
Rule 5: whoever appends looks then whether the process sleeps; the process says that it sleeps and looks then whether
        there is something. So either sees the other.
Rule 6: whoever writes a record may come upon code that gets a secret, as a handler that sends it somewhere does: that
        get makes no record, or there would be no end to it. It is counted, as `omitted`.
Rule 7: there is no lock: whoever holds one may be interrupted, and come here again. To add to a number in place is no
        call, so nobody comes between; that a few more than *buffer* find room does no harm.
"""

from __future__ import annotations

import contextlib
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Literal

from msgspec import Struct

from secrets_actor.domain import metrics
from secrets_actor.domain.metrics import NO_METER, Meter, Reading
from secrets_actor.domain.operations import MESSAGES
from secrets_actor.domain.packed_secret import HEAD, KIND, VERSION
from secrets_actor.domain.ports import AuditRecord, TakesHit
from secrets_actor.forks import notice_fork
from secrets_actor.otp import Clock, Name, Notifier

# Seconds between two looks while there is something to write.
PERIOD: Final = 0.05
# Seconds without a look after which a cached get looks itself whether the process is there at all.
OVERDUE: Final = 1.0
# A second of cached gets at full speed; about 25 MB.
BUFFER: Final = 100_000
# To the audit process: there is something to be written within a PERIOD; there is something to be written now.
SOON, NOW = "soon", "now"
_READS: Final = frozenset(one.kind for one in MESSAGES if not one.writes)
# A cached get: the secret's name, what `block.version_bytes` gives, clock seconds, the caller's label.
Hit = tuple[str, bytes, float, str | None]


class AuditRules(Struct, frozen=True):
    """*hits*: a record for each cached get, one for all of the same version and caller in *summary_seconds*, or none.
    *buffer*: how many may wait. *full*: what is done with one more; *patience*: seconds it waits at most."""

    hits: Literal["each", "summary", "off"] = "each"
    buffer: int = BUFFER
    full: Literal["block", "drop"] = "drop"
    patience: float = 1.0
    summary_seconds: float = 60.0


DEFAULT: Final = AuditRules()
_ALWAYS: Final = -1  # of a mark: each cached get looks whether there is room


class AuditBuffer:
    """An AuditBuffer that any thread may tell; *server* is woken to write what is told. Records not *is_wanted*
    are counted, and kept from it: waking it costs more than they do."""

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
        self.sums: dict[tuple[str, bytes, str | None], list[float]] = {}  # how many, the first and the last time
        self._half = max(1, rules.buffer // 2)
        self.forget()
        self.hit: TakesHit = self._hit_unrecorded() if rules.hits == "off" else self._hit_recorded()
        meter.watch("audit trail", self._readings)

    def forget(self) -> None:
        """In the child of a fork: empty, for what waits is the parent's to write. What callers hold stays as it is."""
        self._hits.clear()
        self.sums.clear()
        self._room = Notifier()
        self._records: deque[tuple[AuditRecord, float]] = deque()
        self._lost = self._taken = self._lost_hits = 0
        self._off = 0
        self._writer: int | None = None  # the thread that writes, while code of others may run in it
        self._asleep, self._pressed, self._mark = True, False, self._half
        self._wake_at = -math.inf  # from when on (clock seconds) a hit sees to it that the process comes
        self._urgent = False  # the process has been told to come now, and has not looked yet

    # --- telling --------------------------------------------------------------------------------------------------

    def _hit_recorded(self) -> TakesHit:
        trail, hits, append = self, self._hits, self._hits.append  # names of a closure are found faster than attributes
        head, kind, length = HEAD, KIND, VERSION

        def hit(name: str, kept: bytes, now: float, caller: str | None) -> None:
            if len(hits) >= trail._mark and not trail._finds_room():
                return
            append((name, kept[kind : head + kept[length]], now, caller))  # block.version_bytes, inlined
            if now >= trail._wake_at:
                trail._wake_for(name, kept, now, caller)

        return hit

    def _hit_unrecorded(self) -> TakesHit:
        trail = self

        def hit(name: str, kept: bytes, now: float, caller: str | None) -> None:  # noqa: ARG001
            trail._off += 1
            if now >= trail._wake_at:
                trail._wake_at = now + OVERDUE
                notice_fork()

        return hit

    def _wake_for(self, name: str, kept: bytes, now: float, caller: str | None) -> None:
        """The process sleeps, or has not looked for long: it hangs, or this is the child of a fork, and it is not here.
        Then the trail has forgotten this hit, too."""
        self._wake_at = now + OVERDUE
        if notice_fork():
            self.hit(name, kept, now, caller)
        elif self._asleep:
            self._wake()

    def _wake(self) -> None:
        self._asleep, self._wake_at = False, self._clock.now() + OVERDUE
        self._server.post(SOON)

    def _finds_room(self) -> bool:
        """The trail is half full, or full: have the process come now. Whether there is room for one more."""
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
        """Whether this call was made by a handler that is just writing a record: a record of it would have the handler
        make another, without end. It is counted."""
        if self._writer != threading.get_ident():
            return False
        self._meter.count(metrics.AUDIT, "omitted")
        return True

    def record(self, record: AuditRecord) -> None:
        """Hand *record* over."""
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
        """How many cached gets and how many other records wait."""
        return len(self._hits), len(self._records)

    def look(self) -> tuple[int, int]:
        """The same. What comes from now on may not be among it: it can have the process come once more."""
        self._urgent, self._wake_at = False, self._clock.now() + OVERDUE
        return self.waiting

    def take_hits(self, most: int, until: float = math.inf) -> list[Hit]:
        """Up to *most* cached gets, the oldest first, of those that were before *until*."""
        hits, taken = self._hits, []
        take = hits.popleft
        with contextlib.suppress(IndexError):  # no more, or the thread of an earlier incarnation takes them, too
            for _ in range(most):
                if hits[0][2] > until:
                    break
                taken.append(take())
        self._taken += len(taken)
        self._mark, self._pressed = self._half if self._writer is None else _ALWAYS, False
        if self.rules.full == "block":
            self._room.ring()
        return taken

    @contextlib.contextmanager
    def written(self) -> Iterator[None]:
        """While records are handed to code of others, such as handlers of the program's logging (rule 6)."""
        before = self._writer
        self._writer, self._mark = threading.get_ident(), _ALWAYS
        try:
            yield
        finally:
            self._writer, self._mark = before, self._half if before is None else _ALWAYS

    def take_record(self) -> tuple[AuditRecord, float] | None:
        """The oldest of all other records, and when it was handed over."""
        try:
            return self._records.popleft()
        except IndexError:
            return None

    def take_lost(self) -> int:
        """How many went unrecorded since the last time."""
        lost, self._lost = self._lost, 0
        return lost

    def may_sleep(self) -> bool:
        """Whether there is nothing: then the process is woken for the next one (rule 5)."""
        self._asleep, self._wake_at = True, -math.inf
        if self._hits or self._records:
            self._asleep = False
        return self._asleep

    # --- counting -------------------------------------------------------------------------------------------------

    @property
    def hits(self) -> int:
        """How many cached gets there were, recorded or not."""
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
