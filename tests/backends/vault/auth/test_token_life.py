"""When a token is renewed, and when a login is had anew."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.vault.auth.token_life import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    Granted,
    Step,
    TokenLife,
    granted_in,
    life_of,
    looked_up,
    pause_after,
    token_of,
)
from secrets_actor.domain.secret import SecretValue

HOUR = 3600.0
TOKEN = SecretValue("s.hunter2")


def hour(**more: object) -> TokenLife:
    return life_of(Granted(TOKEN, "a", HOUR, True, **more), 100.0)  # type: ignore[arg-type]


def test_a_token_is_renewed_at_two_thirds_of_its_life_or_a_little_earlier() -> None:
    assert hour().renew_at(0.0) == 100.0 + HOUR * 2 / 3
    assert hour().renew_at(1.0) == pytest.approx(100.0 + HOUR * 0.6)


@given(st.floats(0.0, 1.0))
def test_a_fetch_at_that_time_renews(dice: float) -> None:
    due = hour().renew_at(dice)
    assert due is not None
    assert hour().next_step(due) is Step.RENEW


def test_a_fetch_before_asks_whether_the_token_is_alive_unless_that_costs_a_use() -> None:
    assert hour().next_step(200.0) is Step.CHECK
    assert hour(uses=3).next_step(200.0) is Step.KEEP


def test_what_cannot_be_renewed_is_replaced_when_it_is_due_and_not_before() -> None:
    for life in (hour().fixed(), hour(is_batch=True), life_of(Granted(TOKEN, "a", HOUR), 100.0)):
        assert life.renew_at(0.0) is None
        assert life.next_step(200.0) is Step.CHECK
        assert life.next_step(100.0 + HOUR * 2 / 3) is Step.LOG_IN


def test_a_token_without_an_end_is_never_due() -> None:
    life = life_of(Granted(TOKEN, "a", None, True), 100.0)

    assert life.renew_at(0.0) is None
    assert life.left(10**9) == math.inf
    assert life.next_step(10**9) is Step.CHECK


def test_a_renewal_that_adds_to_the_life_is_followed_by_another() -> None:
    life = hour().renewed(HOUR, renewable=True, asked=100.0 + 2400.0)

    assert life == TokenLife(2500.0, HOUR, True)
    assert life.left(2500.0) == HOUR


def test_a_renewal_that_adds_nothing_shows_that_the_maximum_is_reached() -> None:
    life = hour().renewed(1200.0, renewable=True, asked=100.0 + 2400.0)

    assert not life.grows
    assert life.next_step(life.since + 800.0) is Step.LOG_IN


def test_a_look_at_a_token_does_not_put_off_its_renewal_unless_somebody_else_has_changed_its_end() -> None:
    life = hour()

    assert life.looked_up(Granted(TOKEN, "a", HOUR - 1000.0, True), 1100.0) is life
    assert life.looked_up(Granted(TOKEN, "a", HOUR, True), 1100.0) == TokenLife(1100.0, HOUR, True)
    assert life.looked_up(Granted(TOKEN, "a", 60.0, True), 1100.0) == TokenLife(1100.0, 60.0, True)
    endless = life_of(Granted(TOKEN), 0.0)
    assert endless.looked_up(Granted(TOKEN), 10.0) is endless
    assert endless.looked_up(Granted(TOKEN, "a", 60.0), 10.0) == TokenLife(10.0, 60.0, False)


def test_after_a_renewal_the_token_may_have_no_end_or_not_be_renewable_any_more() -> None:
    assert hour().renewed(None, renewable=True, asked=2500.0).lasts is None
    assert not hour().renewed(HOUR, renewable=False, asked=2500.0).grows


@given(
    lease=st.integers(30, 40 * 86_400),
    maximum=st.integers(30, 40 * 86_400),
    dice=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5),
)
def test_whatever_the_lives_are_renewals_reach_the_maximum_and_are_few(
    lease: int, maximum: int, dice: list[float]
) -> None:
    """A server that grants *lease* seconds each time, up to *maximum* in all, as OpenBao counts them."""
    life = life_of(Granted(TOKEN, "a", float(min(lease, maximum)), True), 0.0)
    renewals = 0
    while life.grows:
        due = life.renew_at(dice[renewals % len(dice)])
        assert due is not None
        renewals += 1
        life = life.renewed(float(min(lease, math.floor(maximum - due))), renewable=True, asked=due)

    assert renewals <= maximum / (0.6 * min(lease, maximum)) + 3
    assert life.since <= maximum
    assert life.since + (life.lasts or 0.0) >= maximum - 1


def test_the_pauses_after_refusals_that_are_counted_let_no_two_processes_lock_a_user_out() -> None:
    attempts, now = [], 0.0
    for failures in range(1, 20):
        attempts.append(now)
        now += pause_after(failures, counted=True)

    for start in attempts:
        assert len([one for one in attempts if start <= one < start + 900.0]) * 2 < 5


def test_all_other_pauses_begin_short_and_grow_to_five_minutes() -> None:
    pauses = [pause_after(failures, counted=False) for failures in (1, 2, 3, 9, 10, 1000)]

    assert pauses == [FIRST_PAUSE, 2.0, 4.0, 256.0, LONGEST_PAUSE, LONGEST_PAUSE]


# --- what a server says -------------------------------------------------------------------------------------------

AUTH = {
    "client_token": "s.hunter2",
    "accessor": "accessor",
    "lease_duration": 3600,
    "renewable": True,
    "token_type": "service",
    "num_uses": 0,
}


def test_a_login_grants_a_token() -> None:
    assert granted_in({"auth": AUTH}) == Granted(TOKEN, "accessor", HOUR, True)
    batch = AUTH | {"accessor": "", "lease_duration": 0, "renewable": False, "token_type": "batch", "num_uses": "x"}
    assert granted_in({"auth": batch}) == Granted(TOKEN, None, None, False, True)


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"auth": None},
        {"auth": []},
        {"auth": AUTH | {"client_token": ""}},
        {"auth": AUTH | {"client_token": None}},
        {"auth": AUTH | {"client_token": "a b"}},
        {"auth": AUTH | {"client_token": "a\nb"}},
        {"auth": AUTH | {"client_token": "ä"}},
        {"auth": AUTH | {"client_token": "a" * 65_537}},
        {"auth": AUTH | {"lease_duration": None}},
        {"auth": AUTH | {"lease_duration": True}},
        {"auth": AUTH | {"lease_duration": "1h"}},
    ],
)
def test_what_is_no_login_grants_none(body: object) -> None:
    assert granted_in(body) is None


@pytest.mark.parametrize("seconds", [10**10, 10**12, 2**63, 10**400])
def test_a_token_that_lasts_longer_than_a_century_does_not_end(seconds: int) -> None:
    assert granted_in({"auth": AUTH | {"lease_duration": seconds}}) == Granted(TOKEN, "accessor", None, True)
    assert looked_up({"data": {"ttl": seconds}}, TOKEN) == Granted(TOKEN)


def test_a_token_that_was_looked_up_is_described() -> None:
    data = {"accessor": "accessor", "ttl": 60, "renewable": False, "type": "service", "num_uses": 3}

    assert looked_up({"data": data}, TOKEN) == Granted(TOKEN, "accessor", 60.0, False, False, 3)
    for body in (None, {}, {"data": []}, {"data": {}}, {"data": {"ttl": "1h"}}):
        assert looked_up(body, TOKEN) is None


def test_no_repr_shows_a_token() -> None:
    assert token_of("s.hunter2") == TOKEN
    assert "hunter2" not in repr(granted_in({"auth": AUTH}))
    assert "accessor" not in repr(granted_in({"auth": AUTH}))


def test_a_renewal_that_adds_less_than_a_second_has_reached_the_maximum() -> None:
    life = TokenLife(100.0, 10.0, grows=True)
    assert not life.renewed(10.0, renewable=True, asked=100.5).grows
    assert life.renewed(10.0, renewable=True, asked=102.0).grows
