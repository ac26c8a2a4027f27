"""The breaker as a table, and under any order of events."""

from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.actor.breaker import Breaker, BreakerRules, Circuit

RULES = BreakerRules(failures=1, first=1.0, longest=8.0, jitter=0.0)


def opened(rules: BreakerRules = RULES, chance: float = 0.0) -> Breaker:
    """Open since 10.0."""
    breaker = Breaker(rules, lambda: chance)
    assert breaker.failed(1, 9.0, 10.0)
    return breaker


def test_closed_everything_goes() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert breaker.state is Circuit.CLOSED
    assert all(breaker.admits(number, 0.0) for number in range(3))
    assert breaker.pause(0.0) == 0.0
    assert not breaker.succeeded(1.0), "that is no news"


def test_a_failure_opens_it_and_then_nothing_goes_for_the_pause() -> None:
    breaker = opened()

    assert breaker.state is Circuit.OPEN
    assert not breaker.admits(2, 10.0)
    assert not breaker.admits(3, 10.999)
    assert breaker.pause(10.25) == 0.75


def test_after_the_pause_one_goes_and_nobody_else_until_it_is_back() -> None:
    breaker = opened()

    assert breaker.admits(2, 11.0)
    assert breaker.state is Circuit.HALF_OPEN
    assert not breaker.admits(3, 99.0)
    assert breaker.admits(2, 99.0), "the probe itself may be sent again"
    assert breaker.pause(11.0) == 0.0


def test_the_success_of_the_probe_closes_it() -> None:
    breaker = opened()
    breaker.admits(2, 11.0)

    assert breaker.succeeded(11.5)
    assert breaker.state is Circuit.CLOSED
    assert breaker.admits(3, 11.5)


def test_the_failure_of_the_probe_opens_it_again_for_twice_as_long_up_to_the_longest() -> None:
    breaker, now, pauses = opened(), 10.0, []
    for probe in range(2, 8):
        pauses.append(breaker.pause(now))
        now += pauses[-1]
        assert breaker.admits(probe, now)
        assert breaker.failed(probe, now, now)

    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_after_a_success_the_pauses_are_short_again() -> None:
    breaker = opened()
    breaker.admits(2, 11.0)
    breaker.failed(2, 11.0, 12.0)
    breaker.succeeded(13.0)

    assert breaker.failed(3, 14.0, 15.0)
    assert breaker.pause(15.0) == 1.0


def test_a_pause_is_made_shorter_by_chance() -> None:
    assert opened(BreakerRules(1, 1.0, 8.0, jitter=0.5), chance=0.5).pause(10.0) == 0.75


def test_a_probe_that_came_to_nothing_makes_room_for_the_next() -> None:
    breaker = opened()
    breaker.admits(2, 11.0)
    breaker.withdrawn(3)
    assert breaker.state is Circuit.HALF_OPEN, "that was not the probe"

    breaker.withdrawn(2)

    assert breaker.state is Circuit.OPEN
    assert breaker.admits(3, 11.0)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = Breaker(BreakerRules(failures=3), lambda: 0.0)

    assert [breaker.failed(number, float(number), number + 0.5) for number in range(2)] == [False, False]
    breaker.succeeded(3.0)
    assert [breaker.failed(number, float(number), number + 0.5) for number in range(4, 7)] == [False, False, True]


def test_an_answer_of_5xx_counts_for_less() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert [breaker.failed(n, float(n), n + 0.5, 0.25) for n in range(4)] == [False, False, False, True]


def test_what_began_before_another_ended_well_does_not_count() -> None:
    breaker = Breaker(RULES, lambda: 0.0)
    breaker.succeeded(5.0)

    assert not breaker.failed(1, 4.0, 6.0)
    assert breaker.failed(2, 5.0, 7.0)


def test_while_it_is_open_the_failures_of_others_are_no_news() -> None:
    breaker = opened()

    assert not breaker.failed(2, 9.5, 10.5)
    assert breaker.pause(10.5) == 0.5


def test_with_no_failures_allowed_for_it_never_opens() -> None:
    breaker = Breaker(BreakerRules(failures=0), lambda: 0.0)

    assert not any(breaker.failed(number, 1.0, 2.0) for number in range(50))
    assert breaker.state is Circuit.CLOSED


