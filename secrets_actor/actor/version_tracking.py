"""Version tracking: keeps what is known of a secret's current version, and the changes that a subscriber has not been
told yet; says what an answer to a subscriber's question means for the next one. PURE.

Rule 1: the first version that is seen is not a change, unless the secret was seen not to exist before, or we wrote the
        version ourselves.
Rule 2: a read that was sent before the last news came may be older than that news. It decides nothing: the store is
        asked anew.
Rule 3: the changes that a subscriber is told form a chain: each begins with the version at which the one before ended.
        A subscriber that is far behind is told the oldest changes one by one, and the rest as a single change.
Rule 4: a store that refuses to tell a secret's version may give its value all the same: Vault and OpenBao have a
        permission for each. Then the subscribers read the value, as they do at a store that tells no versions.
"""

from __future__ import annotations

import math
from enum import Enum, auto
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.errors import (
    AccessDenied,
    InvalidRequest,
    SecretDeleted,
    SecretNotFound,
    SecretsError,
    UnknownMessage,
)
from secrets_actor.domain.secret import NewVersion

# How many changes may wait for one subscriber: enough for one rotation in a minute, and a callback that has hung for an
# hour and a half.
MAX_WAITING: Final = 100
NEVER: Final = -math.inf


class Known(Struct, frozen=True):
    """The current *version_id* of one secret (None: no version is known), and when (clock seconds) the store said
    so."""

    version_id: str | None = None
    seen_at: float = NEVER

    def outdates(self, version_id: str, asked_at: float) -> bool:
        """Whether a read sent at *asked_at*, which found *version_id*, may have been overtaken."""
        return version_id != self.version_id and asked_at < self.seen_at


class Outcome(Enum):
    """What came of a question about one secret."""

    ANSWERED = auto()  # a version, or that there is no such secret: what is known is as fresh as can be
    REFUSED = auto()  # the store will say the same for a while
    UNTOLD = auto()  # the store does not tell the version: the value has to be read (rule 4)
    FAILED = auto()  # nothing was said about the secret, as in an outage


def outcome_of(error: BaseException | None, *, of_versions: bool) -> Outcome:
    """Return what *error*, or None, means as the answer about one secret. *of_versions*: the question was for the
    version, without the value."""
    if error is None or isinstance(error, SecretNotFound):
        return Outcome.ANSWERED
    if not isinstance(error, SecretsError) or error.retryable:
        return Outcome.FAILED
    untold = isinstance(error, AccessDenied | UnknownMessage | InvalidRequest) and not isinstance(error, SecretDeleted)
    return Outcome.UNTOLD if of_versions and untold else Outcome.REFUSED


class ChangeQueue(Struct, frozen=True):
    """The changes that one subscriber has not been told yet. *begun* says whether the chain has begun; *last* is its
    last version (None: there was no such secret); *waiting* are the changes to tell."""

    begun: bool = False
    last: str | None = None
    waiting: tuple[NewVersion, ...] = ()

    def begin(self, version_id: str | None) -> ChangeQueue:
        """Return the queue with *version_id* as the begin of the chain. A chain that has begun is not changed."""
        return self if self.begun else replace(self, begun=True, last=version_id)

    def on_to(self, name: str, version_id: str) -> ChangeQueue:
        """Return the queue with a change to *version_id* added at the end (rule 3)."""
        if self.begun and version_id == self.last:
            return self
        waiting, old = self.waiting, self.last
        if len(waiting) >= MAX_WAITING:
            waiting, old = waiting[:-1], waiting[-1].old_version_id
        added = () if old == version_id else (NewVersion(name, old, version_id),)
        return ChangeQueue(True, version_id, (*waiting, *added))

    def take(self) -> tuple[NewVersion | None, ChangeQueue]:
        """Return the change to tell next (None: there is none), and the queue without it."""
        if not self.waiting:
            return None, self
        return self.waiting[0], replace(self, waiting=self.waiting[1:])
