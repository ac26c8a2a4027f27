"""The keys of the actor, and who waits for them. Part of the dispatcher; the phases are credential_state.py's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from secrets_actor.actor.credential_state import CredentialState
from secrets_actor.actor.flights import Flight
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    CredentialsError,
    ExpiredToken,
    InvalidSignature,
    SecretsError,
    UnrecognizedClient,
)
from secrets_actor.otp import LifecycleEvent
from secrets_actor.records import replace

# After these, other keys may do: those that were used have ended, or were replaced where they came from.
REFUSALS: Final = (ExpiredToken, InvalidSignature, UnrecognizedClient)


class RenewalFailed(LifecycleEvent, frozen=True):
    """New keys were not to be had, for the reason in *problem*. The old ones are good for a while yet."""

    problem: str


class Keyring:
    """Holds one set of keys. All who need them while there are none, or their end is near, wait for the one fetch.

    The end of keys is a date. The wall clock is asked how far away that is when keys come; from then on as much of it
    is over as either clock says, that or *seconds*. So a wall clock that is set back makes no keys last, and one that
    leaps ahead, as after a sleep that nobody else knows of, has new keys fetched at once. If those have ended by it,
    too, then it is wrong, for whoever gives keys gives good ones: *seconds* alone tell then.
    """

    def __init__(self, wall_clock: Callable[[], datetime], seconds: Callable[[], float]) -> None:
        self._wall_clock, self._seconds = wall_clock, seconds
        self._anchor = at = wall_clock()
        self._looked = at, seconds()
        self._state = CredentialState()
        self._fresh_until: tuple[datetime, float] | None = None  # by the one clock and by the other
        self._locked_out: list[Flight] = []

    def are_fresh(self) -> bool:
        """Whether there are keys, and nothing is to be done about them: the common case, told quickly."""
        if self._fresh_until is None:
            return False
        wall, seconds = self._fresh_until
        return self._seconds() < seconds and self._wall_clock() < wall

    def start_fetch(self) -> bool:
        """Whether a fetch must be started now; from then on it counts as under way."""
        if not self._state.wants_fetch(self._now()):
            return False
        self._become(self._state.fetching())
        return True

    def current(self) -> Credentials | None:
        """The keys, if a request may be signed with them."""
        return self._state.credentials if self.are_fresh() else self._state.usable(self._now())

    def must_wait(self) -> bool:
        """Whether a new flight has to wait for a fetch, though there may be keys still."""
        return self._state.must_wait(self._now())

    @property
    def waiting(self) -> tuple[Flight, ...]:
        """Those who wait for keys."""
        return tuple(self._locked_out)

    def lock_out(self, flight: Flight) -> None:
        """Let *flight* wait for keys."""
        self._locked_out.append(flight)

    def patience(self, now: float) -> float:
        """For how many seconds the first of those who wait for a fetch can wait yet; 0 if nobody does."""
        deadlines = [flight.deadline or 0.0 for flight in self._locked_out]
        return min(deadlines, default=now) - now

    def fetched(self, credentials: Credentials) -> list[Flight]:
        """New keys are here; those who waited for them. Keys that have ended count as a fetch that failed."""
        wall, seconds, end = self._wall_clock(), self._seconds(), credentials.expires_at
        passed = self._anchor + timedelta(seconds=seconds - self._looked[1])
        self._anchor = passed if end is not None and passed < end <= wall else wall
        self._looked = wall, seconds
        self._become(self._state.fetched(credentials, self._anchor))
        return self._release()

    def rests(self) -> bool:
        """Whether no keys are fetched for whoever needs some now: the last fetch hung, not long ago."""
        return self._state.pause(self._now())

    def go_on(self) -> None:
        """The fetch that hung has ended after all."""
        self._become(replace(self._state, hung=False))

    def failed(self, hung: bool = False) -> list[Flight]:
        """The fetch came to nothing, because it *hung* or otherwise; those who waited for it."""
        self._become(self._state.failed(self._now(), hung))
        return self._release()

    def refused(self, flight: Flight, credentials: Credentials | None, error: SecretsError) -> bool:
        """*flight* failed by *credentials*. Keys that the store refused are dropped, unless others have come since.
        Whether it is to go once more, by others."""
        if not isinstance(error, CredentialsError):
            return False
        if self._state.credentials is credentials:
            self._become(self._state.rejected())
        if flight.refused is not None or not isinstance(error, REFUSALS):
            return False
        flight.refused = credentials, error
        return True

    def start_over(self) -> list[Flight]:
        """The keys are for another store now: none is known. Those who waited for the fetch."""
        self._become(CredentialState())
        return self._release()

    def _become(self, state: CredentialState) -> None:
        self._state, until = state, state.fresh_until()
        if until is None:
            self._fresh_until = None
        else:
            (wall, seconds), left = self._looked, until - self._anchor
            self._fresh_until = wall + left, seconds + left.total_seconds()

    def _now(self) -> datetime:
        """The present, counted from the last look at both clocks."""
        wall, seconds = self._looked
        return self._anchor + max(self._wall_clock() - wall, timedelta(seconds=self._seconds() - seconds))

    def _release(self) -> list[Flight]:
        waiting, self._locked_out = self._locked_out, []
        return waiting
