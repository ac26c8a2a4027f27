"""Our retry rules against botocore's own classes, in their form of 2026."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest
from botocore import exceptions
from botocore.awsrequest import HeadersDict
from botocore.retries import adaptive, bucket, quota, standard, throttling
from hypothesis import given, settings
from hypothesis import strategies as st

from secrets_actor.backends.aws import retry
from secrets_actor.backends.aws.error_codes import error_for
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.retry import FailureKind, RetryPolicy, classify, pause_before
from secrets_actor.backends.aws.retry_budget import CAPACITY, Quota, SendRate
from secrets_actor.backends.aws.retry_state import RetryState
from secrets_actor.domain import errors

CALL = Call("GetSecretValue", b"{}")
WORDS = ("AccessDeniedException", "ResourceNotFoundException", "InvalidSignatureException", "ExpiredTokenException")
CODES = (
    *standard.ThrottledRetryableChecker._THROTTLED_ERROR_CODES,
    *standard.TransientRetryableChecker._TRANSIENT_ERROR_CODES,
    "InternalServiceError",
    "InternalFailure",
    "ServiceUnavailable",
    *WORDS,
    "BrandNewException",
    None,
)
STATUSES = (400, 403, 404, 413, 500, 501, 502, 503, 504, 505)
MODEL = botocore.session.get_session().get_service_model("secretsmanager").operation_model("GetSecretValue")
DETECTOR = standard.ThrottlingErrorDetector(standard.RetryEventAdapter())


@pytest.fixture(autouse=True, scope="module")
def form_of_2026() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(standard, "NEW_RETRIES_ENABLED", True)
        yield


def context(
    code: str | None = None, status: int = 400, attempt: int = 1, hint: str | None = None
) -> standard.RetryContext:
    """What botocore makes of an answer with *code* and *status*."""
    headers = HeadersDict({} if hint is None else {"x-amz-retry-after": hint})
    return standard.RetryContext(
        attempt_number=attempt,
        operation_model=MODEL,
        parsed_response={"Error": {} if code is None else {"Code": code}},
        http_response=SimpleNamespace(status_code=status, headers=headers),
    )


def our_error(code: str | None, status: int) -> errors.SecretsError:
    return error_for(CALL, status, {}, b"" if code is None else b'{"__type": "%s"}' % code.encode())


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("code", CODES)
def test_an_answer_is_classified_as_botocore_does(code: str | None, status: int) -> None:
    theirs = context(code, status)
    expected = FailureKind.FINAL
    if DETECTOR.is_throttling_error_from_context(theirs):
        expected = FailureKind.THROTTLING
    elif standard.StandardRetryConditions().is_retryable(theirs):
        expected = FailureKind.TRANSIENT
    ours = classify(our_error(code, status))

    if code == "LimitExceededException":  # a quota of the account here, and no throttling
        assert (ours, expected) == (FailureKind.FINAL, FailureKind.THROTTLING)
    elif code in WORDS:  # the service's word counts for more than the status that it came with
        assert ours is FailureKind.FINAL
    else:
        assert ours is expected


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (exceptions.EndpointConnectionError(endpoint_url="x"), errors.ConnectionFailed("x")),
        (exceptions.ConnectTimeoutError(endpoint_url="x"), errors.ConnectionFailed("x")),
        (exceptions.ReadTimeoutError(endpoint_url="x"), errors.BackendTimeout("x")),
        (exceptions.ConnectionClosedError(endpoint_url="x"), errors.RequestFailed("x")),
        (exceptions.ResponseStreamingError(error="x"), errors.BodyReadFailed("x")),
    ],
)
def test_a_lost_way_is_transient_here_and_there(theirs: Exception, ours: errors.SecretsError) -> None:
    met = standard.RetryContext(attempt_number=1, operation_model=MODEL, caught_exception=theirs)

    assert standard.StandardRetryConditions().is_retryable(met)
    assert classify(ours) is FailureKind.TRANSIENT


@given(
    throttled=st.booleans(),
    attempt=st.integers(1, 40),
    dice=st.floats(0, 1, exclude_max=True),
    hint=st.none() | st.integers(-5, 100_000).map(str) | st.sampled_from(["", "soon", "1.5", "1e3", "999999999"]),
    max_attempts=st.integers(1, 50),
)
@settings(max_examples=500, deadline=None)
def test_a_pause_is_as_long_as_botocores(
    throttled: bool, attempt: int, dice: float, hint: str | None, max_attempts: int
) -> None:
    code, status = ("ThrottlingException", 400) if throttled else ("InternalFailure", 500)
    theirs = context(code, status, attempt, hint)
    backoff = standard.ExponentialBackoff(random=lambda: dice, throttling_detector=DETECTOR)
    again = standard.StandardRetryConditions(max_attempts).is_retryable(theirs)

    pause = pause_before(
        our_error(code, status), attempt, dice=dice, now=0.0, deadline=60.0, hint=hint, max_attempts=max_attempts
    )

    assert pause == (pytest.approx(backoff.delay_amount(theirs)) if again else None)


def test_the_same_constants_are_meant() -> None:
    assert retry.MAX_ATTEMPTS == standard.DEFAULT_MAX_ATTEMPTS
    assert quota.RetryQuota.INITIAL_CAPACITY == CAPACITY
    assert retry.COSTS == {
        FailureKind.TRANSIENT: standard.RetryQuotaChecker._RETRY_COST_V2,
        FailureKind.THROTTLING: standard.RetryQuotaChecker._THROTTLING_RETRY_COST,
    }


outcomes = st.sampled_from(["ok", "transient", "throttled", "refused"])


@given(calls=st.lists(st.lists(outcomes, min_size=1, max_size=4), max_size=120))
@settings(max_examples=200, deadline=None)
def test_the_quota_pays_for_the_same_tries_as_botocores(calls: list[list[str]]) -> None:
    kinds = {"transient": FailureKind.TRANSIENT, "throttled": FailureKind.THROTTLING}
    theirs = quota.RetryQuota()
    checker, retry_state = standard.RetryQuotaChecker(theirs, DETECTOR), RetryState()
    for attempts in calls:
        request_context: dict[str, Any] = {}
        paid = None
        for outcome in attempts:
            if outcome == "ok":
                retry_state.succeeded(paid)
                checker.release_retry_quota(request_context, SimpleNamespace(status_code=200))
                break
            if outcome == "refused":
                checker.release_retry_quota(request_context, SimpleNamespace(status_code=400))
                break
            paid = kinds[outcome]
            met = context("ThrottlingException" if outcome == "throttled" else "InternalFailure", 500)
            met.request_context = request_context
            granted = retry_state.pay(paid)
            assert granted == checker.acquire_retry_quota(met)
            if not granted:
                break
        assert retry_state._quota == Quota(theirs.available_capacity)


class TheirClock:
    def __init__(self, now: float) -> None:
        self.now = now

    def current_time(self) -> float:
        return self.now


class TheirDetector:
    @staticmethod
    def is_throttling_error(*, throttled: bool) -> bool:
        return throttled


steps = st.lists(
    st.tuples(st.floats(0, 3).map(lambda seconds: round(seconds, 3)), st.sampled_from(["send", "ok", "throttled"])),
    max_size=80,
)


@given(start=st.floats(0, 1e6).map(lambda seconds: round(seconds, 3)), steps=steps)
@settings(max_examples=400, deadline=None)
def test_the_send_rate_goes_up_and_down_with_botocores(start: float, steps: list[tuple[float, str]]) -> None:
    clock = TheirClock(start)
    tokens = bucket.TokenBucket(max_rate=1, clock=clock)
    cubic = throttling.CubicCalculator(starting_max_rate=0, start_time=start)
    theirs = adaptive.ClientRateLimiter(cubic, adaptive.RateClocker(clock), tokens, TheirDetector, clock)
    ours = SendRate.at(start)
    for seconds, step in steps:
        clock.now += seconds
        if step == "send":
            free = True
            if theirs._enabled:
                try:
                    tokens.acquire(block=False)
                except exceptions.CapacityNotAvailableError:
                    free = False
            ours, wait = ours.admit(clock.now)
            assert (wait == 0.0) == free
            if not free:
                assert wait == pytest.approx(tokens._sleep_amount(1))
        else:
            theirs.on_receiving_response(throttled=step == "throttled")
            ours = ours.answered(clock.now, throttled=step == "throttled")
        told = (ours.on, ours.rate, ours.capacity, ours.tokens, ours.measured)
        expected = (
            theirs._enabled,
            tokens.max_rate,
            tokens.max_capacity,
            tokens.available_capacity,
            theirs._rate_clocker.measured_rate,
        )
        # The bucket that is not yet in use is filled when first asked, here as there.
        assert told == pytest.approx(expected)
        assert (ours.too_much, ours.way_back) == pytest.approx((cubic._w_max, cubic._k))


def test_a_policy_says_what_is_shared() -> None:
    assert "500 of 500" in repr(RetryState())
    assert RetryPolicy() == RetryPolicy(max_attempts=3, adaptive=False)
