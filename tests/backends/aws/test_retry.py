"""Which failures are met again, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.aws.retry import (
    MAX_ATTEMPTS,
    FailureKind,
    classify,
    pause_before,
    pause_while_going,
    sdk_request,
)
from secrets_actor.domain import errors

THROTTLED = errors.Throttled("t")
BROKEN = errors.RequestFailed("b")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (THROTTLED, FailureKind.THROTTLING),
        (BROKEN, FailureKind.TRANSIENT),
        (errors.BodyReadFailed("x"), FailureKind.TRANSIENT),
        (errors.ConnectionFailed("x"), FailureKind.TRANSIENT),
        (errors.BackendTimeout("x"), FailureKind.TRANSIENT),
        (errors.TlsFailed("x"), FailureKind.FINAL),
        *((errors.StoreFailure("x", status=status), FailureKind.TRANSIENT) for status in (500, 502, 503, 504)),
        (errors.StoreFailure("x", status=501), FailureKind.FINAL),
        (errors.StoreFailure("x", status=400, aws_code="RequestTimeoutException"), FailureKind.TRANSIENT),
        (errors.InvalidAnswer("x", status=200), FailureKind.TRANSIENT),
        (errors.InvalidAnswer("no sound HTTP"), FailureKind.TRANSIENT),
        (errors.InvalidAnswer("x", status=403), FailureKind.FINAL),
        (errors.LimitExceeded("x", status=400), FailureKind.FINAL),
        (errors.SecretNotFound("x", status=400), FailureKind.FINAL),
        (errors.ExpiredToken("x", status=400), FailureKind.FINAL),
        (errors.AccessDenied("x", status=500), FailureKind.FINAL),
    ],
)
def test_a_failure_is_classified(error: errors.SecretsError, kind: FailureKind) -> None:
    assert classify(error) is kind


@pytest.mark.parametrize(
    ("error", "attempt", "ceiling"), [(BROKEN, 1, 0.05), (BROKEN, 2, 0.1), (THROTTLED, 1, 1.0), (THROTTLED, 2, 2.0)]
)
def test_the_pause_is_jittered_over_a_doubling_ceiling(
    error: errors.SecretsError, attempt: int, ceiling: float
) -> None:
    pauses = [pause_before(error, attempt, dice=dice, now=0.0, deadline=60.0) for dice in (0.0, 0.5, 0.999)]

    assert pauses == pytest.approx([0.0, ceiling / 2, ceiling * 0.999])


def test_there_are_three_attempts_in_all_unless_told_otherwise() -> None:
    assert MAX_ATTEMPTS == 3
    assert pause_before(BROKEN, 3, dice=0.0, now=0.0, deadline=60.0) is None
    assert pause_before(BROKEN, 3, dice=0.0, now=0.0, deadline=60.0, max_attempts=4) == 0.0
    assert pause_before(BROKEN, 1, dice=0.0, now=0.0, deadline=60.0, max_attempts=1) is None


def test_a_name_that_is_not_free_yet_is_tried_again_as_long_as_there_is_time() -> None:
    pauses = [pause_while_going(attempt, dice=0.5, now=0.0, deadline=60.0) for attempt in (1, 2, 3, 600)]

    assert pauses == [0.25, 0.5, 1.0, 10.0]
    assert pause_while_going(1, dice=0.5, now=0.0, deadline=0.25) is None
    assert pause_while_going(1, dice=0.5, now=0.0, deadline=0.3, needs=0.1) is None


def test_the_ceiling_ends_at_twenty_seconds_however_many_attempts_there_are() -> None:
    for attempt in (6, 60, 6000):
        pause = pause_before(THROTTLED, attempt, dice=0.5, now=0.0, deadline=60.0, max_attempts=10_000)

        assert pause == 10.0


def test_no_attempt_is_planned_that_could_not_end_in_time() -> None:
    assert pause_before(THROTTLED, 1, dice=0.5, now=10.0, deadline=11.0, needs=0.5) is None
    assert pause_before(THROTTLED, 1, dice=0.5, now=10.0, deadline=11.0, needs=0.4) == 0.5


@pytest.mark.parametrize(
    ("ttl", "expected"),
    [(None, "attempt=2; max=3"), ("20261124T031500Z", "ttl=20261124T031500Z; attempt=2; max=3")],
)
def test_the_server_is_told_which_attempt_of_how_many_this_is(ttl: str | None, expected: str) -> None:
    assert sdk_request(2, 3, ttl) == expected


def test_a_final_failure_is_not_tried_again() -> None:
    assert pause_before(errors.LimitExceeded("x"), 1, dice=0.0, now=0.0, deadline=60.0) is None


def test_no_attempt_is_planned_that_could_not_start_in_time() -> None:
    assert pause_before(THROTTLED, 1, dice=0.5, now=10.0, deadline=10.5) is None
    assert pause_before(THROTTLED, 1, dice=0.5, now=10.0, deadline=10.6) == 0.5


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (None, 0.5),
        ("300", 0.5),
        ("1500", 1.5),
        ("60000", 5.5),
        ("soon", 0.5),
        ("-1", 0.5),
        ("", 0.5),
        ("1e3", 0.5),
        ("²", 0.5),
        ("9" * 5000, 0.5),
    ],
)
def test_the_servers_hint_is_followed_within_bounds(hint: str | None, expected: float) -> None:
    assert pause_before(THROTTLED, 1, dice=0.5, now=0.0, deadline=60.0, hint=hint) == expected


@given(
    attempt=st.integers(1, 9),
    dice=st.floats(0, 1, exclude_max=True),
    now=st.floats(0, 1e9),
    left=st.floats(-10, 100),
    hint=st.none() | st.text(max_size=12),
)
def test_a_pause_is_never_negative_never_long_and_always_ends_before_the_deadline(
    attempt: int, dice: float, now: float, left: float, hint: str | None
) -> None:
    for error in (THROTTLED, BROKEN):
        pause = pause_before(error, attempt, dice=dice, now=now, deadline=now + left, hint=hint)

        assert pause is None or (0 <= pause <= 25 and now + pause < now + left)
