"""What the workers of a backend share about tries, and how a throttled sender slows down and comes back."""

import threading

import pytest

from secrets_actor.backends.aws.retry import FailureKind, RetryPolicy
from secrets_actor.backends.aws.retry_budget import CAPACITY, MIN_RATE, Quota, SendRate
from secrets_actor.backends.aws.retry_state import RetryState


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_full_bucket_pays_for_thirty_five_tries_after_broken_connections_and_a_hundred_after_throttling() -> None:
    for kind, tries in ((FailureKind.TRANSIENT, 35), (FailureKind.THROTTLING, 100)):
        retry_state = RetryState()

        assert [retry_state.pay(kind) for _ in range(tries + 1)] == [True] * tries + [False]


def test_what_went_well_pays_back_and_never_beyond_the_brim() -> None:
    assert Quota().give(5) == Quota(CAPACITY)
    assert Quota(CAPACITY - 3).give(14) == Quota(CAPACITY)
    assert Quota(3).take(4) is None
    assert Quota(4).take(4) == Quota(0)


def test_a_try_that_went_well_gives_its_cost_back_and_a_call_without_one_gives_back_one() -> None:
    retry_state = RetryState()
    assert retry_state.pay(FailureKind.TRANSIENT)
    assert retry_state.pay(FailureKind.THROTTLING)

    retry_state.succeeded(FailureKind.THROTTLING)
    retry_state.succeeded(None)

    assert repr(retry_state) == "<RetryState [487 of 500 left for tries]>"


def test_many_threads_take_no_more_than_there_is() -> None:
    retry_state, granted = RetryState(), []
    barrier = threading.Barrier(8)

    def run() -> None:
        barrier.wait(10.0)
        granted.extend(retry_state.pay(FailureKind.THROTTLING) for _ in range(50))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10.0)

    assert (len(granted), sum(granted)) == (400, 100)


def test_in_standard_mode_nothing_is_ever_held_back() -> None:
    retry_state = RetryState()
    for _ in range(100):
        retry_state.failed(FailureKind.THROTTLING)

    assert retry_state.hold() == 0.0


def test_in_adaptive_mode_nothing_is_held_back_before_the_first_throttling_answer() -> None:
    clock = Hand()
    retry_state = RetryState(RetryPolicy(adaptive=True), clock)
    for _ in range(1000):
        assert retry_state.hold() == 0.0
        retry_state.succeeded(None)
        retry_state.failed(FailureKind.TRANSIENT)


def run_at(retry_state: RetryState, clock: Hand, seconds: float, limit: float) -> float:
    """Send as fast as *retry_state* lets, to a server that throttles beyond *limit* requests a second: requests a
    second."""
    sent, end, window, in_window = 0, clock.now + seconds, clock.now, 0
    while clock.now < end:
        wait = retry_state.hold()
        clock.now += max(wait, 0.002)
        if wait > 0:
            continue
        if clock.now - window >= 1.0:
            window, in_window = clock.now, 0
        in_window += 1
        sent += 1
        if in_window > limit:
            retry_state.failed(FailureKind.THROTTLING)
        else:
            retry_state.succeeded(None)
    return sent / seconds


def test_a_throttled_sender_slows_down_to_about_what_the_server_bears() -> None:
    clock = Hand()
    retry_state = RetryState(RetryPolicy(adaptive=True), clock)

    unheld = run_at(retry_state, clock, 60.0, 1e9)
    run_at(retry_state, clock, 10.0, 50)
    held = run_at(retry_state, clock, 60.0, 50)

    assert unheld > 400
    assert 20 < held < 60
    assert "requests/s" in repr(retry_state)


def test_once_the_throttling_ends_the_sender_becomes_fast_again() -> None:
    clock = Hand()
    retry_state = RetryState(RetryPolicy(adaptive=True), clock)
    slow = run_at(retry_state, clock, 30.0, 20)

    assert run_at(retry_state, clock, 60.0, 10_000) > 5 * slow


@pytest.mark.parametrize("answers", [1, 50])
def test_the_rate_never_falls_below_one_request_in_two_seconds(answers: int) -> None:
    rate = SendRate.at(0.0)
    for at in range(answers):
        rate = rate.answered(at / 10, throttled=True)

    rate, _ = rate.admit(10.0)
    rate, wait = rate.admit(10.0)

    assert rate.rate >= MIN_RATE
    assert 0.0 <= wait <= 1 / MIN_RATE
