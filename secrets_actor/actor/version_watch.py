"""Tells the table of subscriptions what the store says of current versions. Part of the secrets actor.

Rule 1: a read counts if no write has come since it was sent; the actor knows. A set of ours that can only have happened
        once counts as it is. After any other write, and after one whose outcome nobody knows, the store is asked anew.
Rule 2: nobody asks anew for a secret that nobody has subscribed to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from secrets_actor.actor.fallback import asks_for_current
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.sightings import NEVER
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.domain.errors import SecretNotFound, SecretsError
from secrets_actor.domain.operations import Get, GetMany, Set


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
        operation = flight.operation
        if isinstance(operation, GetMany) and kept:
            for secret_id, secret in value.found.items():
                self._doubted(self._table.read(secret_id, secret, flight.sent_at, self._now()))
            for secret_id, error in value.errors.items():
                self._refused(secret_id, error)
        elif kept and asks_for_current(operation):
            self._doubted(self._table.read(operation.secret_id, value, flight.sent_at, self._now()))
        elif isinstance(operation, Set) and self._is_news(flight, minted=operation.minted):
            self._doubted(self._table.wrote(operation.secret_id, value, self._now()))
        elif operation.writes:
            self.ask_anew(flight.lanes)

    def failed(self, flight: Flight, error: SecretsError, kept: bool) -> None:
        """*flight* has come to nothing."""
        operation = flight.operation
        if operation.writes:
            self.ask_anew(flight.lanes)
        elif kept and asks_for_current(operation):
            self._refused(operation.secret_id, error)

    def ask_anew(self, lanes: Iterable[str]) -> None:
        """Nobody knows what has become of the secrets in *lanes*."""
        self._doubted(self._table.ids(lanes))

    def _is_news(self, flight: Flight, *, minted: bool) -> bool:
        """Whether a set can only have happened once, and in the present store."""
        return minted and not flight.repeated and flight.sent_at > self._since

    def _refused(self, secret_id: str, error: SecretsError) -> None:
        if isinstance(error, SecretNotFound):
            self._table.absent(secret_id, self._now())

    def _doubted(self, secret_ids: Iterable[str]) -> None:
        for secret_id in secret_ids:
            self._ask(Get(secret_id, refresh=True))
