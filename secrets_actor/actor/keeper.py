"""What the outcome of a flight does to the cache. Part of the secrets actor.

Rule 1: what was read before a write came is not kept after it. Of many secrets read at once, outside of all lanes,
        nothing is kept if any write came or ended meanwhile.
        It is answered all the same, and may be newer than what is in memory, which goes then.
Rule 2: a set is kept that can only have happened once: its token was ours, and it was sent once.
Rule 3: what the store says no to is not to be served either, whether the no is an error or a part of an answer.

=====================  ==============================  ================================================================
operation              outcome                         what it does to the cache
=====================  ==============================  ================================================================
get                    the secret                      it is kept (rule 1)
                       not found                       of the current version: all versions go; of another: that one.
                                                       And that there is none is kept (rule 1)
                       cannot be opened, or version    of the current version: all versions go; of another: that one
                       and stage do not fit
                       deleted, denied, keys refused   all versions go
get_many               a secret that was found         as a get of it
                       an error for one of them        as a get of it
                       an error for all of them        as a get of each; but that there is none is not kept
describe, list         scheduled for deletion          all versions go
any other read of      not found, deleted, keys        all versions go
one secret             refused
                       denied, or anything else        nothing: the value may be read still, and is as it was
any write              whatever comes of it            all versions go before it is sent and again after it. Then a
                                                       set is kept (rule 2)
anything               an outage, out of time,         nothing (fallback.py)
                       throttled, not known to this
                       store
=====================  ==============================  ================================================================

"All versions" are those of any secret that the id may mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from secrets_actor.actor.cache import Pen
from secrets_actor.actor.fallback import Scope, scope_of
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.lanes import Lanes
from secrets_actor.domain.errors import CredentialsError, SecretNotFound, SecretsError
from secrets_actor.domain.operations import Get, GetMany, Operation, Set
from secrets_actor.domain.results import SecretDescription, SecretPage
from secrets_actor.domain.secret import SecretInfo


class Keeper:
    """Writes with *pen*; *lanes* say what came meanwhile."""

    def __init__(self, pen: Pen, lanes: Lanes, wall_clock: Callable[[], datetime]) -> None:
        self._pen, self._lanes, self._wall_clock = pen, lanes, wall_clock

    def done(self, flight: Flight, value: Any, now: float) -> bool:
        """The store answered *flight* with *value*. Whether no write has come since."""
        operation, then, kept = flight.operation, flight.sent_at, self._keeps(flight)
        if isinstance(operation, Get):
            self._pen.store(operation, value, then, kept=kept, came_at=now)
        elif isinstance(operation, Set) and kept and operation.minted and not flight.repeated:
            written = operation.written(value, self._wall_clock())
            self._pen.store(Get(operation.secret_id), written, then, came_at=now)
        elif isinstance(operation, GetMany):
            for secret_id, secret in value.found.items():
                self._pen.store(Get(secret_id), secret, then, kept=kept, came_at=now)
            for secret_id, error in value.errors.items():
                self._refused(Get(secret_id), error, then, now, kept=kept)
        for known in _told(value):
            if known.deleted_at is not None:
                self._pen.gone(known.name, known.arn, now)
        return kept

    def failed(self, flight: Flight, error: SecretsError, now: float) -> bool:
        """*flight* came to nothing. Whether no write has come since."""
        operation, kept = flight.operation, self._keeps(flight)
        asked_at = now if isinstance(error, CredentialsError) else flight.sent_at  # without keys it was never sent
        if isinstance(operation, GetMany):
            for secret_id in operation.secret_ids:
                self._refused(Get(secret_id), error, asked_at, now, kept=False)
        elif flight.lanes and not operation.writes:
            self._refused(operation, error, asked_at, now, kept=kept)
        return kept

    def _refused(
        self, operation: Operation[Any], error: SecretsError, asked_at: float, now: float, *, kept: bool
    ) -> None:
        scope = scope_of(operation, error)
        if scope is Scope.NOTHING:
            return
        get = operation if isinstance(operation, Get) else Get(getattr(operation, "secret_id"))  # noqa: B009
        undisputed = self._pen.refuse(get, asked_at, whole=scope is Scope.SECRET, came_at=now)
        if kept and undisputed and get is operation and isinstance(error, SecretNotFound):
            self._pen.store_missing(get, asked_at)

    def _keeps(self, flight: Flight) -> bool:
        """A write itself opened an epoch when it entered its lanes."""
        if not flight.lanes:
            return flight.epoch == self._lanes.changes
        own = len(flight.lanes) if flight.operation.writes else 0
        return self._lanes.epoch(flight.lanes) == flight.epoch + own and not flight.superseded


def _told(value: Any) -> Iterable[SecretDescription | SecretInfo]:
    """The secrets that *value* tells of, if it is a description or a list."""
    found = value.secrets if isinstance(value, SecretPage) else value if isinstance(value, tuple) else (value,)
    return [one for one in found if isinstance(one, (SecretDescription, SecretInfo))]
