"""How good the keys are, when to fetch, and who waits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.credential_state import FIRST_PAUSE, CredentialState, Phase
from secrets_actor.actor.flights import Flight
from secrets_actor.actor.keyring import Keyring
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


def test_keys_without_an_end_stay_good_and_are_looked_at_anew_every_minute() -> None:
    state = CredentialState().fetched(keys(), NOW)
    late = NOW + 10_000 * HOUR

    assert state.phase(NOW + timedelta(seconds=59)) is Phase.FRESH
    assert not state.wants_fetch(NOW + timedelta(seconds=59))
    assert state.phase(late) is Phase.DUE
    assert state.usable(late) is state.credentials
    assert state.wants_fetch(late)
    assert not state.must_wait(late)


@pytest.mark.parametrize(
    ("life", "at", "phase"),
    [
        (6 * HOUR, 6 * HOUR - timedelta(minutes=15, seconds=1), Phase.FRESH),
        (6 * HOUR, 6 * HOUR - timedelta(minutes=15), Phase.DUE),
        (HOUR / 4, HOUR / 4 * 0.74, Phase.FRESH),
        (HOUR / 4, HOUR / 4 * 0.75, Phase.DUE),
        (6 * HOUR, 6 * HOUR - timedelta(minutes=10, seconds=1), Phase.DUE),
        (6 * HOUR, 6 * HOUR - timedelta(minutes=10), Phase.URGENT),
        (HOUR / 4, HOUR / 4 * 0.83, Phase.DUE),
        (HOUR / 4, HOUR / 4 * 0.84, Phase.URGENT),
        (HOUR, HOUR - timedelta(microseconds=1), Phase.URGENT),
        (HOUR, HOUR, Phase.EXPIRED),
    ],
)
def test_keys_are_due_15_minutes_and_urgent_10_minutes_before_their_end_or_a_quarter_and_a_sixth_of_a_short_life(
    life: timedelta, at: timedelta, phase: Phase
) -> None:
    state = CredentialState().fetched(keys(NOW + life), NOW)

    assert state.phase(NOW + at) is phase
    assert (state.usable(NOW + at) is not None) == (phase is not Phase.EXPIRED)
    assert state.wants_fetch(NOW + at) == (phase is not Phase.FRESH)
    for one in (state, state.fetching()):
        assert one.must_wait(NOW + at) == (phase in (Phase.URGENT, Phase.EXPIRED))


def test_a_failed_fetch_leaves_the_old_keys_as_good_as_they_are() -> None:
    state = CredentialState().fetched(keys(NOW + HOUR), NOW).fetching().failed(NOW)

    assert state.usable(NOW) is not None
    assert not state.refreshing


def test_after_a_failed_fetch_the_next_one_waits_for_a_pause_that_grows_up_to_a_minute() -> None:
    state = CredentialState().fetched(keys(NOW + 24 * HOUR), NOW)
    now, pauses = NOW + 24 * HOUR - timedelta(minutes=14), []
    for _ in range(9):
        state = state.fetching().failed(now)
        assert state.not_before is not None
        assert not state.wants_fetch(state.not_before - timedelta(microseconds=1))
        assert state.wants_fetch(state.not_before)
        pauses.append((state.not_before - now).total_seconds())

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_during_the_pause_nobody_waits_while_the_keys_are_good_and_everybody_asks_when_they_are_not() -> None:
    end = NOW + 24 * HOUR
    urgent = end - timedelta(minutes=9)
    state = CredentialState().fetched(keys(end), NOW).fetching().failed(urgent)

    assert not state.must_wait(urgent)
    assert not state.wants_fetch(urgent)
    assert state.must_wait(urgent + timedelta(seconds=1))
    late = state.failed(end - timedelta(microseconds=1))
    assert late.must_wait(end)
    assert late.wants_fetch(end)


def test_new_keys_end_the_pause() -> None:
    state = CredentialState().fetched(keys(NOW + HOUR), NOW).failed(NOW).failed(NOW)

    state = state.fetched(keys(NOW + HOUR), NOW)

    assert (state.failures, state.not_before) == (0, None)


def test_keys_that_have_ended_take_no_good_ones_place() -> None:
    old = keys(NOW + HOUR)
    state = CredentialState().fetched(old, NOW).fetching().fetched(keys(NOW), NOW)

    assert state.usable(NOW) is old
    assert (state.refreshing, state.failures) == (False, 1)
    assert CredentialState().fetched(keys(NOW), NOW).phase(NOW) is Phase.EXPIRED


@pytest.mark.parametrize("life", [timedelta(seconds=1), timedelta(minutes=15), HOUR, 36 * HOUR])
def test_calls_every_thousandth_of_a_life_fetch_once_a_life_and_never_wait(life: timedelta) -> None:
    state, now, fetches, step = CredentialState().fetched(keys(NOW + life), NOW), NOW, 0, life / 1000
    for _ in range(3000):
        now += step
        assert not state.must_wait(now)
        if state.wants_fetch(now):
            state = state.fetching().fetched(keys(now + life), now)
            fetches += 1

    assert 3 <= fetches <= 4


def test_after_a_fetch_that_hung_the_next_comes_after_a_pause_that_grows_keys_or_no_keys() -> None:
    state = CredentialState().fetching().failed(NOW, hung=True)
    assert state.pause(NOW)
    assert not state.wants_fetch(NOW)
    assert not state.pause(NOW + FIRST_PAUSE)
    assert state.wants_fetch(NOW + FIRST_PAUSE)
    state = state.fetching()
    assert not state.pause(NOW), "one is under way: who comes waits for it"
    state = state.failed(NOW, hung=True)
    assert state.pause(NOW + FIRST_PAUSE)
    assert not state.failed(NOW).pause(NOW), "it failed, and holds no thread"
    good = CredentialState().fetched(keys(), NOW).fetching().failed(NOW, hung=True)
    assert not good.pause(NOW), "the old ones are good"


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

    def seconds(self) -> float:
        return (self.now - NOW).total_seconds()


def test_a_keyring_starts_one_fetch_and_releases_all_who_wait_for_it() -> None:
    ring = Keyring(Clock(), lambda: 0.0)
    first, second = Flight(1, List()), Flight(2, List())

    assert ring.start_fetch()
    assert not ring.start_fetch()
    ring.lock_out(first)
    ring.lock_out(second)
    assert ring.fetched(keys()) == [first, second]
    assert ring.current() is not None
    assert ring.fetched(keys()) == []


def test_a_keyring_releases_them_too_when_the_fetch_fails_and_may_start_another() -> None:
    ring = Keyring(Clock(), lambda: 0.0)
    flight = Flight(1, List())
    ring.start_fetch()
    ring.lock_out(flight)

    assert ring.failed() == [flight]
    assert ring.current() is None
    assert ring.must_wait()
    assert ring.start_fetch()


def test_a_keyring_drops_the_keys_that_were_refused_and_none_that_came_since() -> None:
    ring, old, new = Keyring(Clock(), lambda: 0.0), keys(), keys()
    ring.fetched(old)
    ring.fetched(new)

    assert ring.refused(Flight(1, List()), old, UnrecognizedClient("who?"))
    assert ring.current() is new

    assert ring.refused(Flight(2, List()), new, UnrecognizedClient("who?"))
    assert ring.current() is None


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
def test_a_flight_goes_once_more_only_after_a_refusal_of_its_keys(
    error: type[SecretsError], kept: bool, again: bool
) -> None:
    ring, flight, refusal = Keyring(Clock(), lambda: 0.0), Flight(1, List()), error("no")
    ring.fetched(used := keys())

    assert ring.refused(flight, used, refusal) is again
    assert (ring.current() is used) is kept
    assert flight.refused == ((used, refusal) if again else None)
    assert not ring.refused(flight, used, refusal)


def test_a_keyring_holds_keys_until_their_end() -> None:
    clock = Clock()
    ring = Keyring(clock, clock.seconds)
    ring.fetched(keys(NOW + HOUR))

    clock.now = NOW + HOUR

    assert ring.current() is None
    assert ring.must_wait()
    assert ring.start_fetch()


class Machine:
    """A wall clock, and a clock that counts what passes; a test moves each."""

    def __init__(self) -> None:
        self.wall, self.passed = NOW, 0.0

    def ring(self) -> Keyring:
        return Keyring(lambda: self.wall, lambda: self.passed)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.wall += timedelta(seconds=seconds)


def test_keys_end_while_the_machine_sleeps() -> None:
    machine = Machine()
    ring = machine.ring()
    ring.fetched(keys(NOW + HOUR))

    machine.sleep(3600.0)

    assert ring.current() is None


def test_a_wall_clock_that_is_set_back_makes_no_keys_last() -> None:
    machine = Machine()
    ring = machine.ring()
    ring.fetched(used := keys(NOW + HOUR))
    machine.wall -= timedelta(days=31)

    machine.sleep(3599.0)
    assert ring.current() is used
    machine.sleep(1.0)
    assert ring.current() is None


def test_keys_that_are_fetched_while_the_wall_clock_is_ahead_are_good() -> None:
    machine = Machine()
    ring = machine.ring()
    ring.fetched(keys(NOW + HOUR))
    machine.wall += timedelta(days=31)
    machine.sleep(60.0)
    assert ring.current() is None, "it may have slept"

    ring.fetched(new := keys(NOW + 2 * HOUR))

    assert ring.current() is new
    machine.sleep(7139.0)
    assert ring.current() is new
    machine.sleep(1.0)
    assert ring.current() is None


def test_a_wall_clock_that_was_wrong_at_the_start_is_forgotten_with_the_first_keys_that_fit() -> None:
    machine = Machine()
    machine.wall += timedelta(days=31)
    ring = machine.ring()
    ring.fetched(keys(NOW + HOUR))
    assert ring.current() is None

    machine.wall -= timedelta(days=31)
    ring.fetched(new := keys(NOW + HOUR))

    assert ring.current() is new


@given(
    life=st.integers(-100, 40_000) | st.none(),
    by_wall=st.integers(-40_000, 40_000),
    by_seconds=st.integers(0, 40_000),
)
def test_keys_are_fresh_as_long_as_nothing_is_to_be_done_about_them(
    life: int | None, by_wall: int, by_seconds: int
) -> None:
    machine = Machine()
    ring = machine.ring()
    ring.fetched(used := keys(None if life is None else NOW + timedelta(seconds=life)))

    machine.wall += timedelta(seconds=by_wall)
    machine.passed += by_seconds

    fresh = ring.are_fresh()
    assert fresh is not ring.start_fetch()
    assert not fresh or ring.current() is used
