"""The effects of a flight's outcome on the cache and on subscribers. Both are decided here, and nowhere else.

Rule 1: a value that was read before a write came is not kept after it. Many secrets that are read at once are in no
        lanes; none of them is kept if any write came or ended meanwhile.
        The caller gets the value all the same. It may be newer than the entry in memory, so that entry is removed.
Rule 2: a set that can have happened only once is kept, and subscribers are told of it: its token was made here, and it
        was sent once. After any other write, and after one whose outcome is unknown, the store is asked anew.
Rule 3: what the store refuses is not served from memory either, whether it refuses by an error or in a part of an
        answer.
Rule 4: subscribers are told of a read if no write has come since it was sent. The store is asked anew only for
        subscriptions that exist.
Rule 5: a secret that somebody else has changed (`Invalidate`) is past its TTL at once, and its subscribers ask the
        store for the change.
Rule 6: an answer to a flight that was sent before another store came into force is not kept (flights.py says so), and
        subscribers are not told of it.

=====================  ==============================  ================================================================
operation              outcome                         effect on the cache
=====================  ==============================  ================================================================
get                    the secret                      it is kept (rule 1)
                       not found                       asked for the current version: all versions are removed; for
                                                       another one: that version. The answer is kept (rule 1)
                       cannot be opened, or version    asked for the current version: all versions are removed; for
                       and stage do not fit            another one: that version
                       deleted, denied, credentials    all versions are removed
                       refused
get_many               a secret that was found         as for a get of that secret
                       an error for one secret         as for a get of that secret
                       an error for all secrets        as for a get of each, but a "not found" is not kept
current_versions       another version than was known  all versions are past their TTL (rule 5)
                       an error for one secret         as for any other read of that secret
describe, list         scheduled for deletion          all versions are removed
any other read of      not found, deleted,             all versions are removed
one secret             credentials refused
                       denied, or any other error      none: the value can still be read, and has not changed
any write              any                             all versions are removed before it is sent and again after it.
                                                       Then a set is kept (rule 2)
anything               an outage, out of time,         none (stale_answers.py)
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
from secrets_actor.domain.operations import Describe, Get, GetMany, Operation, Set, is_minted, secret_after
from secrets_actor.domain.ports import Answer
from secrets_actor.domain.results import SecretDescription, SecretPage, VersionBatch


class OutcomeEffects:
    """Writes the cache with *writer*, and tells *subscriptions* of versions. *wall_clock* gives the date for a version
    that a set has written.

    In all methods, *kept* is whether no write has come since the store was asked, and *now* is in clock seconds. Ids
    that a method returns are to be asked for anew."""

    def __init__(self, writer: CacheWriter, subscriptions: Subscriptions, wall_clock: Callable[[], datetime]) -> None:
        self._writer, self._subscriptions, self._wall_clock = writer, subscriptions, wall_clock
        self._since = NEVER  # when the store in force came into force

    def write_begun(self, write: Operation[Any]) -> None:
        """*write* is about to be sent: from now on the secret that it writes to is not served from memory."""
        secret_id = getattr(write, "secret_id", None)
        if secret_id is not None:
            self._writer.drop(*SecretId(secret_id).lanes)

    def drop(self, lanes: Iterable[str]) -> None:
        """A write to *lanes* has come back: remove what was stored of them since it was sent."""
        self._writer.drop(*lanes)

    def sweep(self, now: float, left: Iterator[None] | None) -> Iterator[None] | None:
        """Do one slice of a sweep: remove entries that may not be served any more. Return the sweep to go on with, as
        *left* next time; None when it is done."""
        return self._writer.sweep(now, left)

    def in_doubt(self, lanes: Iterable[str]) -> Iterable[str]:
        """Return the ids to ask for anew when nobody knows what has become of the secrets in *lanes*."""
        return self._subscriptions.ids(lanes)

    def invalidated(self, lanes: Iterable[str], now: float) -> None:
        """Somebody has changed the secrets in *lanes*. The subscribers ask for them, and not the actor, because they go
        on trying while the store does not answer."""
        self._writer.outdate(*lanes, now=now)
        self._subscriptions.outdate(lanes, now)

    def clock_leapt(self, seconds: float) -> None:
        """The clock has leapt: all that is in memory is older by so many *seconds* than it seemed."""
        self._writer.age(seconds)
        self._subscriptions.age(seconds)

    def backend_changed(self, now: float) -> None:
        """Another store has come into force: empty the cache, and have subscribers ask anew."""
        self._writer.clear()
        self._since = now
        self._subscriptions.doubt()

    def answered(self, flight: Flight, answer: Answer[Any], kept: bool, now: float) -> Iterable[str]:
        """The store gave *answer* to *flight*. Return the ids to ask for anew."""
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

    def told_versions(self, flight: Flight, batch: VersionBatch, now: float) -> Iterable[str]:
        """The store gave *batch* to *flight*, which asked for versions. Return the names of secrets that somebody else
        has changed (rule 5).

        It does not matter here whether any write has come since the store was asked: the table of subscriptions knows
        for each secret what was heard later. With a write a second, a hundred versions would never be told."""
        then, changed = flight.sent_at, list[str]()
        if then <= self._since:  # rule 6
            return ()
        for secret_id, current in batch.found.items():
            if self._subscriptions.told(secret_id, current, then, now):
                changed.append(current.name)
        for secret_id, error in batch.errors.items():
            self._refused(Describe(secret_id), error, then, now, kept=False)
            if isinstance(error, SecretNotFound):
                self._subscriptions.absent(secret_id, now, then)
        return changed

    def failed(self, flight: Flight, error: SecretsError, kept: bool, now: float) -> Iterable[str]:
        """*flight* ended with *error*. Return the ids to ask for anew."""
        operation = flight.operation
        # A flight that failed for want of credentials may never have been sent: its `sent_at` may say nothing.
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
    """Return the descriptions in *value*: it may be one itself, a page or a list of them, or something else."""
    found = value.secrets if isinstance(value, SecretPage) else value if isinstance(value, tuple) else (value,)
    return [one for one in found if isinstance(one, SecretDescription)]
