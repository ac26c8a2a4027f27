"""The keys of the cache, and its rules. PURE.

Rule 1: an entry is for one version of a secret, and its key depends on how the caller asked. If the caller asked by
        name, the entry lies under the name. If it asked by ARN, the entry lies under the ARN, because a name means
        another secret in each account; if it left the suffix out, under the ARN without suffix. The entry itself has
        the whole ARN.
Rule 2: a caller that asks by a whole ARN gets only the entry of that very ARN. From its text alone, an ARN may be a
        whole one or one without suffix. Then it is looked for as a whole one, because only the store knows better.
Rule 3: the answer that there is no such secret lies under the id that was asked for: it answers that question only.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from secrets_actor.domain.names import SecretId, without_suffix
from secrets_actor.domain.operations import AWSCURRENT, Get, version_key

# For the current version by name, which nearly everybody asks for, the key is the name alone. Any other key is a mark,
# the name or ARN, the version id and the stage. The mark is an object of this module's own, so that nothing that a
# caller passes to the cache can equal such a key.
Key = str | tuple[object, str, str | None, str | None]
_MARK: Final = object()
_ALL: Final = object()


class CacheRules(Struct, frozen=True):
    """The limits and times of the cache.

    *ttl*: for how many seconds an entry is served (0: there is no cache). It is made shorter by a random share, up to
    *jitter*, so that entries that came together do not expire together. In its last part, of the share *ahead*, a hit
    is served and also refreshed. *max_stale*: the highest age, in seconds, of a value that may be served when the store
    cannot answer (0: none is served). *missing_ttl*: for how many seconds the answer "there is no such secret" is
    remembered. Beyond *max_entries* and *max_bytes*, the least recently used entries are removed first.
    """

    ttl: float
    max_entries: int = 1024
    max_bytes: int = 64 * 2**20
    max_stale: float = 0.0
    missing_ttl: float = 0.0
    ahead: float = 0.0
    jitter: float = 0.0


def key_of(get: Get) -> Key:
    """Return the key for *get*: for the version and the id that it asks for."""
    return key_for(get.secret_id, get)


def key_for(secret_id: str, get: Get) -> Key:
    """Return the key for the version that *get* asks for, but for the given *secret_id*."""
    version_id, stage = version_key(get)
    if version_id is None and stage == AWSCURRENT and not secret_id.startswith("arn:"):
        return str(secret_id)
    return _MARK, str(secret_id), version_id, stage


def all_versions(name: str) -> Key:
    """Return the key that stands for all versions of the secrets with this *name*. No entry lies under it."""
    return _ALL, name, None, None


def places(get: Get) -> tuple[str, tuple[Key, ...]]:
    """Return the name of the secret, and the keys under which the answer to *get* may lie."""
    if not get.secret_id.startswith("arn:"):
        return get.secret_id, (key_of(get),)
    secret_id = SecretId(get.secret_id)
    name, partial = secret_id.lanes[0], without_suffix(secret_id)
    by_partial = () if partial is None else (key_for(partial, get),)
    return name, (key_for(name, get), key_of(get), *by_partial)


def id_in(key: Key) -> str:
    """Return the name or ARN that *key* is for."""
    return key[1] if isinstance(key, tuple) else key


def is_version(key: Key, get: Get) -> bool:
    """Whether *key* is for the version that *get* asks for, of any secret."""
    return (key[2:] if isinstance(key, tuple) else (None, AWSCURRENT)) == version_key(get)
