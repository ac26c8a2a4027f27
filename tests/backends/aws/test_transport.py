"""What a transport brings back."""

import gzip
import zlib

import pytest

from secrets_actor.backends.aws.transport import MAX_BODY, HttpAnswer
from secrets_actor.clock import now as clock_now
from secrets_actor.domain import errors
from tests.backends.aws.transport_rig import LONG, ask, failing, transport_to
from tests.servers.behaviours import Answer, Behaviour, empty_body, html_500
from tests.servers.faulty import FaultyServer


def test_an_answer_comes_back_whole_whatever_its_status() -> None:
    with FaultyServer(Answer(b'{"a":1}', 418, headers=(("X-Amzn-RequestId", "r-1"),))) as server:
        with transport_to(server.port) as transport:
            answer = ask(transport)

    assert (answer.status, answer.body, answer.headers["x-amzn-requestid"]) == (418, b'{"a":1}', "r-1")
    assert "r-1" not in repr(answer)


@pytest.mark.parametrize(("behaviour", "status"), [(html_500(), 500), (empty_body(), 200)])
def test_a_strange_but_whole_answer_is_an_answer(behaviour: Behaviour, status: int) -> None:
    with FaultyServer(behaviour) as server, transport_to(server.port) as transport:
        assert ask(transport).status == status


def test_a_connection_is_kept_for_the_next_request() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        for _ in range(5):
            ask(transport)

        assert (server.connections, len(server.requests)) == (1, 5)


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again() -> None:
    with FaultyServer(Answer(), Answer()) as server, transport_to(server.port) as transport:
        ask(transport)
        server.drop()
        ask(transport)

        assert server.connections == 2


def test_the_request_goes_out_as_it_was_given() -> None:
    with FaultyServer(Answer()) as server, transport_to(server.port) as transport:
        transport.request(
            "PUT",
            [(b"Host", b"h"), (b"Content-Length", b"3")],
            b"\x00\xffz",
            until=clock_now() + LONG,
            path="/a/b?c",
        )

        head = b"PUT /a/b?c HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nAccept-Encoding: identity\r\n\r\n"
        assert server.requests[0].raw == head + b"\x00\xffz"


def test_a_redirect_is_not_followed_and_a_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with FaultyServer(Answer(status=302, headers=(("Location", "http://127.0.0.1:9/"),))) as server:
        with transport_to(server.port) as transport:
            assert ask(transport).status == 302


def packed(body: bytes, coding: str) -> bytes:
    return zlib.compress(body) if coding.lower() == "deflate" else gzip.compress(body)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP ", "deflate"])
def test_what_was_compressed_on_the_way_is_unpacked(coding: str, status: int) -> None:
    answer = Answer(packed(b"body" * 1000, coding), status, headers=(("Content-Encoding", coding),))
    with FaultyServer(answer) as server, transport_to(server.port) as transport:
        for _ in range(2):
            assert ask(transport) == HttpAnswer(status, ask(transport).headers, b"body" * 1000)
        assert server.connections == 1


def test_two_members_of_gzip_are_one_body() -> None:
    answer = Answer(gzip.compress(b"one ") + gzip.compress(b"two"), headers=(("Content-Encoding", "gzip"),))
    with FaultyServer(answer) as server, transport_to(server.port) as transport:
        assert ask(transport).body == b"one two"


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"body", "identity"),
        (b"body", ""),
        (b"body", "br"),
        (b"body", "gzip, gzip"),
        (b"body", "gzip"),
        (gzip.compress(b"body", mtime=0)[:-9], "gzip"),
        (b"", "gzip"),
    ],
)
def test_what_cannot_be_unpacked_is_left_as_it_is(body: bytes, coding: str) -> None:
    with FaultyServer(Answer(body, headers=(("Content-Encoding", coding),))) as server:
        with transport_to(server.port) as transport:
            assert ask(transport).body == body


@pytest.mark.parametrize("parts", [1, 2], ids=["one member", "two"])
def test_a_little_that_unpacks_to_too_much_is_refused(parts: int) -> None:
    body = gzip.compress(bytes(MAX_BODY // parts)) * parts + gzip.compress(b"1")
    with FaultyServer(Answer(body, headers=(("Content-Encoding", "gzip"),))) as server:
        with transport_to(server.port) as transport:
            assert type(failing(transport)) is errors.InvalidAnswer
