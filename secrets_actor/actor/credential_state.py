"""What the actor knows of its keys. PURE: the time comes in.

absent -> refreshing -> fresh -> due -> expired; `due` is still good, but a new fetch should be under way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from secrets_actor.domain.credentials import Credentials

# Precedent: botocore refreshes 15 minutes before the end. Scaled down to a quarter of short lives, so that a token that
# lives for 15 minutes is not fetched anew on every call.
REFRESH_AHEAD: Final = timedelta(minutes=15)
REFRESH_SHARE: Final = 4


class Phase(Enum):
    """How good the keys are."""

    ABSENT = "absent"
    FRESH = "fresh"
    DUE = "due"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class CredentialState:
    """The keys, when they came (UTC), and whether new ones are being fetched."""

    credentials: Credentials | None = None
    fetched_at: datetime | None = None
    refreshing: bool = False

    def phase(self, now: datetime) -> Phase:
        """How good the keys are at *now*."""
        if self.credentials is None or self.fetched_at is None:
            return Phase.ABSENT
        end = self.credentials.expires_at
        if end is None:
            return Phase.FRESH
        if now >= end:
            return Phase.EXPIRED
        ahead = min(REFRESH_AHEAD, (end - self.fetched_at) / REFRESH_SHARE)
        return Phase.DUE if now >= end - ahead else Phase.FRESH

    def usable(self, now: datetime) -> Credentials | None:
        """The keys, if a request may be signed with them."""
        return self.credentials if self.phase(now) in (Phase.FRESH, Phase.DUE) else None

    def wants_fetch(self, now: datetime) -> bool:
        """Whether a fetch should be started now."""
        return not self.refreshing and self.phase(now) is not Phase.FRESH

    def fetching(self) -> CredentialState:
        """With a fetch under way."""
        return replace(self, refreshing=True)

    def fetched(self, credentials: Credentials, now: datetime) -> CredentialState:
        """With new keys."""
        return CredentialState(credentials, now)

    def failed(self) -> CredentialState:
        """With the fetch failed; the old keys stay as good as they are."""
        return replace(self, refreshing=False)

    def rejected(self) -> CredentialState:
        """With the keys refused by the store."""
        return CredentialState(refreshing=self.refreshing)
