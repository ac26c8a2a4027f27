"""The credentials of the store in force, and the fetch of new ones. PURE: the times of both clocks are an argument, a
`Moment`.

Rule 1: a worker fetches credentials, and all flights that need them wait for that one fetch. If a fetch fails while the
        old credentials are good, no caller gets its error. Such a fetch also ends early enough for the waiting flights
        to be sent with the old credentials.
Rule 2: credentials expire at a date. When they come, the wall clock tells how far away that is. From then on two clocks
        count, the wall clock and the clock of seconds, and the one by which more time has passed is believed. So
        credentials do not last longer if the wall clock is set back. If it leaps ahead, as after a sleep that the clock
        of seconds has not seen, new credentials are fetched at once. If these have expired by the wall clock, too, then
        the wall clock is wrong, because a source gives good credentials: only the clock of seconds counts then.
Rule 3: after a fetch that hung, the next one is not tried at once, because it could cost one more thread that cannot be
        freed. Callers get the error of that fetch until the pause is over, or until its thread has come free.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from secrets_actor.actor.credential_state import CredentialState, DatedCredentials
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError, DeadlineExceeded, SecretsError
from secrets_actor.domain.ports import CredentialSource

# A fetch that is to replace good credentials has this share of the call timeout, so that time is left for the flights
# that wait for it (rule 1).
RENEWAL_SHARE: Final = 0.5
EXPIRED: Final = "the credentials that were fetched have expired already: check this machine's clock"
_HANGS: Final = (
    "no credentials came in time: what they come from (a file, a helper program, a metadata service) hangs. It is asked"
    " again after a while"
)


class Moment(NamedTuple):
    """A point in time by both clocks: *clock* is in seconds, and never goes back; *wall* is the date and time (UTC)."""

    clock: float
    wall: datetime


class Fetch:
    """One fetch of credentials, waiting for a worker or under way. `number` is that of its last sending to a worker;
    `crashes` counts the workers that ended over it."""

    __slots__ = ("crashes", "number")

    def __init__(self) -> None:
        self.crashes = self.number = 0


class Release:
    """The giving back of all that *source* has fetched, waiting for a worker or under way. It is over by *until* (clock
    seconds). `number` and `crashes` are as in `Fetch`."""

    __slots__ = ("crashes", "number", "source", "until")

    def __init__(self, source: CredentialSource[Any], until: float) -> None:
        self.source, self.until = source, until
        self.crashes = self.number = 0


class CredentialRefresh:
    """The credentials of one store, and the fetch that is to renew them. At first there are none."""

    def __init__(self, at: Moment) -> None:
        self._state = CredentialState()
        # `_came_at`: when credentials came last, by both clocks; `_anchor`: the date that was believed then (rule 2).
        self._anchor, self._came_at = at.wall, at
        self._fresh_until: Moment | None = None  # by each of the two clocks; None: there are no fresh credentials
        self._fetch: Fetch | None = None
        self._problem: SecretsError | None = None  # the error of the last fetch
        self._hangs_in: Any = None  # the worker whose fetch hung last

    def start_over(self) -> Fetch | None:
        """Another store has come into force: forget the credentials and the fetch. Return the fetch if one was under
        way, or None. Its outcome is ignored from now on."""
        fetch = self._fetch
        self._become(CredentialState())
        self._fetch = self._problem = None
        return fetch

    @property
    def is_fetching(self) -> bool:
        """Whether a fetch is under way."""
        return self._fetch is not None

    def next_fetch_in(self, now: Moment) -> float | None:
        """Return in how many seconds to look whether a fetch is due, although no call needs it; None: not at all."""
        date = self._state.next_fetch()
        return None if date is None else max(0.0, (date - self._date(now)).total_seconds())

    @property
    def dates(self) -> tuple[datetime | None, datetime | None]:
        """When the credentials end, and from when on they are renewed (None: not known, or never). For any thread."""
        state = self._state
        return (None if state.dated is None else state.dated.end), state.fresh_until()

    def is_present(self, fetch: Fetch) -> bool:
        """Whether *fetch* is the one that flights wait for, and not one for an earlier store."""
        return fetch is self._fetch

    def current(self, now: Moment) -> Credentials | None:
        """Return the credentials if a request may be signed with them, else None."""
        return self._state.credentials if self.is_fresh(now) else self._state.usable(self._date(now))

    def must_wait(self, now: Moment) -> bool:
        """Whether a new flight has to wait for a fetch, even if there are credentials that have not expired."""
        return self._state.must_wait(self._date(now))

    def fetch_if_due(self, now: Moment) -> Fetch | None:
        """Return the fetch to be done now, which counts as under way from now on; None if it is not time for one."""
        if not self._state.wants_fetch(self._date(now)):
            return None
        self._become(self._state.fetching())
        self._fetch = Fetch()
        return self._fetch

    def is_fresh(self, now: Moment) -> bool:
        """Whether there are credentials, and it is too early to renew them. It is the usual case, and quick to tell."""
        until = self._fresh_until
        return until is not None and now.clock < until.clock and now.wall < until.wall

    def resting_worker(self, now: Moment) -> Any:
        """Return the worker whose fetch hung, as long as no other fetch is tried for that reason (rule 3); else
        None."""
        return self._hangs_in if self._problem is not None and self._state.pause(self._date(now)) else None

    def hangs_no_more(self) -> None:
        """Note that the thread of the fetch that hung has come free."""
        self._become(replace(self._state, hung=False))

    def trouble(self, now: Moment) -> SecretsError | None:
        """Return the error of the last fetch if there are no credentials, else None."""
        return None if self._problem is None or self.current(now) is not None else self._problem

    def deadline(self, now: Moment, call_timeout: float) -> float:
        """Return the deadline (clock seconds) of a fetch that is sent *now*. *call_timeout* is in seconds."""
        return now.clock + call_timeout * (1.0 if self.current(now) is None else RENEWAL_SHARE)

    def fetched(self, credentials: DatedCredentials, now: Moment) -> None:
        """Take new credentials. If they have expired already, and the old ones have not, the fetch counts as failed."""
        end = credentials.end
        # If they have expired by the wall clock only, that clock has leapt and is wrong: go by the seconds (rule 2).
        passed = self._anchor + timedelta(seconds=now.clock - self._came_at.clock)
        self._anchor = passed if end is not None and passed < end <= now.wall else now.wall
        self._came_at = now
        self._become(self._state.fetched(credentials, self._anchor))
        self._fetch = self._problem = None

    def failed(self, error: SecretsError, now: Moment, hung_in: Any = None) -> None:
        """Note that the fetch has failed with *error*. *hung_in* is the worker in which it hangs; None if it ended."""
        if hung_in is not None:
            self._hangs_in = hung_in
        self._become(self._state.failed(self._date(now), hung_in is not None))
        self._fetch, self._problem = None, error

    def refused(self, used: Credentials | None, error: SecretsError) -> bool:
        """A request that was signed with *used* met *error*. If the store refused the credentials, drop them, unless
        others have come since. Return whether the request may succeed with other credentials."""
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
            (clock, wall), left = self._came_at, until - self._anchor
            self._fresh_until = Moment(clock + left.total_seconds(), wall + left)

    def _date(self, now: Moment) -> datetime:
        """Return the present date by the clock that says more time has passed since credentials came (rule 2)."""
        clock, wall = self._came_at
        return self._anchor + max(now.wall - wall, timedelta(seconds=now.clock - clock))


def hangs() -> DeadlineExceeded:
    """Return the error of a fetch that did not end in time."""
    return DeadlineExceeded(_HANGS)
