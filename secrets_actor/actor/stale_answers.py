"""Stale answers: decides which errors allow a stale value to be served, and what an error forbids to serve from now on.
PURE.

Rule 1: a stale value is served only after an outage, which says nothing about the secret: a lost connection, a
        time-out, throttling, or a failure on the store's side. Credentials that could not be fetched, and a local store
        that is damaged as a whole, say nothing about the secret either, and count as outages.
Rule 2: a refusal of the store is final: denied, deleted, not found, credentials refused.
Rule 3: a refusal is only about the thing that was asked for. If one version or stage is not there, cannot be opened or
        does not fit, that says nothing about the current value. If a caller may not describe a secret, that says
        nothing about reading it.
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

STALE: Final = "stale"  # in an audit record: the source of a value past its TTL
# TlsFailed is an Unreachable: the machine that answered was not the store.
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
# The errors that may concern one version while the others are well. `SecretDeleted`, which is an InvalidRequest,
# concerns all versions: `scope_of` looks at it first.
_OF_A_VERSION: Final = (SecretNotFound, InvalidRequest, DecryptionFailed)


class Scope(Enum):
    """What an error forbids to serve from memory: nothing, one version, or the whole secret."""

    NOTHING, VERSION, SECRET = range(3)


def is_outage(error: SecretsError) -> bool:
    """Whether *error* is an outage: it says nothing about the secret (rule 1)."""
    return error.outage if isinstance(error, CredentialsError) else isinstance(error, _OUTAGES)


def asks_for_current(operation: object) -> TypeGuard[Get]:
    """Whether *operation* is a get of a secret's current version."""
    return isinstance(operation, Get) and version_key(operation) == (None, AWSCURRENT)


def scope_of(operation: Operation[Any], error: SecretsError) -> Scope:
    """Return what must not be served from memory any more after *operation*, about one secret, has met *error*."""
    if error.retryable or is_outage(error) or isinstance(error, UnknownMessage):
        return Scope.NOTHING
    if isinstance(error, (SecretDeleted, CredentialsError)):
        return Scope.SECRET
    if not isinstance(operation, Get):
        return Scope.SECRET if isinstance(error, SecretNotFound) else Scope.NOTHING
    one_version = isinstance(error, _OF_A_VERSION) and not asks_for_current(operation)
    return Scope.VERSION if one_version else Scope.SECRET


def stale_answer(table: Cache, operation: object, error: SecretsError, now: float) -> Secret | None:
    """Return the stale secret to serve for *operation* in place of *error*; it is marked with its age. None if the
    caller gets the error."""
    return table.stale(operation, now) if isinstance(operation, Get) and is_outage(error) else None
