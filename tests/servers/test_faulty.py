"""The bad server is bad in the ways it promises, counts what came, and ends cleanly."""

import http.client
import json
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

import pytest

from secrets_actor.clock import now as clock_now
from tests.servers.behaviours import (
    Answer,
    Behaviour,
    Forward,
    Gate,
    Hang,
    HangUp,
    Reset,
    aws_error,
    empty_body,
    half_body,
    half_json,
    html_500,
)
from tests.servers.faulty import FaultyServer

PATIENCE: Final = 5.0


def ask(port: int, body: bytes = b"{}", timeout: float = PATIENCE) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("POST", "/", body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def in_the_background(call: Callable[[], tuple[int, bytes]]) -> "Future[tuple[int, bytes]]":
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(call)
    finally:
        pool.shutdown(wait=False)


@pytest.mark.parametrize("read_first", [True, False])
def test_a_hang_never_answers(read_first: bool) -> None:
    with FaultyServer(Hang(read_first)) as server:
        with pytest.raises(TimeoutError):
            ask(server.port, timeout=0.1)

        assert server.connections == 1
        assert len(server.requests) == int(read_first)


@pytest.mark.parametrize("read_first", [True, False])
def test_a_reset_breaks_the_connection(read_first: bool) -> None:
    with FaultyServer(Reset(read_first)) as server, pytest.raises(ConnectionError):
        ask(server.port)


def test_a_hang_up_ends_without_an_answer() -> None:
    with FaultyServer(HangUp()) as server, pytest.raises(http.client.RemoteDisconnected):
        ask(server.port)


def test_half_a_body_is_less_than_what_was_promised() -> None:
    with FaultyServer(half_body()) as server, pytest.raises(http.client.IncompleteRead):
        ask(server.port)


def test_half_a_json_is_a_complete_answer_that_does_not_parse() -> None:
    with FaultyServer(half_json()) as server:
        status, body = ask(server.port)

    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


@pytest.mark.parametrize(
    ("behaviour", "status", "start"),
    [(html_500(), 500, b"<!doctype html>"), (empty_body(), 200, b""), (aws_error("Throttled"), 400, b'{"__type"')],
)
def test_other_answers_come_as_they_are_written(behaviour: Behaviour, status: int, start: bytes) -> None:
    with FaultyServer(behaviour) as server:
        answered, body = ask(server.port)

    assert answered == status
    assert body.startswith(start)
    assert bool(body) == bool(start)


def test_a_drip_takes_its_time_and_comes_whole() -> None:
    with FaultyServer(Answer(b"0123456789", drip=0.01)) as server:
        started = clock_now()
        _, body = ask(server.port)

    assert body == b"0123456789"
    assert clock_now() - started >= 0.09


def test_each_connection_gets_its_behaviour_and_the_last_one_stays() -> None:
    with FaultyServer(Reset(), html_500(), Answer(b"good")) as server:
        with pytest.raises(ConnectionError):
            ask(server.port)
        answers = [ask(server.port) for _ in range(3)]

        assert [body[:4] for _, body in answers] == [b"<!do", b"good", b"good"]
        assert server.connections == 4


def test_an_answer_keeps_its_connection_alive_for_more() -> None:
    with FaultyServer(Answer(b"good")) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        for _ in range(3):
            connection.request("GET", "/")
            connection.getresponse().read()
        connection.close()

        assert (server.connections, len(server.requests)) == (1, 3)


def test_forwarding_passes_requests_on_and_answers_back() -> None:
    with FaultyServer(Answer(b"from upstream")) as upstream, FaultyServer(Forward(upstream.port)) as server:
        assert ask(server.port, b"hello") == (200, b"from upstream")
        assert upstream.requests == server.requests
        assert server.requests[0].body == b"hello"


@pytest.mark.parametrize("before", [True, False], ids=["request", "answer"])
def test_a_gate_holds_what_it_is_told_to_until_it_opens(before: bool) -> None:
    gate = Gate(only=b"held", before=before)
    with FaultyServer(Answer(b"done")) as upstream, FaultyServer(Forward(upstream.port, gate)) as server:
        assert ask(server.port, b"others pass") == (200, b"done")
        waiting = in_the_background(lambda: ask(server.port, b"to be held"))
        gate.wait_until_held()
        assert not waiting.done()
        assert len(upstream.requests) == (1 if before else 2)

        gate.open()

        assert waiting.result(PATIENCE) == (200, b"done")


def test_a_gate_lets_one_pass_at_a_time() -> None:
    gate = Gate()
    with FaultyServer(Answer(b"done")) as upstream, FaultyServer(Forward(upstream.port, gate)) as server:
        first = in_the_background(lambda: ask(server.port))
        second = in_the_background(lambda: ask(server.port))
        gate.wait_until_held(2)

        gate.let_one_pass()
        server.wait_for_requests(2)
        done = first if wait_for_either(first, second) is first else second
        assert gate.held == 1
        gate.let_one_pass()

        assert done.result(PATIENCE) == first.result(PATIENCE) == second.result(PATIENCE)


def wait_for_either(*calls: "Future[tuple[int, bytes]]") -> "Future[tuple[int, bytes]]":
    done, changed = [], threading.Event()
    for call in calls:
        call.add_done_callback(lambda one: (done.append(one), changed.set()))
    assert changed.wait(PATIENCE)
    return done[0]


def test_a_drop_ends_what_is_held_and_later_connections_are_served() -> None:
    gate = Gate()
    with FaultyServer(Answer(b"done")) as upstream, FaultyServer(Forward(upstream.port, gate)) as server:
        waiting = in_the_background(lambda: ask(server.port))
        gate.wait_until_held()

        server.drop()

        with pytest.raises((ConnectionError, http.client.HTTPException)):
            waiting.result(PATIENCE)
        gate.open()
        assert ask(server.port) == (200, b"done")


def test_the_end_frees_who_waits_and_leaves_no_thread_and_no_open_port() -> None:
    before = set(threading.enumerate())
    with FaultyServer(Answer(b"done")) as upstream:
        with FaultyServer(Hang(), Hang(read_first=False), Forward(upstream.port, gate := Gate())) as server:
            hung = [in_the_background(lambda: ask(server.port)) for _ in range(3)]
            server.wait_for_connections(3)
            gate.wait_until_held()
            port = server.port
        for one in hung:
            assert isinstance(one.exception(PATIENCE), (OSError, http.client.HTTPException))

    left = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("faulty")]
    assert left == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_waiting_for_what_does_not_come_ends_with_a_count() -> None:
    with FaultyServer(Hang()) as server:
        with pytest.raises(TimeoutError, match="0 connections"):
            server.wait_for_connections(1, timeout=0.05)
        with pytest.raises(TimeoutError, match="0 requests"):
            server.wait_for_requests(1, timeout=0.05)


def test_forwarding_can_change_a_request_on_its_way() -> None:
    with FaultyServer(Answer(b"done")) as upstream, FaultyServer(Forward(upstream.port, change=(b"a", b"b"))) as server:
        ask(server.port, b"a man")

        assert server.requests[0].body == b"a man"
        assert upstream.requests[0].body == b"b mbn"
