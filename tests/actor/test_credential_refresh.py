"""The credentials that are known, and the fetch of new ones, by two clocks that may disagree."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.credential_refresh import CredentialRefresh, Fetch, Moment
from secrets_actor.actor.credential_state import DatedCredentials
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    AccessDenied,
    ExpiredToken,
    InvalidSignature,
    MissingSecretKey,
    SecretsError,
    Throttled,
    UnrecognizedClient,
)
from tests.actor.token_credentials import Token, dated

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def credentials(end: datetime | None = None) -> Token:
    return Token("secret", end)


class Machine:
    """A wall clock, and a clock that counts what passes; a test moves each. `refresh` lives by them."""

    def __init__(self, ahead: timedelta = timedelta()) -> None:
        self.wall, self.passed = NOW + ahead, 0.0
        self.refresh = CredentialRefresh(self.now)

    @property
    def now(self) -> Moment:
        return Moment(self.passed, self.wall)

    @property
    def current(self) -> Credentials | None:
        return self.refresh.current(self.now)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.wall += timedelta(seconds=seconds)

    def fetched(self, credentials: Credentials) -> Credentials:
        self.refresh.fetched(DatedCredentials(credentials, credentials.expires_at), self.now)
        return credentials

    def begun(self) -> Fetch:
        fetch = self.refresh.fetch_if_due(self.now)
        assert fetch is not None
        return fetch


def test_one_fetch_is_begun_and_the_next_when_it_has_failed() -> None:
    machine = Machine()
    fetch = machine.begun()
    assert machine.refresh.is_present(fetch)
    assert machine.refresh.fetch_if_due(machine.now) is None

    machine.refresh.failed(AccessDenied("no"), machine.now)

    assert not machine.refresh.is_present(fetch)
    assert machine.refresh.must_wait(machine.now)
    assert machine.begun() is not fetch


def test_what_the_last_fetch_met_is_told_while_there_are_no_credentials() -> None:
    machine, error = Machine(), AccessDenied("no")
    assert machine.refresh.trouble(machine.now) is None
    machine.refresh.failed(error, machine.now)
    assert machine.refresh.trouble(machine.now) is error
    machine.fetched(credentials())
    assert machine.refresh.trouble(machine.now) is None


def test_good_credentials_outlive_a_fetch_that_failed_and_a_renewal_has_half_of_the_time() -> None:
    machine = Machine()
    assert machine.refresh.deadline(machine.now, 30.0) == 30.0
    good = machine.fetched(credentials(NOW + HOUR))
    machine.refresh.failed(AccessDenied("no"), machine.now)

    assert machine.current is good
    assert machine.refresh.trouble(machine.now) is None
    assert machine.refresh.deadline(machine.now, 30.0) == 15.0
    assert machine.refresh.is_fresh(machine.now)


def test_after_a_fetch_that_hung_no_other_is_tried_until_the_pause_is_over_or_its_thread_is_free() -> None:
    machine = Machine()
    machine.begun()
    machine.refresh.failed(AccessDenied("hung"), machine.now, "the worker")
    assert machine.refresh.resting_worker(machine.now) == "the worker"
    assert machine.refresh.fetch_if_due(machine.now) is None

    machine.refresh.hangs_no_more()

    assert machine.refresh.resting_worker(machine.now) is None
    machine.begun()


def test_with_another_store_none_are_known_and_the_fetch_under_way_is_told() -> None:
    machine = Machine()
    fetch = machine.begun()
    machine.fetched(credentials())
    assert machine.refresh.start_over() is None
    assert machine.current is None
    again = machine.begun()

    assert machine.refresh.start_over() is again
    assert not machine.refresh.is_present(again)
    assert again is not fetch


def test_refused_credentials_are_dropped_and_none_that_came_since() -> None:
    machine = Machine()
    old, new = machine.fetched(credentials()), machine.fetched(credentials())

    assert machine.refresh.refused(old, UnrecognizedClient("who?"))
    assert machine.current is new

    assert machine.refresh.refused(new, UnrecognizedClient("who?"))
    assert machine.current is None


@pytest.mark.parametrize(
    ("error", "kept", "again"),
    [
        (ExpiredToken, False, True),
        (InvalidSignature, False, True),
        (UnrecognizedClient, False, True),
        (MissingSecretKey, False, False),
        (AccessDenied, True, False),
        (Throttled, True, False),
    ],
)
def test_others_may_do_only_after_a_refusal_of_these(error: type[SecretsError], kept: bool, again: bool) -> None:
    machine = Machine()
    used = machine.fetched(credentials())

    assert machine.refresh.refused(used, error("no")) is again
    assert (machine.current is used) is kept


def test_credentials_end_while_the_machine_sleeps() -> None:
    machine = Machine()
    machine.fetched(credentials(NOW + HOUR))

    machine.sleep(3600.0)

    assert machine.current is None
    assert machine.refresh.must_wait(machine.now)
    machine.begun()


def test_a_wall_clock_that_is_set_back_makes_no_credentials_last() -> None:
    machine = Machine()
    used = machine.fetched(credentials(NOW + HOUR))
    machine.wall -= timedelta(days=31)

    machine.sleep(3599.0)
    assert machine.current is used
    machine.sleep(1.0)
    assert machine.current is None


def test_credentials_that_are_fetched_while_the_wall_clock_is_ahead_are_good() -> None:
    machine = Machine()
    machine.fetched(credentials(NOW + HOUR))
    machine.wall += timedelta(days=31)
    machine.sleep(60.0)
    assert machine.current is None, "it may have slept"

    new = machine.fetched(credentials(NOW + 2 * HOUR))

    assert machine.current is new
    machine.sleep(7139.0)
    assert machine.current is new
    machine.sleep(1.0)
    assert machine.current is None


def test_a_wall_clock_that_was_wrong_at_the_start_is_forgotten_with_the_first_credentials_that_fit() -> None:
    machine = Machine(ahead=timedelta(days=31))
    machine.fetched(credentials(NOW + HOUR))
    assert machine.current is None

    machine.wall -= timedelta(days=31)
    new = machine.fetched(credentials(NOW + HOUR))

    assert machine.current is new


@given(
    life=st.integers(-100, 40_000) | st.none(),
    by_wall=st.integers(-40_000, 40_000),
    by_seconds=st.integers(0, 40_000),
)
def test_credentials_are_fresh_as_long_as_nothing_is_to_be_done_about_them(
    life: int | None, by_wall: int, by_seconds: int
) -> None:
    machine = Machine()
    used = machine.fetched(credentials(None if life is None else NOW + timedelta(seconds=life)))

    machine.wall += timedelta(seconds=by_wall)
    machine.passed += by_seconds

    fresh = machine.refresh.is_fresh(machine.now)
    assert fresh is (machine.refresh.fetch_if_due(machine.now) is None)
    assert not fresh or machine.current is used


def test_the_next_renewal_is_counted_by_the_clock_that_says_more_time_has_passed() -> None:
    machine = Machine()
    assert machine.refresh.next_fetch_in(machine.now) is None
    token = Token("secret", NOW + HOUR, NOW + HOUR * 2 / 3)
    machine.refresh.fetched(dated(token), machine.now)
    assert machine.refresh.next_fetch_in(machine.now) == 2400.0

    machine.wall += timedelta(minutes=10)
    assert machine.refresh.next_fetch_in(machine.now) == 1800.0
    machine.sleep(3600.0)
    assert machine.refresh.next_fetch_in(machine.now) == 0.0

    assert not machine.refresh.is_fetching
    machine.begun()
    assert machine.refresh.is_fetching
    assert machine.refresh.next_fetch_in(machine.now) is None


def test_the_dates_of_the_credentials_are_told() -> None:
    machine = Machine()
    assert machine.refresh.dates == (None, None)

    machine.begun()
    machine.fetched(credentials(NOW + 2 * HOUR))

    assert machine.refresh.dates == (NOW + 2 * HOUR, NOW + 2 * HOUR - timedelta(minutes=15))
