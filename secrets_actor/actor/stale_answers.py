"""What is served when the store could not answer, and what is not served any more when it said no. PURE.

Rule 1: only a lost way, a time-out, throttling and a failure on the store's side count: then the store has not said
        anything about the secret. So do credentials that could not be fetched, and a local store that is damaged as a
        whole, for that says nothing about it either.
Rule 2: a no of the store is final: denied, deleted, not found, credentials refused.
Rule 3: a no is about what was asked: that one version or stage is not there, cannot be opened or does not fit says
        nothing of the current value, and that somebody may not describe a secret says nothing of reading it.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final, TypeGuard

from secrets_actor.actor.cache import Cache
from secrets_actor.domain.errors import (
    CredentialsError,
    DeadlineExceeded,
    DecryptionFailed,
    InvalidAnswer,
    InvalidRequest,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    StoreDamaged,
    StoreFailure,
    StoreUnavailable,
    Throttled,
    UnknownMessage,
    Unreachable,
    WorkerCrashed,
)
from secrets_actor.domain.operations import AWSCURRENT, Get, Operation, version_key
from secrets_actor.domain.secret import Secret

STALE: Final = "stale"  # the audit's word for where a value past its TTL came from
# TlsFailed is an Unreachable: whoever answered was not the store.
_OUTAGES: Final = (
    Unreachable,
    Throttled,
    StoreFailure,
    DeadlineExceeded,
    StoreUnavailable,
    StoreDamaged,
    InvalidAnswer,
    WorkerCrashed,
)
# What may be so of one version while the others are well. `SecretDeleted` is an InvalidRequest, and is of all.
_OF_A_VERSION: Final = (SecretNotFound, InvalidRequest, DecryptionFailed)


class Scope(Enum):
    """What a no of the store is about: nothing that is kept, one version, or the whole secret."""

    NOTHING, VERSION, SECRET = range(3)


def is_outage(error: SecretsError) -> bool:
    """Whether *error* says nothing about the secret."""
    return error.outage if isinstance(error, CredentialsError) else isinstance(error, _OUTAGES)


def asks_for_current(operation: object) -> TypeGuard[Get]:
    """Whether *operation* is a get of a secret's current version."""
    return isinstance(operation, Get) and version_key(operation) == (None, AWSCURRENT)


def scope_of(operation: Operation[Any], error: SecretsError) -> Scope:
    """What is not to be served any more after *operation*, about one secret, has met *error*."""
    if error.retryable or is_outage(error) or isinstance(error, UnknownMessage):
        return Scope.NOTHING
    if isinstance(error, (SecretDeleted, CredentialsError)):
        return Scope.SECRET
    if not isinstance(operation, Get):
        return Scope.SECRET if isinstance(error, SecretNotFound) else Scope.NOTHING
    one_version = isinstance(error, _OF_A_VERSION) and not asks_for_current(operation)
    return Scope.VERSION if one_version else Scope.SECRET


def stale_answer(table: Cache, operation: object, error: SecretsError, now: float) -> Secret | None:
    """What *table* has for *operation* in place of *error*, marked with its age; None if the error is the answer."""
    return table.stale(operation, now) if isinstance(operation, Get) and is_outage(error) else None
