"""The order of operations per secret. PURE.

Rule 1: operations of one lane take effect in the order they entered; different lanes never wait for each other.
Rule 2: reads may run side by side; a write runs alone.
Rule 3: the epoch of a lane counts the writes that have entered it, and those of an earlier actor that ended while it
        was in use: what was read under an older epoch is history.
"""

from __future__ import annotations

from collections import deque

from secrets_actor.records import dataclass


@dataclass(slots=True)
class _Lane:
    epoch: int
    running: dict[int, bool]  # ticket -> writes
    waiting: deque[tuple[int, bool]]

    def __init__(self) -> None:
        self.epoch, self.running, self.waiting = 0, {}, deque()

    def startable(self) -> list[int]:
        started = []
        while self.waiting:
            ticket, writes = self.waiting[0]
            if any(self.running.values()) or (writes and self.running):
                break
            self.waiting.popleft()
            self.running[ticket] = writes
            started.append(ticket)
        return started


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

    def epoch(self, lane: str) -> int:
        """How many writes have entered *lane* since it was last empty."""
        found = self._lanes.get(lane)
        return 0 if found is None else found.epoch

    def enter(self, lane: str, ticket: int, *, writes: bool) -> list[int]:
        """Queue *ticket*; the tickets that may start now (itself, or none)."""
        queue = self._lanes.setdefault(lane, _Lane())
        queue.epoch += writes
        self._changes += writes
        queue.waiting.append((ticket, writes))
        return queue.startable()

    def outdate(self, lane: str) -> None:
        """A write that is none of ours has taken effect: what is being read in *lane* may be older."""
        self._changes += 1
        if lane in self._lanes:
            self._lanes[lane].epoch += 1

    def outdate_all(self) -> None:
        """What is being read anywhere is history."""
        self._changes += 1
        for lane in self._lanes.values():
            lane.epoch += 1

    def leave(self, lane: str, ticket: int) -> list[int]:
        """*ticket* is done, or gave up while it waited; the tickets that may start now."""
        queue = self._lanes.get(lane)
        if queue is None:
            return []
        wrote = queue.running.pop(ticket, None)
        self._changes += bool(wrote)
        if wrote is None:
            queue.waiting = deque(entry for entry in queue.waiting if entry[0] != ticket)
        started = queue.startable()
        if not queue.running and not queue.waiting:
            del self._lanes[lane]
        return started

    def __len__(self) -> int:
        return len(self._lanes)
