"""What the outcome of a flight does to the cache, and what subscribers hear of it. The one place that decides either.

Rule 1: what was read before a write came is not kept after it. Of many secrets read at once, outside of all lanes,
        nothing is kept if any write came or ended meanwhile.
        It is answered all the same, and may be newer than what is in memory, which goes then.
Rule 2: a set that can only have happened once is kept, and is news to subscribers: its token was made here, and it was
        sent once. After any other write, and after one whose outcome is unknown, the store is asked anew.
Rule 3: what the store says no to is not to be served either, whether the no is an error or a part of an answer.
Rule 4: a read is news if no write has come since it was sent. Nothing is asked anew for subscribers that do not exist.
Rule 5: what somebody else has changed (`Invalidate`) is past its TTL at once, and news to come for subscribers.
Rule 6: what was sent before another store came into force is not kept (flights.py says so), and is no news.

=====================  ==============================  ================================================================
operation              outcome                         what it does to the cache
=====================  ==============================  ================================================================
get                    the secret                      it is kept (rule 1)
                       not found                       of the current version: all versions go; of another: that one.
                                                       And that there is none is kept (rule 1)
                       cannot be opened, or version    of the current version: all versions go; of another: that one
                       and stage do not fit
                       deleted, denied, credentials    all versions go
                       refused
get_many               a secret that was found         as a get of it
                       an error for one of them        as a get of it
                       an error for all of them        as a get of each; but that there is none is not kept
describe, list         scheduled for deletion          all versions go
any other read of      not found, deleted,             all versions go
one secret             credentials refused
                       denied, or anything else        nothing: the value may be read still, and is as it was
any write              whatever comes of it            all versions go before it is sent and again after it. Then a
                                                       set is kept (rule 2)
anything               an outage, out of time,         nothing (stale_answers.py)
                       throttled, not known to this
                       store
=====================  ==============================  ================================================================

"All versions" are those of any secret that the id may mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from secrets_actor.actor.cache import CacheWriter
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.stale_answers import Scope, asks_for_current, scope_of
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.actor.version_tracking import NEVER
from secrets_actor.domain.errors import CredentialsError, SecretNotFound, SecretsError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Get, GetMany, Operation, Set, is_minted, secret_after
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import SecretDescription, SecretPage


class OutcomeEffects:
    """Writes the cache with *writer*, and tells *subscriptions*; *wall_clock* dates what a set has written. Its methods
    return the ids that are to be asked for anew; *kept* is whether no write has come since the store was asked, *now*
    is in clock seconds."""

    def __init__(self, writer: CacheWriter, subscriptions: Subscriptions, wall_clock: Callable[[], datetime]) -> None:
        self._writer, self._subscriptions, self._wall_clock = writer, subscriptions, wall_clock
        self._since = NEVER  # when the store in force came into force

    def write_begun(self, write: Operation[Any]) -> None:
        """*write* is about to be sent: nothing of what it writes to is served from here on."""
        secret_id = getattr(write, "secret_id", None)
        if secret_id is not None:
            self._writer.drop(*SecretId(secret_id).lanes)

    def drop(self, lanes: Iterable[str]) -> None:
        """A write to *lanes* has come back."""
        self._writer.drop(*lanes)

    def sweep(self, now: float, left: Iterator[None] | None) -> Iterator[None] | None:
        """Drop a part of what may not be served any more; what to go on with, None when all is done."""
        return self._writer.sweep(now, left)

    def in_doubt(self, lanes: Iterable[str]) -> Iterable[str]:
        """Nobody knows what has become of the secrets in *lanes*."""
        return self._subscriptions.ids(lanes)

    def invalidated(self, lanes: Iterable[str], now: float) -> None:
        """Somebody has changed the secrets in *lanes*. Subscribers ask for them themselves: they go on trying while the
        store does not answer."""
        self._writer.outdate(*lanes, now=now)
        self._subscriptions.outdate(lanes, now)

    def clock_leapt(self, seconds: float) -> None:
        """All that is in memory is older than it seemed."""
        self._writer.age(seconds)
        self._subscriptions.age(seconds)

    def backend_changed(self, now: float) -> None:
        """What is in memory, and what was sent before, tells of another store."""
        self._writer.clear()
        self._since = now
        self._subscriptions.doubt()

    def answered(self, flight: Flight, answer: Answer[Any], kept: bool, now: float) -> Iterable[str]:
        """The store gave *answer* to *flight*."""
        operation, then, value = flight.operation, flight.sent_at, answer.value
        anew: Iterable[str] = ()
        if isinstance(operation, Get):
            self._writer.store(operation, value, then, kept=kept, came_at=now)
            if kept and asks_for_current(operation):
                anew = self._subscriptions.read(operation.secret_id, value, then, now)
        elif isinstance(operation, GetMany):
            anew = self._answered_each(value, kept, then, now)
        elif isinstance(operation, Set) and is_minted(operation) and not flight.repeated:  # rule 2
            if kept:
                written = secret_after(operation, value, self._wall_clock(), answer.origin)
                self._writer.store(Get(operation.secret_id), written, then, came_at=now)
            fresh = then > self._since
            anew = (
                self._subscriptions.wrote(operation.secret_id, value, then, now)
                if fresh
                else self.in_doubt(flight.lanes)
            )
        elif operation.writes:
            anew = self.in_doubt(flight.lanes)
        for known in _descriptions_in(value):
            if known.deleted_at is not None:
                self._writer.gone(known.name, known.arn, now)
        return anew

    def _answered_each(self, value: Any, kept: bool, then: float, now: float) -> Iterable[str]:
        anew: list[str] = []
        for secret_id, secret in value.found.items():
            self._writer.store(Get(secret_id), secret, then, kept=kept, came_at=now)
            if kept:
                anew += self._subscriptions.read(secret_id, secret, then, now)
        for secret_id, error in value.errors.items():
            self._refused(Get(secret_id), error, then, now, kept=kept)
            if kept and isinstance(error, SecretNotFound):
                self._subscriptions.absent(secret_id, now)
        return anew

    def failed(self, flight: Flight, error: SecretsError, kept: bool, now: float) -> Iterable[str]:
        """*flight* came to nothing."""
        operation = flight.operation
        # Without credentials it was never sent.
        asked_at = now if isinstance(error, CredentialsError) else flight.sent_at
        if operation.writes:
            return self.in_doubt(flight.lanes)
        if isinstance(operation, GetMany):
            for secret_id in operation.secret_ids:
                self._refused(Get(secret_id), error, asked_at, now, kept=False)
        elif flight.lanes:
            self._refused(operation, error, asked_at, now, kept=kept)
            if kept and asks_for_current(operation) and isinstance(error, SecretNotFound):
                self._subscriptions.absent(operation.secret_id, now)
        return ()

    def _refused(
        self, operation: Operation[Any], error: SecretsError, asked_at: float, now: float, *, kept: bool
    ) -> None:
        scope = scope_of(operation, error)
        if scope is Scope.NOTHING:
            return
        get = operation if isinstance(operation, Get) else Get(getattr(operation, "secret_id"))  # noqa: B009
        undisputed = self._writer.refuse(get, asked_at, whole=scope is Scope.SECRET, came_at=now)
        if kept and undisputed and get is operation and isinstance(error, SecretNotFound):
            self._writer.store_missing(get, asked_at)


def _descriptions_in(value: Any) -> Iterable[SecretDescription]:
    """The secrets that *value* tells of, if it is a description or a list."""
    found = value.secrets if isinstance(value, SecretPage) else value if isinstance(value, tuple) else (value,)
    return [one for one in found if isinstance(one, SecretDescription)]
