"""How far two clocks are apart, and the clock that is set right by the server's."""

from datetime import UTC, datetime, timedelta

import pytest

from secrets_actor.backends.aws.clock_skew import in_words, may_be_skew, set_back, too_far
from secrets_actor.backends.aws.corrected_clock import CorrectedClock
from secrets_actor.domain import errors

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "refused"), [(0, False), (299, False), (300, True), (-299, False), (-300, True), (7200, True)]
)
def test_aws_refuses_from_five_minutes_on(seconds: int, refused: bool) -> None:
    assert too_far(NOON, NOON + timedelta(seconds=seconds)) is refused


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.InvalidSignature("x", aws_code="InvalidSignatureException"), True),
        (errors.InvalidSignature("x", aws_code="RequestTimeTooSkewed"), True),
        (errors.InvalidSignature("x", aws_code="RequestInTheFuture"), True),
        (errors.InvalidSignature("x", aws_code="IncompleteSignature"), False),
        (errors.InvalidSignature("x"), False),
        (errors.ExpiredToken("x", aws_code="ExpiredTokenException"), False),
        (errors.RequestFailed("x"), False),
    ],
)
def test_only_a_refused_signature_may_be_a_matter_of_clocks(error: errors.SecretsError, expected: bool) -> None:
    assert may_be_skew(error) is expected


def test_the_skew_is_told_as_an_operator_sees_it() -> None:
    assert in_words(timedelta(hours=2)) == "this machine's clock is 7200 s slow"
    assert in_words(timedelta(minutes=-6)) == "this machine's clock is 360 s fast"


def test_the_clock_is_corrected_by_what_is_too_far_and_told_once() -> None:
    told: list[float] = []
    clock = CorrectedClock(lambda: NOON, told.append)

    for ahead in (299, -299, 3600, 3601, 3700):
        clock.learn(NOON + timedelta(seconds=ahead))

    assert told == [3600.0]
    assert clock.now() == NOON + timedelta(hours=1)
    assert repr(clock) == "<CorrectedClock [+3600 s]>"


def test_a_clock_that_was_set_right_meanwhile_is_no_longer_corrected() -> None:
    told: list[float] = []
    now = [NOON]
    clock = CorrectedClock(lambda: now[0], told.append)
    clock.learn(NOON + timedelta(hours=1))

    now[0] = NOON + timedelta(hours=1)
    clock.learn(NOON + timedelta(hours=1, seconds=2))

    assert told == [3600.0, 0.0]
    assert clock.now() == now[0]


def test_nobody_has_to_be_told() -> None:
    clock = CorrectedClock(lambda: NOON)

    clock.learn(NOON - timedelta(hours=1))

    assert clock.now() == NOON - timedelta(hours=1)


def test_a_moment_of_anothers_clock_is_told_by_ours() -> None:
    two = timedelta(hours=2)
    end = datetime.max.replace(tzinfo=UTC)

    assert set_back(NOON, two) == NOON - two
    assert set_back(NOON, -two) == NOON + two
    assert set_back(end, -two) == end
    assert CorrectedClock(lambda: NOON).as_here(NOON + 3 * two, NOON + two) == NOON + 2 * two