EVENTS = st.tuples(
    st.sampled_from(["ask", "succeed", "fail", "withdraw"]),
    st.integers(0, 5),
    st.floats(0.0, 3.0),
)


@given(st.lists(EVENTS, max_size=80), st.integers(1, 3))
def test_there_is_one_probe_at_most_and_never_a_pause_without_end(
    events: list[tuple[str, int, float]], failures: int
) -> None:
    breaker, now = Breaker(BreakerRules(failures, 1.0, 8.0, 0.5), lambda: 0.5), 0.0
    for what, operation, later in events:
        now += later
        was = breaker.state
        if what == "ask":
            others = [other for other in range(6) if other != operation]
            admitted = breaker.admits(operation, now)
            assert admitted or was is not Circuit.CLOSED
            if breaker.state is Circuit.HALF_OPEN and admitted:
                assert not any(breaker.admits(other, now + 100.0) for other in others)
        elif what == "succeed":
            assert breaker.succeeded(now) == (was is not Circuit.CLOSED)
            assert breaker.state is Circuit.CLOSED
        elif what == "fail":
            opened = breaker.failed(operation, now, now)
            assert breaker.state is Circuit.OPEN if opened else breaker.state is was
        else:
            breaker.withdrawn(operation)
            assert breaker.state in (was, Circuit.OPEN)
        assert 0.0 <= breaker.pause(now) <= 8.0
    if breaker.state is Circuit.OPEN:
        assert breaker.admits(77, now + 8.0)


def test_who_was_in_a_hurry_says_little_and_silence_adds_up() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert not breaker.timed_out(1, 0.0, 0.5, 0.5)
    assert breaker.state is Circuit.CLOSED
    assert breaker.timed_out(2, 10.0, 0.5, 10.5)
    assert breaker.state is Circuit.OPEN


def test_who_had_time_enough_is_a_failure_by_himself() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert breaker.timed_out(1, 0.0, 0.95, 0.0), "the worker knows that its time is up before the clock says so"


def test_silence_that_two_share_counts_once_and_an_answer_ends_it() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert not breaker.timed_out(1, 0.0, 0.9, 0.9)
    assert not breaker.timed_out(2, 0.1, 0.8, 0.9), "the same silence"
    breaker.succeeded(1.0)
    assert not breaker.timed_out(3, 0.5, 0.9, 1.4), "0.4 of it were after the answer"
    assert not breaker.timed_out(4, 1.4, 0.5, 1.9)
    assert breaker.timed_out(5, 1.9, 0.5, 2.4)


def test_silence_has_to_be_as_long_again_for_each_failure() -> None:
    breaker = Breaker(BreakerRules(failures=2, first=1.0, longest=8.0, jitter=0.0), lambda: 0.0)

    opened_at = [at for at in range(1, 6) if breaker.timed_out(at, float(at), 0.5, at + 0.5)]

    assert opened_at == [4]


def test_a_probe_in_a_hurry_makes_room_for_the_next() -> None:
    breaker = opened()
    assert breaker.admits(2, 11.0)
    assert breaker.is_probe(2)
    assert breaker.shut(11.0)

    assert not breaker.timed_out(2, 11.0, 0.5, 11.5)

    assert not breaker.is_probe(2)
    assert not breaker.shut(11.5)
    assert breaker.admits(3, 11.5)


def test_it_is_shut_for_the_pause_and_while_a_probe_is_under_way() -> None:
    assert not Breaker(RULES, lambda: 0.0).shut(0.0)
    breaker = opened()

    assert [breaker.shut(at) for at in (10.0, 10.999, 11.0)] == [True, True, False]


def test_silence_is_heard_while_it_is_closed_from_the_sending_or_the_last_answer_on() -> None:
    breaker = Breaker(RULES, lambda: 0.0)

    assert [breaker.hears_nothing(10.0, at) for at in (10.0, 10.5, 11.0)] == [False, False, True]
    breaker.succeeded(10.75)
    assert [breaker.hears_nothing(10.0, at) for at in (11.0, 12.0)] == [False, True]
    assert not opened().hears_nothing(10.0, 99.0), "it is known already"
