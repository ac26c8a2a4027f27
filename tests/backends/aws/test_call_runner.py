"""What the workers of a backend share over a real wire: the quota of tries, and the send rate."""

import threading
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from secrets_actor.backends.aws.retry import RetryPolicy
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.aws.one_get import FOUND, LONG, THROTTLED, failing, get, header, kit_of, once
from tests.servers.behaviours import Answer, Hang, Reset, empty_body
from tests.servers.faulty import FaultyServer

# --- tries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_as_many_attempts_are_made_as_the_policy_has(attempts: int) -> None:
    with FaultyServer(Reset()) as server:
        backend = kit_of(server.url, retries=RetryPolicy(attempts)).connect()
        assert type(failing(backend)) is errors.RequestFailed
        assert len(server.requests) == attempts
        backend.close()


@pytest.mark.slow
def test_a_used_up_quota_ends_the_tries_of_all_workers() -> None:
    with FaultyServer(Reset()) as server:
        shared = kit_of(server.url, retries=RetryPolicy(4))
        workers = [shared.connect() for _ in range(3)]
        for turn in range(15):
            assert type(failing(workers[turn % 3])) is errors.RequestFailed
        for worker in workers:
            worker.close()

        # 35 tries at 14 each out of 500, and the first attempts, which cost nothing.
        assert len(server.requests) == 15 + 35


@pytest.mark.slow
def test_each_kit_has_its_own_quota() -> None:
    with FaultyServer(Reset()) as server:
        for _ in range(2):
            backend = kit_of(server.url, retries=RetryPolicy(4)).connect()
            for _ in range(13):
                failing(backend)
            backend.close()

        assert len(server.requests) == 2 * (13 + 35)


def test_each_attempt_says_which_it_is_of_one_invocation_and_by_when_it_counts() -> None:
    date = (("Date", "Tue, 24 Nov 2026 12:00:00 GMT"),)
    trouble = Answer(b"", 500, headers=date, last=True)
    with FaultyServer(Reset(), trouble, FOUND) as server:
        backend = kit_of(server.url, timeout=5.0).connect()
        get(backend)
        get(backend)
        backend.close()
        told = [(header(r, "amz-sdk-request"), header(r, "amz-sdk-invocation-id")) for r in server.requests]
        signed = [header(r, "authorization") for r in server.requests]

    assert [request for request, _ in told] == [
        "attempt=1; max=3",
        "attempt=2; max=3",
        "ttl=20261124T120005Z; attempt=3; max=3",
        "attempt=1; max=3",
    ]
    assert len({told[0][1], told[1][1], told[2][1]}) == 1
    assert told[3][1] != told[0][1]
    assert all(uuid.UUID(invocation) for _, invocation in told)
    assert not any("amz-sdk" in authorization for authorization in signed)


def test_no_attempt_begins_that_could_not_end_by_the_deadline() -> None:
    @dataclass(frozen=True)
    class Slow:
        """Every answer takes a quarter of a second."""

        def serve(self, connection: Any) -> None:
            while connection.next_request() is not None:
                connection.ended.wait(0.25)
                connection.client.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    with FaultyServer(Slow()) as server:
        backend = kit_of(server.url, retries=RetryPolicy(20)).connect()
        started = clock_now()
        assert type(failing(backend, 0.7)) is errors.StoreFailure
        assert clock_now() - started < 0.7
        assert len(server.requests) == 2
        backend.close()


# --- the send rate ---------------------------------------------------------------------------------------------------


def test_in_adaptive_mode_a_throttled_worker_holds_back_the_others() -> None:
    with FaultyServer(once(THROTTLED), FOUND) as server:
        shared = kit_of(server.url, retries=RetryPolicy(1, adaptive=True))
        one, other = shared.connect(), shared.connect()
        assert type(failing(one)) is errors.Throttled
        started = clock_now()
        assert get(other) == "found"
        assert clock_now() - started > 0.3  # a request a second at first, and then half of one
        one.close()
        other.close()


def test_a_turn_that_would_come_too_late_is_not_waited_for() -> None:
    with FaultyServer(once(THROTTLED), FOUND) as server:
        backend = kit_of(server.url, retries=RetryPolicy(1, adaptive=True)).connect()
        failing(backend)
        started = clock_now()
        error = failing(backend, 0.3)
        assert clock_now() - started < 0.3
        assert (type(error), error.aws_code, len(server.requests)) == (errors.Throttled, None, 1)
        assert "ask less often" in str(error)
        backend.close()


def test_close_ends_a_wait_for_the_turn() -> None:
    with FaultyServer(once(THROTTLED), FOUND) as server:
        backend = kit_of(server.url, retries=RetryPolicy(1, adaptive=True)).connect()
        failing(backend)
        caught: list[Any] = []
        thread = threading.Thread(target=lambda: caught.append(failing(backend)))
        thread.start()
        started = clock_now()
        backend.close()
        thread.join(LONG)

    assert clock_now() - started < 1.0
    assert type(caught[0]) is errors.ConnectionFailed


def test_hanging_servers_and_empty_answers_take_no_more_than_their_time() -> None:
    with FaultyServer(Hang(), empty_body(503)) as server:
        backend = kit_of(server.url, timeout=0.2).connect()
        started = clock_now()
        assert type(failing(backend, 2.0)) is errors.StoreFailure
        assert clock_now() - started < 2.0
        backend.close()
