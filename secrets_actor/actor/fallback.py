"""What is served when the store could not answer. PURE.

Rule 1: only a lost way, a time-out, throttling and a failure on the store's side count: then the store has not said
        anything about the secret. So do keys that could not be fetched, for that says nothing about it either.
Rule 2: a no of the store is final: denied, deleted, not found, keys refused.
"""

from __future__ import annotations

from typing import Final

from secrets_actor.actor.cache import Cache
from secrets_actor.domain.errors import (
    DeadlineExceeded,
    InvalidAnswer,
    MetadataServiceError,
    SecretsError,
    StoreFailure,
    StoreUnavailable,
    Throttled,
    Unreachable,
    WorkerCrashed,
)
from secrets_actor.domain.operations import Get
from secrets_actor.domain.secret import Secret

STALE: Final = "stale"  # the audit's word for where a value past its TTL came from
# TlsFailed is an Unreachable: whoever answered was not the store.
_OUTAGES: Final = (
    Unreachable,
    Throttled,
    StoreFailure,
    DeadlineExceeded,
    MetadataServiceError,
    StoreUnavailable,
    InvalidAnswer,
    WorkerCrashed,
)


def is_outage(error: SecretsError) -> bool:
    """Whether *error* says nothing about the secret."""
    return isinstance(error, _OUTAGES)


def stale_answer(table: Cache, operation: object, error: SecretsError, now: float) -> Secret | None:
    """What *table* has for *operation* in place of *error*, marked with its age; None if the error is the answer."""
    return table.stale(operation, now) if isinstance(operation, Get) and is_outage(error) else None
