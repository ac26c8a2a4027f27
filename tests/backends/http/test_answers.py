"""What may come on a connection: answers in any sound form, and what is none, after which nothing is read there."""

import ssl
import threading
from pathlib import Path

import pytest
import trustme

from secrets_actor.backends.http.transport import Tls
from secrets_actor.domain import errors
from tests.backends.http.tls_server import certificate_files
from tests.backends.http.transport_rig import LONG, SOON, ask, failing, transport_to
from tests.servers.behaviours import Connection
from tests.servers.faulty import FaultyServer

PLAIN = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab"
CHUNKED = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
INTERIM = b"HTTP/1.1 102 Processing\r\n\r\n" + PLAIN
TWICE = PLAIN.replace(b"X-A: 1", b"x-a: 0\r\nX-A: 1")
OTHER = PLAIN.replace(b"ab", b"no")


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
        PLAIN.replace(b"X-A", b"Connection: close\r\nX-A"),
        PLAIN.replace(b"X-A", b"Connection: keep-alive, Close\r\nX-A"),
        PLAIN.replace(b"1.1", b"1.0"),
        b"HTTP/1.1 200 OK\r\n\r\nab",
    ],
    ids=["to be closed", "to be closed, in a list", "of HTTP/1.0", "without a length"],
)
def test_a_connection_that_cannot_be_kept_is_not(answer: bytes) -> None:
    with (
        FaultyServer(Parts((answer,), hang_up=True), Parts((PLAIN,))) as server,
        transport_to(server.port) as transport,
    ):
        assert [ask(transport).body, ask(transport).body] == [b"ab", b"ab"]
        assert server.connections == 2


REFUSED = {
    "two answers": (PLAIN + OTHER, "more came than the answer"),
    "two answers in chunks": (CHUNKED + CHUNKED, "more came than the answer"),
    "an answer after one without a body": (b"HTTP/1.1 204 X\r\n\r\n" + OTHER, "more came than the answer"),
    "a body where there is none": (b"HTTP/1.1 304 X\r\nContent-Length: 2\r\n\r\nab", "more came than the answer"),
    "trailing bytes": (PLAIN + b"c", "more came than the answer"),
    "a trailing line end": (PLAIN + b"\r\n", "more came than the answer"),
    "a line end behind chunks": (CHUNKED + b"\r\n", "more came than the answer"),
    "trailing bytes, to be closed": (PLAIN.replace(b"X-A", b"Connection: close\r\nX-A") + b"c", "more came than"),
    "a length twice": (PLAIN.replace(b"X-A: 1", b"Content-Length: 2"), "Duplicate Content-Length"),
    "two lengths": (PLAIN.replace(b"X-A: 1", b"content-length: 3"), "Duplicate Content-Length"),
    "a list of lengths": (PLAIN.replace(b"Length: 2", b"Length: 2, 2"), "Invalid character in Content-Length"),
    "a length and chunks": (CHUNKED.replace(b"X-A: 1", b"Content-Length: 2"), "can't be present"),
    "a coding nobody knows": (CHUNKED.replace(b"chunked", b"gzip, chunked"), "a transfer coding"),
    "chunks in chunks": (CHUNKED.replace(b"X-A: 1", b"Transfer-Encoding: chunked"), "a transfer coding"),
    "chunks in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0"), "a transfer coding"),
    "a folded header": (PLAIN.replace(b"X-A: 1", b"X-A: 1\r\n 2"), "whitespace after header value"),
    "a NUL in a header": (PLAIN.replace(b"X-A: 1", b"X-A: \x00"), "Invalid header value char"),
    "a NUL in a name": (PLAIN.replace(b"X-A", b"X\x00A"), "Invalid header token"),
    "lone line feeds": (PLAIN.replace(b"\r\n", b"\n"), "Missing expected CR"),
    "compressed": (PLAIN.replace(b"X-A: 1", b"Content-Encoding: gzip"), "compressed, which nobody asked for"),
    "another protocol": (b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", "another protocol"),
    "endless headers": (PLAIN.replace(b"X-A: 1", b"X-A: " + b"1" * 70_000), "longer than 65536 bytes"),
    "endless interim answers": (b"HTTP/1.1 100 X\r\n\r\n" * 4000 + PLAIN, "longer than 65536 bytes"),
}


