"""How good the keys are, when to fetch, and who waits."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.actor.credential_state import CredentialState, Phase
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.keyring import Keyring
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.operations import List
from secrets_actor.domain.secret import SecretValue

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def keys(end: datetime | None = None) -> Credentials:
    return Credentials("AKIA", SecretValue("secret"), None, end)


def test_keys_are_absent_at_first_and_wanted() -> None:
    state = CredentialState()

    assert state.phase(NOW) is Phase.ABSENT
    assert state.usable(NOW) is None
    assert state.wants_fetch(NOW)
    assert not state.fetching().wants_fetch(NOW)


def test_keys_without_an_end_stay_fresh() -> None:
    state = CredentialState().fetched(keys(), NOW)

    assert state.phase(NOW + 10_000 * HOUR) is Phase.FRESH
    assert not state.wants_fetch(NOW + 10_000 * HOUR)


@pytest.mark.parametrize(
    ("life", "at", "phase"),
    [
        (6 * HOUR, 6 * HOUR - timedelta(minutes=15, seconds=1), Phase.FRESH),
        (6 * HOUR, 6 * HOUR - timedelta(minutes=15), Phase.DUE),
        (HOUR / 4, HOUR / 4 * 0.74, Phase.FRESH),
        (HOUR / 4, HOUR / 4 * 0.75, Phase.DUE),
        (HOUR, HOUR - timedelta(microseconds=1), Phase.DUE),
        (HOUR, HOUR, Phase.EXPIRED),
    ],
)
def test_keys_are_due_15_minutes_before_their_end_or_a_quarter_of_a_short_life(
    life: timedelta, at: timedelta, phase: Phase
) -> None:
    state = CredentialState().fetched(keys(NOW + life), NOW)

    assert state.phase(NOW + at) is phase
    assert (state.usable(NOW + at) is not None) == (phase is not Phase.EXPIRED)
    assert state.wants_fetch(NOW + at) == (phase is not Phase.FRESH)


def test_a_failed_fetch_leaves_the_old_keys_as_good_as_they_are() -> None:
    state = CredentialState().fetched(keys(NOW + HOUR), NOW).fetching().failed()

    assert state.usable(NOW) is not None
    assert not state.refreshing


def test_rejected_keys_are_gone_and_a_fetch_under_way_stays_under_way() -> None:
    state = CredentialState().fetched(keys(), NOW).fetching().rejected()

    assert state.usable(NOW) is None
    assert not state.wants_fetch(NOW)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_a_keyring_starts_one_fetch_and_releases_all_who_wait_for_it() -> None:
    ring = Keyring(Clock())
    first, second = Flight(1, List()), Flight(2, List())

    assert ring.start_fetch()
    assert not ring.start_fetch()
    ring.lock_out(first)
    ring.lock_out(second)
    assert ring.fetched(keys()) == [first, second]
    assert ring.current() is not None
    assert ring.fetched(keys()) == []


def test_a_keyring_releases_them_too_when_the_fetch_fails_and_may_start_another() -> None:
    ring = Keyring(Clock())
    flight = Flight(1, List())
    ring.start_fetch()
    ring.lock_out(flight)

    assert ring.failed() == [flight]
    assert ring.current() is None
    assert ring.start_fetch()


def test_a_keyring_drops_the_keys_that_were_refused_and_none_that_came_since() -> None:
    ring, old, new = Keyring(Clock()), keys(), keys()
    ring.fetched(old)
    ring.fetched(new)

    ring.rejected(old)
    assert ring.current() is new

    ring.rejected(new)
    assert ring.current() is None


def test_a_keyring_holds_keys_until_their_end() -> None:
    clock = Clock()
    ring = Keyring(clock)
    ring.fetched(keys(NOW + HOUR))

    clock.now = NOW + HOUR

    assert ring.current() is None
    assert ring.start_fetch()
