"""What is known of a secret's current version, and what a subscriber is still to be told. PURE.

Rule 1: what is seen first is no news, unless it had been seen that there is none, or it is a write of ours.
Rule 2: a read that was sent before the last news came may be older than they are. It decides nothing: ask anew.
Rule 3: what a subscriber is told is a chain: each change begins where the one before ended. A subscriber who is far
        behind is told the oldest changes one by one, and the rest as a single change.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.secret import NewVersion

# Changes that wait for one subscriber. A rotation a minute, and a callback that has hung for an hour and a half.
MAX_WAITING: Final = 100
NEVER: Final = -math.inf


class Known(Struct, frozen=True):
    """Of one secret: the current *version_id* (None: none is known), and when (clock seconds) the store said so."""

    version_id: str | None = None
    seen_at: float = NEVER

    def outdates(self, version_id: str, asked_at: float) -> bool:
        """Whether a read sent at *asked_at*, which found *version_id*, may have been overtaken."""
        return version_id != self.version_id and asked_at < self.seen_at


class ChangeQueue(Struct, frozen=True):
    """What one subscriber is still to be told: the *last* version of the chain, once that has *begun* with one (None:
    there was no such secret), and the changes that are *waiting*."""

    begun: bool = False
    last: str | None = None
    waiting: tuple[NewVersion, ...] = ()

    def begin(self, version_id: str | None) -> ChangeQueue:
        """*version_id* is where it begins, if it has not."""
        return self if self.begun else replace(self, begun=True, last=version_id)

    def on_to(self, name: str, version_id: str) -> ChangeQueue:
        """With a change to *version_id* behind all that is waiting."""
        if self.begun and version_id == self.last:
            return self
        waiting, old = self.waiting, self.last
        if len(waiting) >= MAX_WAITING:
            waiting, old = waiting[:-1], waiting[-1].old_version_id
        added = () if old == version_id else (NewVersion(name, old, version_id),)
        return ChangeQueue(True, version_id, (*waiting, *added))

    def take(self) -> tuple[NewVersion | None, ChangeQueue]:
        """The change that is told next, and the queue without it."""
        if not self.waiting:
            return None, self
        return self.waiting[0], replace(self, waiting=self.waiting[1:])
