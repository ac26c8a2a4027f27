"""How secrets are kept, and under which keys. PURE.

Rule: a key is made for one secret id and one version. That two ids mean one secret, only an ARN can tell: a name means
another secret in each account.
"""

from __future__ import annotations

from typing import Final

from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, Get
from secrets_actor.records import dataclass

# The name alone for the current version, as nearly everybody asks; else a mark, so that nothing that a caller can make
# is such a key, with name or ARN, version id and stage.
Key = str | tuple[object, str, str | None, str | None]
_MARK: Final = object()
_SUFFIX: Final = 7  # AWS appends a hyphen and six random characters to the name in an ARN


@dataclass(frozen=True, slots=True)
class CacheRules:
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
    """Under which key the answer to *get* is kept."""
    return key_for(get.secret_id, get)


def key_for(secret_id: str, get: Get) -> Key:
    """The key for the version that *get* asks for, of another *secret_id*."""
    version_id, stage = get.version
    if version_id is None and stage == AWSCURRENT and not secret_id.startswith("arn:"):
        return str(secret_id)
    return _MARK, str(secret_id), version_id, stage


def name_in(secret_id: str) -> str:
    """The name, or that in the ARN."""
    return SecretId(secret_id).lane


def aliases(arn: str, get: Get) -> tuple[Key, ...]:
    """The keys for the ARN of a secret, whole and without its suffix, in the version that *get* asks for."""
    return (key_for(arn, get), key_for(arn[:-_SUFFIX], get)) if arn.startswith("arn:") else ()


def means(secret_id: str, arn: str) -> bool:
    """Whether *secret_id*, an ARN that may lack its suffix, is that of the secret with this *arn*."""
    return arn == secret_id or (len(arn) == len(secret_id) + _SUFFIX and arn.startswith(f"{secret_id}-"))
