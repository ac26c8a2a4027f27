"""The credentials of the store that is in force, and the fetch of new ones. PURE: both clocks come in as a `Moment`.

Rule 1: credentials are fetched by a worker; all who need them wait for the one fetch. A fetch that fails while the old
        credentials are good is nobody's failure, and ends early enough for those who wait to go with the old ones.
Rule 2: the end of credentials is a date. The wall clock is asked how far away that is when credentials come; from then
        on as much of it is over as either clock says, the wall clock or the clock of seconds. So a wall clock that is
        set back makes no credentials last, and one that leaps ahead, as after a sleep that the other clock has not
        seen, has new credentials fetched at once. If those have ended by it, too, then it is wrong, for a source gives
        good ones: the clock of seconds alone tells then.
Rule 3: after a fetch that hung, the next is not tried at once: it would cost one more thread that cannot be had back.
        Callers get its error until the pause is over, or the thread has come free after all.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from secrets_actor.actor.credential_state import CredentialState
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, DeadlineExceeded, SecretsError

# A fetch that is to replace good credentials has this share of the configured call time.
RENEWAL_SHARE: Final = 0.5
EXPIRED: Final = "the credentials that were fetched have expired already: check this machine's clock"
_HANGS: Final = (
    "no credentials came in time: what they come from (a file, a helper program, a metadata service) hangs. It is asked"
    " again after a while"
)


class Moment(NamedTuple):
    """A point in time by both clocks: *clock* is in seconds, and never goes back; *wall* is the date (UTC)."""

    clock: float
    wall: datetime


class Fetch:
    """One fetch of credentials that is to be done or under way. *number* is that of its last sending to a worker;
    `crashes` counts the workers that ended over it."""

    __slots__ = ("crashes", "number")

    def __init__(self) -> None:
        self.crashes = self.number = 0


class CredentialRefresh:
    """Knows one set of credentials; none to begin with."""

    def __init__(self, at: Moment) -> None:
        self._state = CredentialState()
        self._anchor, self._looked = at.wall, at
        self._fresh_until: Moment | None = None  # by the one clock and by the other; None: they are not
        self._fetch: Fetch | None = None
        self._problem: SecretsError | None = None  # what the last fetch met
        self._hangs_in: Any = None  # the worker whose fetch hung last

    def start_over(self) -> Fetch | None:
        """The credentials, and the fetch that is under way, are for a store that is not in force any more. That fetch,
        if there is one: what comes of it means nothing."""
        fetch = self._fetch
        self._become(CredentialState())
        self._fetch = self._problem = None
        return fetch

    def is_present(self, fetch: Fetch) -> bool:
        """Whether *fetch* is the one that callers wait for."""
        return fetch is self._fetch

    def current(self, now: Moment) -> Credentials | None:
        """The credentials, if a request may be signed with them."""
        return self._state.credentials if self.is_fresh(now) else self._state.usable(self._date(now))

    def must_wait(self, now: Moment) -> bool:
        """Whether a new flight has to wait for a fetch, though there may be credentials still."""
        return self._state.must_wait(self._date(now))

    def fetch_if_due(self, now: Moment) -> Fetch | None:
        """The fetch to have done now, if it is time for one; from then on it counts as under way."""
        if not self._state.wants_fetch(self._date(now)):
            return None
        self._become(self._state.fetching())
        self._fetch = Fetch()
        return self._fetch

    def is_fresh(self, now: Moment) -> bool:
        """Whether there are credentials, and nothing is to be done about them: the usual case, told quickly."""
        until = self._fresh_until
        return until is not None and now.clock < until.clock and now.wall < until.wall

    def resting_worker(self, now: Moment) -> Any:
        """The worker whose fetch hung, while no other fetch is tried for that (rule 3); else None."""
        return self._hangs_in if self._problem is not None and self._state.pause(self._date(now)) else None

    def hangs_no_more(self) -> None:
        """The fetch that hung has ended after all."""
        self._become(replace(self._state, hung=False))

    def trouble(self, now: Moment) -> SecretsError | None:
        """What the last fetch met, if there are no credentials."""
        return None if self._problem is None or self.current(now) is not None else self._problem

    def deadline(self, now: Moment, call_timeout: float) -> float:
        """By when (clock seconds) a fetch that is sent *now* is to be done."""
        return now.clock + call_timeout * (1.0 if self.current(now) is None else RENEWAL_SHARE)

    def fetched(self, credentials: Credentials, now: Moment) -> None:
        """New credentials are here. Those that have ended count as a fetch that failed."""
        end = credentials.expires_at
        passed = self._anchor + timedelta(seconds=now.clock - self._looked.clock)
        self._anchor = passed if end is not None and passed < end <= now.wall else now.wall
        self._looked = now
        self._become(self._state.fetched(credentials, self._anchor))
        self._fetch = self._problem = None

    def failed(self, error: SecretsError, now: Moment, hung_in: Any = None) -> None:
        """The fetch came to nothing; *hung_in* is the worker that it hangs in."""
        if hung_in is not None:
            self._hangs_in = hung_in
        self._become(self._state.failed(self._date(now), hung_in is not None))
        self._fetch, self._problem = None, error

    def refused(self, used: Credentials | None, error: SecretsError) -> bool:
        """The store refused what was signed with *used* by *error*. Credentials that it refused are dropped, unless
        others have come since. Whether others may do."""
        if not isinstance(error, CredentialsError):
            return False
        if self._state.credentials is used:
            self._become(self._state.rejected())
        return error.refused

    def _become(self, state: CredentialState) -> None:
        self._state, until = state, state.fresh_until()
        if until is None:
            self._fresh_until = None
        else:
            (clock, wall), left = self._looked, until - self._anchor
            self._fresh_until = Moment(clock + left.total_seconds(), wall + left)

    def _date(self, now: Moment) -> datetime:
        """The present, counted from the last look at both clocks."""
        clock, wall = self._looked
        return self._anchor + max(now.wall - wall, timedelta(seconds=now.clock - clock))


def hangs() -> DeadlineExceeded:
    """The error of a fetch that did not end in time."""
    return DeadlineExceeded(_HANGS)
