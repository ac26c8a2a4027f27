"""An answer is the same whichever way it was read: as an ordinary one, or by httpcore."""

import logging

import pytest

from secrets_actor.domain import errors
from tests.backends.aws.transport_rig import SOON, ask, failing, transport_to
from tests.servers.behaviours import Connection
from tests.servers.faulty import FaultyServer

PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab"
CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n" + PLAIN
TWICE = PLAIN.replace(b"X-A: 1", b"x-a: 0\r\nX-A: 1")


class Parts:
    """Sends its next answer to each request, each of them part by part; then waits for the end, or hangs up."""

    def __init__(self, *answers: tuple[bytes, ...], hang_up: bool = False) -> None:
        self.answers, self.hang_up = answers, hang_up

    def serve(self, connection: Connection) -> None:
        for parts in self.answers:
            if connection.next_request() is None:
                return
            for part in parts:
                connection.client.sendall(part)
                connection.ended.wait(0.01)  # another packet
        if not self.hang_up:
            connection.ended.wait()


@pytest.mark.parametrize(
    "parts",
    [
        (PLAIN,),
        (PLAIN[:-2], PLAIN[-2:]),
        (PLAIN[:-1], PLAIN[-1:]),
        (PLAIN[:30], PLAIN[30:]),
        (CHUNKED,),
        (CHUNKED[:-3], CHUNKED[-3:]),
        (INTERIM,),
        (TWICE,),
    ],
)
def test_an_answer_in_any_form_is_read_and_its_connection_kept(parts: tuple[bytes, ...]) -> None:
    with FaultyServer(Parts((PLAIN,), parts, parts, (PLAIN,))) as server, transport_to(server.port) as transport:
        for _ in range(4):
            answer = ask(transport)

            assert (answer.status, answer.body, answer.headers["x-a"]) == (200, b"ab", "1")
        assert (server.connections, len(server.requests)) == (1, 4)


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN + b"HTTP/1.1 200 OK\r\n\r\nnobody asked",
        PLAIN.replace(b"X-A", b"Connection: close\r\nX-A"),
        PLAIN.replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\n\r\nab",
    ],
    ids=["more than was asked for", "to be closed", "of HTTP/1.0", "without a length"],
)
def test_a_connection_that_cannot_be_kept_is_not(answer: bytes) -> None:
    with (
        FaultyServer(Parts((answer,), hang_up=True), Parts((PLAIN,))) as server,
        transport_to(server.port) as transport,
    ):
        assert [ask(transport).body, ask(transport).body] == [b"ab", b"ab"]
        assert server.connections == 2


def test_an_answer_that_nobody_asked_for_is_never_taken_for_one() -> None:
    with FaultyServer(Parts((PLAIN + PLAIN.replace(b"ab", b"no"),)), Parts((PLAIN,))) as server:
        with transport_to(server.port) as transport:
            assert [ask(transport).body, ask(transport).body] == [b"ab", b"ab"]


def test_a_body_that_breaks_off_is_a_body_read_failure_and_the_request_is_sent_once() -> None:
    with FaultyServer(Parts((PLAIN[:-1],), hang_up=True)) as server, transport_to(server.port) as transport:
        assert type(failing(transport)) is errors.BodyReadFailed
        assert len(server.requests) == 1


def test_a_body_that_does_not_come_is_waited_for_until_the_deadline() -> None:
    with FaultyServer(Parts((PLAIN[:-2], PLAIN[-2:-1]))) as server, transport_to(server.port) as transport:
        assert type(failing(transport, SOON)) is errors.BackendTimeout


def test_who_debugs_httpcore_sees_every_exchange(caplog: pytest.LogCaptureFixture) -> None:
    with FaultyServer(Parts((PLAIN,), (PLAIN,), (PLAIN,))) as server, transport_to(server.port) as transport:
        ask(transport)
        assert caplog.text == ""
        with caplog.at_level(logging.DEBUG, "httpcore"):
            ask(transport)
        assert "receive_response_body.complete" in caplog.text
        ask(transport)

        assert server.connections == 1
