"""Tells the table of subscriptions what the store says of current versions. Part of the secrets actor.

Rule 1: a read counts if no write has come since it was sent; the actor knows. A set of ours that can only have happened
        once counts as it is. After any other write, and after one whose outcome nobody knows, the store is asked anew.
Rule 2: nobody asks anew for a secret that nobody has subscribed to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from secrets_actor.actor.flights import Flight
from secrets_actor.actor.sightings import NEVER
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.domain.errors import SecretNotFound, SecretsError
from secrets_actor.domain.operations import AWSCURRENT, Get, GetMany, Set
from secrets_actor.domain.secret import Secret


class VersionWatch:
    """*ask*: have a get done, in the background."""

    def __init__(self, table: Subscriptions, now: Callable[[], float], ask: Callable[[Get], None]) -> None:
        self._table, self._now, self._ask = table, now, ask
        self._since = NEVER  # when the present store came into force

    def store_changed(self) -> None:
        """What was sent before tells of another store."""
        self._since = self._now()
        self._table.doubt()

    def done(self, flight: Flight, value: Any, kept: bool) -> None:
        """The store has answered *flight* with *value*; *kept*: no write has come since it was sent."""
        operation, lane = flight.operation, flight.lane
        if isinstance(operation, GetMany) and kept:
            for secret in value.found.values():
                self._read(flight, secret)
        elif kept and _is_of_current(operation):
            self._read(flight, value)
        elif operation.writes and lane is not None and self._table.wants(lane):
            once = isinstance(operation, Set) and operation.minted and not flight.repeated
            if once and flight.sent_at > self._since:
                self._table.wrote(lane, value.version_id, self._now())
            else:
                self.ask_anew(lane)

    def failed(self, flight: Flight, error: SecretsError, kept: bool) -> None:
        """*flight* has come to nothing."""
        operation, lane = flight.operation, flight.lane
        if operation.writes:
            self.ask_anew(lane)
        elif kept and lane is not None and isinstance(error, SecretNotFound) and _is_of_current(operation):
            self._table.absent(lane, self._now())

    def ask_anew(self, lane: str | None) -> None:
        """Nobody knows what has become of the secret in *lane*."""
        if lane is not None and self._table.wants(lane):
            self._ask(Get(lane, refresh=True))

    def _read(self, flight: Flight, secret: Secret) -> None:
        name = secret.name
        if self._table.wants(name) and not self._table.read(name, secret.version_id, flight.sent_at, self._now()):
            self.ask_anew(name)


def _is_of_current(operation: Any) -> bool:
    return isinstance(operation, Get) and operation.version == (None, AWSCURRENT)
