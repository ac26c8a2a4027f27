"""The lanes: they keep the order of operations of each secret. PURE.

Rule 1: operations of one lane take effect in the order in which they entered it. Different lanes do not wait for each
        other, except for an operation that is in both.
Rule 2: reads may run side by side; a write runs alone.
Rule 3: the epoch of a lane counts the writes that have entered it. It also counts writes of others (an earlier actor or
        another program) that we are told of while the lane is in use. A value read under an older epoch is out of date.
Rule 4: an operation may be in several lanes, because an ARN may mean several secrets. It enters all of them at once,
        and runs when its turn has come in each. Since all operations enter in one order, no two can wait for each
        other.
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
        """Start to run if its turn has come in all lanes, and return whether it has."""
        for lane in self.lanes:
            if not lane.admits(self):
                return False
        for lane in self.lanes:
            lane.running[self.number] = lane.waiting.pop(self.number)
        return True


class _Lane(Struct, eq=False):
    """One lane: the operations that run in it, and those that wait."""

    name: str
    epoch: int = 0
    running: dict[int, _Ticket] = {}
    waiting: dict[int, _Ticket] = {}  # in the order they came

    def admits(self, ticket: _Ticket) -> bool:
        """Whether *ticket*, which waits in this lane, may run here; its other lanes may still hold it up."""
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
        """Start the operations whose turn has come: one write, or the reads up to the next write. Return their
        numbers."""
        if not self.waiting or self.is_written:
            return []
        reads = list(takewhile(lambda one: not one.writes, self.waiting.values()))
        return [one.number for one in reads or list(islice(self.waiting.values(), 1)) if one.starts()]


class Lanes:
    """All lanes that are in use. An operation is known by its ticket (any int), a lane by its name (any text)."""

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._changes = 0

    @property
    def changes(self) -> int:
        """A number that grows with each write that enters or leaves a lane, and with each write of others that we are
        told of. A value that was read outside of all lanes is up to date as long as the number is the same."""
        return self._changes

    def epoch(self, lanes: Iterable[str]) -> int:
        """The sum of the epochs of *lanes*. A lane that has been empty starts again at 0."""
        writes = 0
        for lane in lanes:
            found = self._lanes.get(lane)
            writes += 0 if found is None else found.epoch
        return writes

    def enter(self, lanes: Iterable[str], ticket: int, *, writes: bool) -> list[int]:
        """Queue *ticket* in all *lanes*. Return the tickets that may start now: this one, or none."""
        queues = tuple([self._lanes.get(lane) or self._lanes.setdefault(lane, _Lane(lane)) for lane in lanes])
        entered = _Ticket(ticket, writes, queues)
        for queue in queues:
            queue.epoch += writes
            queue.waiting[ticket] = entered
        self._changes += writes
        return [ticket] if entered.starts() else []

    def outdate(self, lanes: Iterable[str]) -> None:
        """Raise the epochs of *lanes*: somebody else's write has taken effect, and reads under way may be older."""
        self._changes += 1
        for lane in lanes:
            if lane in self._lanes:
                self._lanes[lane].epoch += 1

    def outdate_all(self) -> None:
        """Raise the epochs of all lanes: all reads under way are out of date."""
        self._changes += 1
        for lane in self._lanes.values():
            lane.epoch += 1

    def leave(self, lanes: Iterable[str], ticket: int) -> list[int]:
        """*ticket* is done, or gave up while it waited in *lanes*. Return the tickets that may start now."""
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
