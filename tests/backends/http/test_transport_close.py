"""Close, from another thread, ends whatever a transport does."""

import threading
from collections.abc import Callable
from pathlib import Path

from secrets_actor.backends.http.transport import Transport
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.http.transport_rig import LONG, SLACK, Raw, ask, failing, nobody_accepts, transport_to
from tests.servers.behaviours import Answer, Hang
from tests.servers.faulty import FaultyServer

SYN_SENT = "02"


def close_while_it_waits(transport: Transport, ready: Callable[[], object]) -> tuple[errors.SecretsError, float]:
    """The error that a request gets, and how long after `close` it came."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            ask(transport)
        except BaseException as exc:
            caught.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    ready()
    started = clock_now()
    transport.close()
    thread.join(LONG)
    spent = clock_now() - started
    assert not thread.is_alive()
    assert isinstance(caught[0], errors.SecretsError)
    return caught[0], spent


def connects(port: int) -> bool:
    """Whether a socket of this process, which nobody accepts, asks *port* for a connection. Source: proc(5)."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(line[2] == f"0100007F:{port:04X}" and line[3] == SYN_SENT for line in lines)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline, pause = clock_now() + LONG, threading.Event()
    while not condition():
        assert clock_now() < deadline
        pause.wait(0.002)


def test_close_ends_a_request_that_waits_for_its_answer() -> None:
    with FaultyServer(Hang()) as server, transport_to(server.port) as transport:
        error, spent = close_while_it_waits(transport, lambda: server.wait_for_requests(1))

    assert type(error) is errors.RequestFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_that_still_connects() -> None:
    with nobody_accepts() as port, transport_to(port) as transport:
        error, spent = close_while_it_waits(transport, lambda: wait_until(lambda: connects(port)))

    assert type(error) is errors.ConnectionFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_that_waits_for_tls() -> None:
    with FaultyServer(Hang(read_first=False)) as server, transport_to(server.port, "https") as transport:
        error, spent = close_while_it_waits(transport, lambda: server.wait_for_connections(1))

    assert type(error) is errors.ConnectionFailed
    assert "given up" in str(error)
    assert spent < SLACK


def test_close_ends_a_request_within_its_answer() -> None:
    with FaultyServer(Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", read_first=True)) as server:
        with transport_to(server.port) as transport:
            error, spent = close_while_it_waits(transport, lambda: server.wait_for_requests(1))

    assert type(error) in (errors.BodyReadFailed, errors.RequestFailed)
    assert spent < SLACK


def test_a_closed_transport_asks_nothing_and_may_be_closed_again() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        ask(transport)
        transport.close()
        transport.close()

        assert type(failing(transport)) is errors.ConnectionFailed
        assert len(server.requests) == 1
