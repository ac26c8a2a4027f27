"""One flight per key for all who ask at once. PURE.

Rule 1: a flight is one unit of work: an operation, those who wait for it, and how it has gone so far.
Rule 2: reads of the same version in the same epoch of a lane share a flight, queued or under way. A write behind it
        opens a new epoch, so a read behind that write gets a flight of its own.
Rule 3: a read that insists on a fresh answer does not join one that has taken off already. It supersedes that one,
        whose answer may come later and be older.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable
from typing import Any, Protocol

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.tracing import Caller, Sending
from secrets_actor.records import dataclass, field

# Shared by all incarnations of the actor: an answer to an earlier one's question must not pass for ours.
_ids = itertools.count(1)


@dataclass(slots=True, eq=False)
class Waiter:
    """One caller: `caller` is his From, `operation` what he asked; `arrived` and `deadline` are in clock seconds."""

    caller: Any
    operation: Operation[Any]
    arrived: float
    deadline: float

    def __init__(self, caller: Any, operation: Operation[Any], arrived: float, deadline: float) -> None:
        self.caller, self.operation, self.arrived, self.deadline = caller, operation, arrived, deadline

    @property
    def asker(self) -> Caller:
        """Who he is."""
        if self.caller.note is None:
            self.caller.note = Caller()
        return self.caller.note  # type: ignore[no-any-return]

    @property
    def gone(self) -> bool:
        """Whether he has his answer, or has given up."""
        return bool(self.caller.settled)


@dataclass(slots=True, eq=False)
class Flight:
    """One unit of work. What needs no order is in no `lanes`."""

    id: int
    operation: Operation[Any]
    lanes: tuple[str, ...]
    epoch: int
    key: Hashable
    waiters: list[Waiter]
    queued: bool  # it had to wait in its lane
    started: bool
    sent_at: float  # the last time
    factory: object  # the store it was sent to then
    latest: float  # when the last of those who waited then would give up
    crashes: int
    repeated: bool  # it was sent before, and nobody heard what became of it
    doubt: SecretsError | None  # what became of it then, if it may have taken effect
    refused: tuple[Credentials | None, SecretsError] | None = field(repr=False)  # keys that the store refused, and how
    superseded: bool
    hurried: bool  # who waits for it and takes something stale has got that
    sendings: list[Sending] = field(repr=False)

    def __init__(
        self,
        id: int,
        operation: Operation[Any],
        lanes: tuple[str, ...] = (),
        epoch: int = 0,
        key: Hashable = None,
        waiters: Iterable[Waiter] = (),
    ) -> None:
        self.id, self.operation, self.lanes, self.epoch, self.key = id, operation, lanes, epoch, key
        self.waiters, self.sendings = [*waiters], []
        self.queued = self.started = self.repeated = self.superseded = self.hurried = False
        self.sent_at = self.latest = 0.0
        self.factory = self.doubt = self.refused = None
        self.crashes = 0

    @property
    def deadline(self) -> float | None:
        """When the last of those who still wait gives up; None if nobody does."""
        return max((waiter.deadline for waiter in self.waiters if not waiter.gone), default=None)


class Outcomes(Protocol):
    """Who hears how a flight went: of each that was submitted, one of the first three, once."""

    def done(self, flight: Flight, answer: Answer[Any]) -> None:
        """The store's answer."""

    def failed(self, flight: Flight, error: SecretsError) -> None:
        """It came to nothing, for all who wait."""

    def cancelled(self, flight: Flight) -> None:
        """Nobody waited any more."""

    def delayed(self, flight: Flight) -> None:
        """It is to be sent once more."""

    def hurried(self, flight: Flight, error: SecretsError) -> None:
        """It may take long, as *error* says: who waits for it and takes something stale is to have that now."""


class Flights:
    """All flights that have not landed."""

    def __init__(self) -> None:
        self._waiting = 0
        self._flights: dict[int, Flight] = {}
        self._open: dict[Hashable, Flight] = {}  # those that may be joined

    def new(
        self, operation: Operation[Any], lanes: tuple[str, ...] = (), epoch: int = 0, key: Hashable = None
    ) -> Flight:
        """A flight of its own; with a *key*, the one to join from now on, and one before it is superseded."""
        flight = Flight(next(_ids), operation, lanes, epoch, key)
        self._flights[flight.id] = flight
        if key is not None:
            if key in self._open:
                self._open[key].superseded = True
            self._open[key] = flight
        return flight

    def joinable(self, key: Hashable, *, fresh: bool) -> Flight | None:
        """The flight to join for *key*; with *fresh*, only one that has not taken off."""
        flight = self._open.get(key)
        return None if flight is None or (fresh and flight.started) else flight

    def under_way(self, key: Hashable) -> Flight | None:
        """The flight for *key* that has not landed, whether or not it may be joined."""
        return self._open.get(key)

    def get(self, flight: int) -> Flight | None:
        """The flight with this id, unless it has landed."""
        return self._flights.get(flight)

    def board(self, flight: Flight, waiter: Waiter) -> None:
        """Let *waiter* wait for *flight*."""
        flight.waiters.append(waiter)
        if (trace := waiter.asker.trace) is not None:
            trace.admitted, trace.sendings = waiter.arrived, flight.sendings
        self._waiting += 1

    def disembark(self, flight: Flight) -> list[Waiter]:
        """Let those go who have given up on *flight* while others go on waiting."""
        gone: list[Waiter] = []
        left: list[Waiter] = []
        for waiter in flight.waiters:
            (gone if waiter.gone else left).append(waiter)
        flight.waiters = left
        self._waiting -= len(gone)
        return gone

    def land(self, flight: Flight) -> None:
        """*flight* is over."""
        if self._flights.pop(flight.id, None) is not None:
            self._waiting -= len(flight.waiters)
        if self._open.get(flight.key) is flight:
            del self._open[flight.key]

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return self._waiting

    def __len__(self) -> int:
        return len(self._flights)
