"""What the outcome of a flight does to the cache. Part of the secrets actor.

Rule 1: what was read before a write came is not kept after it. Of many secrets read at once, outside of all lanes,
        nothing is kept if any write came or ended meanwhile.
Rule 2: a set is kept that can only have happened once: its token was ours, and it was sent once.
Rule 3: what the store says no to is not to be served either.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from secrets_actor.actor.cache import Pen
from secrets_actor.actor.fallback import is_outage
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.lanes import Lanes
from secrets_actor.domain.errors import SecretNotFound, SecretsError
from secrets_actor.domain.operations import Get, GetMany, Set


class Keeper:
    """Writes with *pen*; *lanes* say what came meanwhile."""

    def __init__(self, pen: Pen, lanes: Lanes, wall_clock: Callable[[], datetime]) -> None:
        self._pen, self._lanes, self._wall_clock = pen, lanes, wall_clock

    def done(self, flight: Flight, value: Any) -> bool:
        """The store answered *flight* with *value*. Whether no write has come since."""
        operation, then, kept = flight.operation, flight.sent_at, self._keeps(flight)
        if isinstance(operation, Get) and kept:
            self._pen.store(operation, value, then)
        elif isinstance(operation, Set) and kept and operation.minted and not flight.repeated:
            self._pen.store(Get(operation.secret_id), operation.written(value, self._wall_clock()), then)
        elif isinstance(operation, GetMany) and kept:
            for secret_id, secret in value.found.items():
                self._pen.store(Get(secret_id), secret, then)
        return kept

    def failed(self, flight: Flight, error: SecretsError, now: float) -> bool:
        """*flight* came to nothing. Whether no write has come since."""
        operation, kept = flight.operation, self._keeps(flight)
        if flight.lane is not None and not (error.retryable or is_outage(error)):
            self._pen.drop(flight.lane)
            if isinstance(operation, Get) and isinstance(error, SecretNotFound) and kept:
                self._pen.store_missing(operation, now)
        return kept

    def _keeps(self, flight: Flight) -> bool:
        """A write itself opened an epoch when it entered its lane."""
        if flight.lane is None:
            return flight.epoch == self._lanes.changes
        return self._lanes.epoch(flight.lane) == flight.epoch + flight.operation.writes and not flight.superseded
