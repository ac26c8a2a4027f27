"""The order of operations per secret. PURE.

Rule 1: operations of one lane take effect in the order they entered; different lanes never wait for each other, but for
        an operation that is in both.
Rule 2: reads may run side by side; a write runs alone.
Rule 3: the epoch of a lane counts the writes that have entered it, and those of others that were told while it was in
        use: of an earlier actor, or of another program. What was read under an older epoch is history.
Rule 4: an operation may be in several lanes, for an ARN may mean several secrets. It enters all of them at once, and
        runs when its turn has come in each; as all enter in one order, no two ever wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice, takewhile

from msgspec import Struct


class _Ticket(Struct, eq=False):
    """One operation, and the lanes that it is in."""

    number: int
    writes: bool
    lanes: tuple[_Lane, ...]

    def starts(self) -> bool:
        """Run, if the turn has come."""
        for lane in self.lanes:
            if not lane.admits(self):
                return False
        for lane in self.lanes:
            lane.running[self.number] = lane.waiting.pop(self.number)
        return True


class _Lane(Struct, eq=False):
    name: str
    epoch: int = 0
    running: dict[int, _Ticket] = {}
    waiting: dict[int, _Ticket] = {}  # in the order they came

    def admits(self, ticket: _Ticket) -> bool:
        """Whether *ticket*, which waits here, may run as far as this lane goes."""
        if not self.running and next(iter(self.waiting)) == ticket.number:
            return True
        if ticket.writes:
            return False
        before = takewhile(lambda one: one is not ticket, self.waiting.values())
        return not self.is_written and not any(one.writes for one in before)

    @property
    def is_written(self) -> bool:
        return any(one.writes for one in self.running.values())

    def started(self) -> list[int]:
        """Start those whose turn has come: a write, or the reads up to the next write."""
        if not self.waiting or self.is_written:
            return []
        reads = list(takewhile(lambda one: not one.writes, self.waiting.values()))
        return [one.number for one in reads or list(islice(self.waiting.values(), 1)) if one.starts()]


class Lanes:
    """Tickets (any int) queue in lanes (any text)."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._changes = 0

    @property
    def changes(self) -> int:
        """Grows with each write that enters a lane or leaves it: what was read outside of all lanes is the present as
        long as this stays as it was."""
        return self._changes

    def epoch(self, lanes: Iterable[str]) -> int:
        """How many writes have entered *lanes*, each counted since it was last empty."""
        writes = 0
        for lane in lanes:
            found = self._lanes.get(lane)
            writes += 0 if found is None else found.epoch
        return writes

    def enter(self, lanes: Iterable[str], ticket: int, *, writes: bool) -> list[int]:
        """Queue *ticket* in all *lanes*; the tickets that may start now (itself, or none)."""
        queues = tuple([self._lanes.get(lane) or self._lanes.setdefault(lane, _Lane(lane)) for lane in lanes])
        entered = _Ticket(ticket, writes, queues)
        for queue in queues:
            queue.epoch += writes
            queue.waiting[ticket] = entered
        self._changes += writes
        return [ticket] if entered.starts() else []

    def outdate(self, lanes: Iterable[str]) -> None:
        """A write of somebody else has taken effect: what is being read in *lanes* may be older."""
        self._changes += 1
        for lane in lanes:
            if lane in self._lanes:
                self._lanes[lane].epoch += 1

    def outdate_all(self) -> None:
        """What is being read anywhere is history."""
        self._changes += 1
        for lane in self._lanes.values():
            lane.epoch += 1

    def leave(self, lanes: Iterable[str], ticket: int) -> list[int]:
        """*ticket* is done, or gave up while it waited in *lanes*; the tickets that may start now."""
        queues = [self._lanes[lane] for lane in lanes if lane in self._lanes]
        ran: _Ticket | None = None
        for queue in queues:
            queue.waiting.pop(ticket, None)
            ran = queue.running.pop(ticket, None)
        self._changes += ran is not None and ran.writes
        started: list[int] = []
        for queue in queues:
            started += queue.started()
        for queue in queues:
            if not queue.running and not queue.waiting:
                del self._lanes[queue.name]
        return started

    def __len__(self) -> int:
        return len(self._lanes)
