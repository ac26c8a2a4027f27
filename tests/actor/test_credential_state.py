"""How good the credentials are, when to fetch, and who waits."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.actor.credential_state import FIRST_PAUSE, CredentialState, DatedCredentials, Phase, same
from secrets_actor.domain.credentials import Credentials
from tests.actor.token_credentials import Token, dated

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def credentials(end: datetime | None = None) -> DatedCredentials:
    return dated(Token("secret", end))


def test_credentials_are_absent_at_first_and_wanted() -> None:
    state = CredentialState()

    assert state.phase(NOW) is Phase.ABSENT
    assert state.usable(NOW) is None
    assert state.wants_fetch(NOW)
    assert not state.fetching().wants_fetch(NOW)


def test_credentials_without_an_end_stay_good_and_are_looked_at_anew_every_minute() -> None:
    state = CredentialState().fetched(credentials(), NOW)
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
def test_credentials_are_due_15_minutes_and_urgent_10_minutes_before_their_end_or_a_quarter_and_a_sixth_of_a_short_life(
    life: timedelta, at: timedelta, phase: Phase
) -> None:
    state = CredentialState().fetched(credentials(NOW + life), NOW)

    assert state.phase(NOW + at) is phase
    assert (state.usable(NOW + at) is not None) == (phase is not Phase.EXPIRED)
    assert state.wants_fetch(NOW + at) == (phase is not Phase.FRESH)
    for one in (state, state.fetching()):
        assert one.must_wait(NOW + at) == (phase in (Phase.URGENT, Phase.EXPIRED))


def test_a_failed_fetch_leaves_the_old_credentials_as_good_as_they_are() -> None:
    state = CredentialState().fetched(credentials(NOW + HOUR), NOW).fetching().failed(NOW)

    assert state.usable(NOW) is not None
    assert not state.refreshing


def test_after_a_failed_fetch_the_next_one_waits_for_a_pause_that_grows_up_to_a_minute() -> None:
    state = CredentialState().fetched(credentials(NOW + 24 * HOUR), NOW)
    now, pauses = NOW + 24 * HOUR - timedelta(minutes=14), []
    for _ in range(9):
        state = state.fetching().failed(now)
        assert state.not_before is not None
        assert not state.wants_fetch(state.not_before - timedelta(microseconds=1))
        assert state.wants_fetch(state.not_before)
        pauses.append((state.not_before - now).total_seconds())

    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_during_the_pause_nobody_waits_while_the_credentials_are_good_and_everybody_asks_when_they_are_not() -> None:
    end = NOW + 24 * HOUR
    urgent = end - timedelta(minutes=9)
    state = CredentialState().fetched(credentials(end), NOW).fetching().failed(urgent)

    assert not state.must_wait(urgent)
    assert not state.wants_fetch(urgent)
    assert state.must_wait(urgent + timedelta(seconds=1))
    late = state.failed(end - timedelta(microseconds=1))
    assert late.must_wait(end)
    assert late.wants_fetch(end)


def test_new_credentials_end_the_pause() -> None:
    state = CredentialState().fetched(credentials(NOW + HOUR), NOW).failed(NOW).failed(NOW)

    state = state.fetched(credentials(NOW + HOUR), NOW)

    assert (state.failures, state.not_before) == (0, None)


def test_credentials_that_have_ended_take_no_good_ones_place() -> None:
    old = credentials(NOW + HOUR)
    state = CredentialState().fetched(old, NOW).fetching().fetched(credentials(NOW), NOW)

    assert state.usable(NOW) is old.credentials
    assert (state.refreshing, state.failures) == (False, 1)
    assert CredentialState().fetched(credentials(NOW), NOW).phase(NOW) is Phase.EXPIRED


@pytest.mark.parametrize("life", [timedelta(seconds=1), timedelta(minutes=15), HOUR, 36 * HOUR])
def test_calls_every_thousandth_of_a_life_fetch_once_a_life_and_never_wait(life: timedelta) -> None:
    state, now, fetches, step = CredentialState().fetched(credentials(NOW + life), NOW), NOW, 0, life / 1000
    for _ in range(3000):
        now += step
        assert not state.must_wait(now)
        if state.wants_fetch(now):
            state = state.fetching().fetched(credentials(now + life), now)
            fetches += 1

    assert 3 <= fetches <= 4


def test_after_a_fetch_that_hung_the_next_comes_after_a_pause_that_grows_with_credentials_or_without() -> None:
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
    good = CredentialState().fetched(credentials(), NOW).fetching().failed(NOW, hung=True)
    assert not good.pause(NOW), "the old ones are good"


def test_rejected_credentials_are_gone_and_a_fetch_under_way_stays_under_way() -> None:
    state = CredentialState().fetched(credentials(), NOW).fetching().rejected()

    assert state.usable(NOW) is None
    assert not state.wants_fetch(NOW)


def test_credentials_are_the_same_if_they_say_so_and_those_that_cannot_be_compared_are_not() -> None:
    class Odd(Credentials):
        def __eq__(self, other: object) -> bool:
            raise SystemExit

        __hash__ = None  # type: ignore[assignment]

    odd = Odd()
    assert same(Token("a"), Token("a"))
    assert same(odd, odd)
    assert same(None, None)
    assert not same(Token("a"), Token("b"))
    assert not same(odd, Odd())


# --- credentials that say when they are due -------------------------------------------------------------------------


def renewable(renewal: datetime, end: datetime | None = NOW + HOUR) -> CredentialState:
    return CredentialState().fetched(dated(Token("secret", end, renewal)), NOW)


@pytest.mark.parametrize("end", [NOW + HOUR, None])
def test_credentials_that_say_when_are_due_then_and_wait_for_no_call(end: datetime | None) -> None:
    renewal = NOW + HOUR * 2 / 3
    state = renewable(renewal, end)

    assert state.phase(renewal - timedelta(seconds=1)) is Phase.FRESH
    assert state.phase(renewal) is Phase.DUE
    assert state.wants_fetch(renewal)
    assert not state.must_wait(renewal)
    assert state.next_fetch() == renewal


def test_they_are_urgent_and_end_as_others_do() -> None:
    state = renewable(NOW + HOUR * 2 / 3)

    assert state.phase(NOW + HOUR - timedelta(minutes=10)) is Phase.URGENT
    assert state.phase(NOW + HOUR) is Phase.EXPIRED


def test_a_date_that_has_passed_does_not_make_one_fetch_follow_the_other() -> None:
    state = renewable(NOW - HOUR)

    assert state.phase(NOW) is Phase.FRESH
    assert state.next_fetch() == NOW + FIRST_PAUSE


def test_they_are_not_fresh_past_their_end() -> None:
    assert renewable(NOW + 2 * HOUR).fresh_until() == NOW + HOUR
    assert renewable(NOW, NOW - HOUR).phase(NOW) is Phase.EXPIRED


def test_after_a_renewal_that_failed_the_next_comes_after_the_pause_with_or_without_a_call() -> None:
    state = renewable(NOW + HOUR * 2 / 3).fetching()
    assert state.next_fetch() is None, "one is under way"

    state = state.failed(NOW + HOUR * 2 / 3)

    assert state.next_fetch() == state.not_before == NOW + HOUR * 2 / 3 + FIRST_PAUSE


def test_credentials_that_do_not_say_are_fetched_for_a_call_only() -> None:
    assert CredentialState().next_fetch() is None
    assert CredentialState().fetched(credentials(NOW + HOUR), NOW).next_fetch() is None
