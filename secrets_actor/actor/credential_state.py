"""How good the credentials are that the actor has, and when to fetch new ones. PURE: the time comes in.

absent -> refreshing -> fresh -> due -> urgent -> expired

Rule 1: `due` and `urgent` credentials are good; a new fetch should be under way, and a caller who comes while they are
        urgent waits for it.
Rule 2: a fetch that fails, or brings credentials that have ended, leaves the old ones as good as they are. The next one
        comes after a pause that grows; until then nobody waits for it. With no good credentials left, every call may
        ask, unless the last fetch hung: it holds a thread that cannot be had back, and so would the next.
Rule 3: credentials without an end are never urgent. They are looked at anew every `RECHECK`, for a file or a variable
        that they came from may have been written since.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.credentials import Credentials

# Precedent: botocore refreshes 15 minutes before the end and, from 10 minutes before it on, lets nobody go before it
# is done. Scaled down to shares of a short life, so that a token that lives for 15 minutes is not fetched anew on every
# call. The two shares have the ratio of the two times.
ADVISORY: Final = timedelta(minutes=15)
ADVISORY_SHARE: Final = 4
MANDATORY: Final = timedelta(minutes=10)
MANDATORY_SHARE: Final = 6
# How long credentials without an end are taken on trust.
RECHECK: Final = timedelta(minutes=1)
# The pause after a failed fetch while the old credentials are good: doubled with each failure.
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=1)
_DOUBLINGS: Final = 6  # 2 ** 6 s is more than the longest pause


class Phase(Enum):
    """How good the credentials are."""

    ABSENT = "absent"
    FRESH = "fresh"
    DUE = "due"
    URGENT = "urgent"
    EXPIRED = "expired"


class CredentialState(Struct, frozen=True):
    """The credentials, when they came (UTC), whether new ones are being fetched, how many fetches failed since then,
    and before when the next one need not be tried."""

    credentials: Credentials | None = None
    fetched_at: datetime | None = None
    refreshing: bool = False
    failures: int = 0
    not_before: datetime | None = None
    hung: bool = False

    def phase(self, now: datetime) -> Phase:
        """How good the credentials are at *now*."""
        fresh_until = self.fresh_until()
        if self.credentials is None or self.fetched_at is None or fresh_until is None:
            return Phase.ABSENT
        if now < fresh_until:
            return Phase.FRESH
        end = self.credentials.expires_at
        if end is None:
            return Phase.DUE
        if now >= end:
            return Phase.EXPIRED
        return Phase.URGENT if now >= end - min(MANDATORY, (end - self.fetched_at) / MANDATORY_SHARE) else Phase.DUE

    def fresh_until(self) -> datetime | None:
        """When the credentials stop being fresh; None without any. Those that had ended when they came never were."""
        if self.credentials is None or self.fetched_at is None:
            return None
        end = self.credentials.expires_at
        if end is None:
            return self.fetched_at + RECHECK
        return end - min(ADVISORY, max(end - self.fetched_at, timedelta()) / ADVISORY_SHARE)

    def usable(self, now: datetime) -> Credentials | None:
        """The credentials, if a request may be signed with them."""
        return None if self.phase(now) in (Phase.ABSENT, Phase.EXPIRED) else self.credentials

    def wants_fetch(self, now: datetime) -> bool:
        """Whether a fetch should be started now."""
        return not self.refreshing and self._outdated(now)

    def must_wait(self, now: datetime) -> bool:
        """Whether a caller who comes now has to wait for a fetch, under way or to be started."""
        if self.usable(now) is None:
            return True
        return self.phase(now) is Phase.URGENT and (self.refreshing or self._outdated(now))

    def fetching(self) -> CredentialState:
        """With a fetch under way."""
        return replace(self, refreshing=True)

    def fetched(self, credentials: Credentials, now: datetime) -> CredentialState:
        """With new credentials; with the old ones, if the new ones have ended and the old ones have not."""
        new = CredentialState(credentials, now)
        return self.failed(now) if new.usable(now) is None and self.usable(now) is not None else new

    def pause(self, now: datetime) -> bool:
        """Whether a caller who needs credentials now gets an error at once: the last fetch hung lately."""
        rests = self.hung and not self.refreshing and self.not_before is not None and now < self.not_before
        return rests and self.usable(now) is None

    def failed(self, now: datetime, hung: bool = False) -> CredentialState:
        """With the fetch failed, because it *hung* or otherwise; the old credentials stay as good as they are."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, _DOUBLINGS))
        return replace(self, refreshing=False, failures=self.failures + 1, not_before=now + pause, hung=hung)

    def rejected(self) -> CredentialState:
        """With the credentials refused by the store."""
        return CredentialState(refreshing=self.refreshing)

    def _outdated(self, now: datetime) -> bool:
        phase = self.phase(now)
        if phase in (Phase.ABSENT, Phase.EXPIRED):
            return not self.pause(now)
        return phase is not Phase.FRESH and (self.not_before is None or now >= self.not_before)
