"""The state of the actor's credentials: how good they are, and when to fetch new ones. PURE: the time is an argument.

absent -> refreshing -> fresh -> due -> urgent -> expired

Rule 1: `due` and `urgent` credentials are good, but a new fetch should be under way. A caller that comes while they are
        urgent waits for that fetch.
Rule 2: if a fetch fails, or brings credentials that have expired, the old ones stay as good as they are. The next fetch
        comes after a pause, which grows; until then nobody waits for it. When no good credentials are left, every call
        may start a fetch, unless the last fetch hung: it holds a thread that cannot be freed, and the next one could
        hold another.
Rule 3: credentials that do not expire are never urgent. They are fetched anew every `RECHECK`, because the file or the
        variable that they came from may have been written since.
Rule 4: credentials may say themselves when they are due (`Credentials.renew_at`). They are then fetched anew even if no
        call needs them, because a token that nobody renews ends, and another one may be hard to have. They are fresh
        for the first second all the same: a date that has passed must not cause one fetch after the other.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.credentials import Credentials

# As botocore does: it refreshes credentials 15 minutes before they expire, and from 10 minutes before on it lets no
# call go until the refresh is done. Credentials with a short life use a quarter and a sixth of that life instead:
# otherwise a token that lives for 15 minutes would be fetched anew on every call. The two shares have the ratio of the
# two times.
ADVISORY: Final = timedelta(minutes=15)
ADVISORY_SHARE: Final = 4
MANDATORY: Final = timedelta(minutes=10)
MANDATORY_SHARE: Final = 6
# After this time, credentials that do not expire are fetched anew (rule 3).
RECHECK: Final = timedelta(minutes=1)
# The pause after a failed fetch while the old credentials are good, and after one that hung (rule 2). It is doubled
# with each failure, up to the longest.
FIRST_PAUSE: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(minutes=1)
_DOUBLINGS: Final = 6  # 2 ** 6 s is more than the longest pause


class Phase(Enum):
    """The phases in the life of credentials (rules 1 to 3)."""

    ABSENT = "absent"
    FRESH = "fresh"
    DUE = "due"
    URGENT = "urgent"
    EXPIRED = "expired"


class DatedCredentials(Struct, frozen=True, eq=False):
    """Credentials, and their *end* (UTC, in the years 1970 to 9000; None: they have none). *renew_at* is the date that
    they name themselves (rule 4; None: they name none).

    Credentials may be of a class that nobody here wrote. The worker has asked them for their dates, once. So the
    secrets actor runs none of their code, except for `same`.
    """

    credentials: Credentials
    end: datetime | None = None
    renew_at: datetime | None = None


def same(one: Credentials | None, other: Credentials | None) -> bool:
    """Whether these are equal credentials. Those that cannot be compared are not."""
    try:
        return one is other or bool(one == other)
    except BaseException:  # noqa: BLE001  code of the credentials' class: even an exit must not end the secrets actor
        return False


class CredentialState(Struct, frozen=True):
    """The credentials, and the state of their renewal. All dates are in UTC.

    *fetched_at*: when they came. *refreshing*: whether new ones are being fetched. *failures*: how many fetches have
    failed since they came. *not_before*: when the next fetch may be tried after a failure. *hung*: whether the last
    fetch hung.
    """

    dated: DatedCredentials | None = None
    fetched_at: datetime | None = None
    refreshing: bool = False
    failures: int = 0
    not_before: datetime | None = None
    hung: bool = False

    @property
    def credentials(self) -> Credentials | None:
        """The credentials, good or not."""
        return None if self.dated is None else self.dated.credentials

    def phase(self, now: datetime) -> Phase:
        """Return the phase of the credentials at *now*."""
        fresh_until = self.fresh_until()
        if self.dated is None or self.fetched_at is None or fresh_until is None:
            return Phase.ABSENT
        if now < fresh_until:
            return Phase.FRESH
        end = self.dated.end
        if end is None:
            return Phase.DUE
        if now >= end:
            return Phase.EXPIRED
        return Phase.URGENT if now >= end - min(MANDATORY, (end - self.fetched_at) / MANDATORY_SHARE) else Phase.DUE

    def fresh_until(self) -> datetime | None:
        """Return when the credentials stop being fresh; None if there are none. Credentials that had expired when they
        came were never fresh."""
        if self.dated is None or self.fetched_at is None:
            return None
        end, renew_at = self.dated.end, self.dated.renew_at
        if renew_at is not None:
            until = max(renew_at, self.fetched_at + FIRST_PAUSE)
            return until if end is None else min(until, end)
        if end is None:
            return self.fetched_at + RECHECK
        return end - min(ADVISORY, max(end - self.fetched_at, timedelta()) / ADVISORY_SHARE)

    def next_fetch(self) -> datetime | None:
        """Return when to fetch anew although no call needs it (rule 4); None: not before a call does."""
        if self.refreshing or self.dated is None or self.dated.renew_at is None:
            return None
        return self.fresh_until() if self.not_before is None else self.not_before

    def usable(self, now: datetime) -> Credentials | None:
        """Return the credentials if a request may be signed with them, else None."""
        return None if self.phase(now) in (Phase.ABSENT, Phase.EXPIRED) else self.credentials

    def wants_fetch(self, now: datetime) -> bool:
        """Whether a fetch should be started now."""
        return not self.refreshing and self._outdated(now)

    def must_wait(self, now: datetime) -> bool:
        """Whether a caller that comes now has to wait for a fetch, which is under way or to be started."""
        if self.usable(now) is None:
            return True
        return self.phase(now) is Phase.URGENT and (self.refreshing or self._outdated(now))

    def fetching(self) -> CredentialState:
        """Return the state with a fetch under way."""
        return replace(self, refreshing=True)

    def fetched(self, credentials: DatedCredentials, now: datetime) -> CredentialState:
        """Return the state with new credentials. If these have expired and the old ones have not, keep the old ones: it
        counts as a failed fetch."""
        new = CredentialState(credentials, now)
        return self.failed(now) if new.usable(now) is None and self.usable(now) is not None else new

    def pause(self, now: datetime) -> bool:
        """Whether a caller that needs credentials now gets an error at once, because a fetch hung lately (rule 2)."""
        rests = self.hung and not self.refreshing and self.not_before is not None and now < self.not_before
        return rests and self.usable(now) is None

    def failed(self, now: datetime, hung: bool = False) -> CredentialState:
        """Return the state after the fetch failed, because it *hung* or for another reason. The old credentials stay as
        good as they are."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.failures, _DOUBLINGS))
        return replace(self, refreshing=False, failures=self.failures + 1, not_before=now + pause, hung=hung)

    def rejected(self) -> CredentialState:
        """Return the state after the store refused the credentials: without them."""
        return CredentialState(refreshing=self.refreshing)

    def _outdated(self, now: datetime) -> bool:
        phase = self.phase(now)
        if phase in (Phase.ABSENT, Phase.EXPIRED):
            return not self.pause(now)
        return phase is not Phase.FRESH and (self.not_before is None or now >= self.not_before)