@pytest.mark.parametrize(("answer", "told"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sound_answer_is_refused_and_no_later_request_is_answered_by_it(answer: bytes, told: str) -> None:
    script = (Parts((PLAIN,), (answer,)), Parts((PLAIN,), (PLAIN,)))
    with FaultyServer(*script) as server, transport_to(server.port) as transport:
        assert ask(transport).body == b"ab"
        error = failing(transport)

        assert type(error) is errors.InvalidAnswer
        assert told in str(error)
        assert error.retryable
        assert [ask(transport).body, ask(transport).body] == [b"ab", b"ab"]
        assert server.connections == 2


class AnswersTwice:
    """Answers, and a moment later, when the connection is idle, once more. `sent` is set when all has been sent."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.asked, self.sent = answer, threading.Event(), threading.Event()

    def serve(self, connection: Connection) -> None:
        connection.next_request()
        connection.client.sendall(PLAIN)
        self.asked.wait(LONG)
        connection.client.sendall(self.answer)
        self.sent.set()
        connection.ended.wait()


@pytest.mark.parametrize("answer", [OTHER, b"\r\n", b"x"])
def test_what_comes_while_a_connection_is_idle_answers_nothing(answer: bytes) -> None:
    twice = AnswersTwice(answer)
    with FaultyServer(twice, Parts((PLAIN,))) as server, transport_to(server.port) as transport:
        ask(transport)
        twice.asked.set()
        assert twice.sent.wait(LONG)

        assert ask(transport).body == b"ab"
        assert (server.connections, len(server.requests)) == (2, 2)


class AnswersWithItsHandshake:
    """Speaks TLS 1.2, and sends *early* in the same packet as the end of its handshake: so it is there before any
    request, however quick the client is. A request it answers with PLAIN."""

    def __init__(self, chain: Path, key: Path, early: bytes) -> None:
        self.early = early
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.context.load_cert_chain(chain, key)

    def serve(self, connection: Connection) -> None:
        came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(came, goes, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.client.sendall(goes.read())
                came.write(connection.client.recv(65_536))
        if self.early:
            tls.write(self.early)
        connection.client.sendall(goes.read())
        while received := connection.client.recv(65_536):
            came.write(received)
            try:
                asked = tls.read(65_536)
            except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
                continue
            if asked:
                tls.write(PLAIN)
                connection.client.sendall(goes.read())


def test_an_answer_that_comes_before_the_request_is_refused_and_answers_no_later_one(tmp_path: Path) -> None:
    authority = trustme.CA()
    ca, chain, key = certificate_files(tmp_path, authority, authority.issue_cert("127.0.0.1"))
    script = (AnswersWithItsHandshake(chain, key, OTHER), AnswersWithItsHandshake(chain, key, b""))
    with FaultyServer(*script) as server, transport_to(server.port, "https", tls=Tls(str(ca))) as transport:
        error = failing(transport)

        assert type(error) is errors.InvalidAnswer
        assert "it came before the request" in str(error)
        assert [ask(transport).body, ask(transport).body] == [b"ab", b"ab"]
        assert server.connections == 2


def test_a_body_that_breaks_off_is_a_body_read_failure_and_the_request_is_sent_once() -> None:
    with FaultyServer(Parts((PLAIN[:-1],), hang_up=True)) as server, transport_to(server.port) as transport:
        assert type(failing(transport)) is errors.BodyReadFailed
        assert len(server.requests) == 1


def test_chunks_that_break_off_are_a_body_read_failure() -> None:
    with FaultyServer(Parts((CHUNKED[:-2],), hang_up=True)) as server, transport_to(server.port) as transport:
        assert type(failing(transport)) is errors.BodyReadFailed


def test_a_body_that_does_not_come_is_waited_for_until_the_deadline() -> None:
    with FaultyServer(Parts((PLAIN[:-2], PLAIN[-2:-1]))) as server, transport_to(server.port) as transport:
        assert type(failing(transport, SOON)) is errors.BackendTimeout
