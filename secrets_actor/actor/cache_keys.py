"""How secrets are kept, and under which keys. PURE.

Rule 1: an entry is for one version of a secret, and its key depends on how the caller asked. Asked for by name, it lies
        under the name. Asked for by ARN, it lies under the ARN, for a name means another secret in each account; or
        under the ARN without its suffix, if the caller left that out. The whole ARN is in the entry.
Rule 2: a caller who asks by a whole ARN is given the entry of that very ARN only. An ARN that may be a whole one or one
        without suffix is looked for as a whole one; only the store knows whether it is the other.
Rule 3: that there is no such secret lies under what was asked: it is the answer to that question, and to no other.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.operations import AWSCURRENT, Get, version_key

# The name alone for the current version, as nearly everybody asks; else a mark, so that nothing that a caller can make
# is such a key, with name or ARN, version id and stage.
Key = str | tuple[object, str, str | None, str | None]
_MARK: Final = object()
_ALL: Final = object()


class CacheRules(Struct, frozen=True):
    """*ttl*: seconds an entry answers (0: no cache), less a random share of *jitter* so that what came together does
    not end together. In the last *ahead* share of it a hit is served and refreshed. *max_stale*: the oldest, in
    seconds, that may be served when the store cannot answer (0: none). *missing_ttl*: seconds for which "there is no
    such secret" is remembered. The least recently used go first past *max_entries* and *max_bytes*."""

    ttl: float
    max_entries: int = 1024
    max_bytes: int = 64 * 2**20
    max_stale: float = 0.0
    missing_ttl: float = 0.0
    ahead: float = 0.0
    jitter: float = 0.0


def key_of(get: Get) -> Key:
    """The key for what *get* asks for, as it asks."""
    return key_for(get.secret_id, get)


def key_for(secret_id: str, get: Get) -> Key:
    """The key for the version that *get* asks for, of another *secret_id*."""
    version_id, stage = version_key(get)
    if version_id is None and stage == AWSCURRENT and not secret_id.startswith("arn:"):
        return str(secret_id)
    return _MARK, str(secret_id), version_id, stage


def all_versions(name: str) -> Key:
    """What stands for all versions of the secrets with this *name*; no entry lies there."""
    return _ALL, name, None, None


def places(get: Get) -> tuple[str, tuple[Key, ...]]:
    """Where to look for the answer to *get*: the name of the secret, and the keys under which it may lie."""
    if not get.secret_id.startswith("arn:"):
        return get.secret_id, (key_of(get),)
    secret_id = SecretId(get.secret_id)
    name, partial = secret_id.lanes[0], without_suffix(secret_id)
    by_partial = () if partial is None else (key_for(partial, get),)
    return name, (key_for(name, get), key_of(get), *by_partial)


def id_in(key: Key) -> str:
    """The name or ARN that *key* is for."""
    return key[1] if isinstance(key, tuple) else key


def is_version(key: Key, get: Get) -> bool:
    """Whether *key* is for the version that *get* asks for, of whatever secret."""
    return (key[2:] if isinstance(key, tuple) else (None, AWSCURRENT)) == version_key(get)
