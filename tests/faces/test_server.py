"""The server of a listener: what it hands on, what it answers itself, and when it is over."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secrets_actor.clock import now
from secrets_actor.events import HandlerFailed
from secrets_actor.faces.connection import Limits
from secrets_actor.faces.exchange import Request, Response
from tests.faces.served import Served, echo, eventually, request, served
from tests.forking import in_child

# Seconds. Short, so that a test of what is too slow does not wait long; and no test here that is in time depends on it.
SHORT = 0.3
SMALL = Limits(head_seconds=SHORT, idle_seconds=SHORT, request_seconds=SHORT)


# --- what is handed on ------------------------------------------------------------------------------------------------


def test_a_request_reaches_the_handler_whole(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def keep(one: Request) -> Response:
        asked.append(one)
        return Response(201, (("x-one", "1"),), b"made")

    with served(keep, tmp_path) as one, one.client() as client:
        before = now()
        answer = client.post(b"body", "/a%2Fb?c=%20d", "X-Two: 2", "x-two: 3")

    assert (answer.status, answer.body, answer.headers["x-one"]) == (201, b"made", "1")
    assert "server" not in answer.headers
    assert "date" in answer.headers
    [found] = asked
    assert (found.method, found.path, found.query, found.body) == ("POST", "/a%2Fb", "c=%20d", b"body")
    assert found.all("x-two") == ("2", "3")
    assert found.listener == f"unix:{tmp_path}/api.sock"
    assert 0 <= found.deadline - before - Limits().request_seconds < 30


def test_a_connection_serves_many_requests() -> None:
    with served(echo) as one, one.client() as client:
        assert [client.post(b"%d" % number).body for number in range(20)] == [b"POST / %d" % n for n in range(20)]
        assert client.ask(request("GET", "/last", "Connection: close")).headers["connection"] == "close"
        assert client.is_closed()
        assert one.listener.status is not None
        assert one.listener.status().endswith("21 requests")


def test_a_body_may_come_in_parts() -> None:
    with served(echo) as one, one.client() as client:
        client.send(request("POST", "/", "Transfer-Encoding: chunked"))
        for part in (b"3\r\nabc\r\n", b"2", b"\r\nd", b"e\r\n", b"0\r\nX-Trailer: 1\r\n\r\n"):
            client.send(part)
        assert client.answer().body == b"POST / abcde"
        assert client.post(b"more").body == b"POST / more"


def test_a_trailer_is_no_header() -> None:
    asked: list[Request] = []

    async def keep(one: Request) -> Response:
        asked.append(one)
        return Response(200)

    with served(keep) as one, one.client() as client:
        client.ask(request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\nX-Token: stolen\r\n\r\n")

    assert [name for name, _ in asked[0].headers] == ["host", "transfer-encoding"]


def test_a_client_that_waits_for_a_go_ahead_gets_one() -> None:
    with served(echo) as one, one.client() as client:
        client.send(request("POST", "/", "Content-Length: 3", "Expect: 100-continue"))
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.ask(b"abc").body == b"POST / abc"


def test_a_head_answer_has_no_body_and_neither_has_a_304() -> None:
    async def handler(one: Request) -> Response:
        return Response(200, (), b"abc") if one.path == "/" else Response(304)

    with served(handler) as one, one.client() as client:
        assert b"content-length: 3\r\n" in client.send(request("HEAD")).until(b"\r\n\r\n")
        assert b"content-length" not in client.send(request("GET", "/same")).until(b"\r\n\r\n")
        assert client.get().body == b"abc"


def test_pipelined_requests_are_answered_in_their_order() -> None:
    async def slow_first(one: Request) -> Response:
        if one.path == "/0":
            await asyncio.sleep(0.05)
        return Response(200, (), one.path.encode())

    with served(slow_first) as one, one.client() as client:
        client.send(b"".join(request("GET", f"/{number}") for number in range(1000)))
        assert [client.answer().body for _ in range(1000)] == [b"/%d" % number for number in range(1000)]


def test_a_client_that_closes_its_half_after_its_request_is_answered() -> None:
    async def later(one: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(200, (), b"done")

    with served(later) as one, one.client() as client:
        client.send(request())
        client.socket.shutdown(socket.SHUT_WR)
        assert client.answer().body == b"done"
        assert client.is_closed()


def test_a_client_of_http_1_0_is_served_and_then_the_connection_ends() -> None:
    with served(echo) as one, one.client() as client:
        assert client.ask(b"GET /a HTTP/1.0\r\n\r\n").body == b"GET /a "
        assert client.is_closed()


def test_the_peer_of_a_tcp_connection_is_its_address() -> None:
    async def who(asked: Request) -> Response:
        return Response(200, (), repr((asked.peer.address, asked.peer.uid)).encode())

    with served(who) as one, one.client() as client:
        host, port = client.socket.getsockname()
        assert client.get().body == repr((f"{host}:{port}", None)).encode()


# --- what is refused --------------------------------------------------------------------------------------------------


def refused(data: bytes, limits: Limits = SMALL, reason: str | None = None) -> tuple[int, str]:
    """The status that *data* is refused with, and the reason in the metrics. The connection ends with it."""
    with served(never, limits=limits) as one, one.client() as client:
        client.send(data)
        answer = client.answer()
        assert answer.headers["connection"] == "close"
        assert client.is_closed()
        [(found, times)] = one.meter.refusals().items()
        assert times == 1
        assert one.client().post(b"").status == 299, "others are served"
    return answer.status, found


async def never(asked: Request) -> Response:
    """Nothing but a POST of nothing at all comes to the handler."""
    assert (asked.method, asked.path, asked.body, len(asked.headers)) == ("POST", "/", b"", 2)
    return Response(299)


HOST = b"Host: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400, "bad_request"),  # bare line feeds
        (b"GET / HTTP/1.1\r\n" + HOST + b"X : 1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: 1\r\n 2\r\n\r\n", 400, "bad_request"),  # a folded header
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"\x80: 1\r\n\r\n", 400, "bad_request"),
        (b"GET /\xe9 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_request"),
        (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, "version"),
        (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400, "bad_request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "bad_request"),  # TLS on a port without it
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "bad_host"),
        (b"GET http://other/ HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_target"),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400, "bad_target"),
        (b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400, "upgrade"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n", 400, "upgrade"),
        (b"POST / HTTP/1.1\r\n" + HOST + b"Expect: miracles\r\nContent-Length: 1\r\n\r\n", 417, "expectation"),
    ],
)
def test_what_is_no_request_of_http_1_1_is_refused(data: bytes, status: int, reason: str) -> None:
    assert refused(data) == (status, reason)


POST = b"POST / HTTP/1.1\r\n" + HOST
HIDDEN = b"0\r\n\r\nGET /hidden HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 6\r\nContent-Length: 5\r\n\r\nabcdef",
        POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        POST + b"Content-Length: 5, 5\r\n\r\nabcde",
        POST + b"Content-Length: +5\r\n\r\nabcde",
        POST + b"Content-Length: 0x5\r\n\r\nabcde",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length:\r\n\r\nabcde",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: identity, chunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: xchunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding : chunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + HIDDEN,
        b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + HIDDEN,
        POST + b"Transfer-Encoding: chunked\r\n\r\nx\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\nContent-Length: 1\r\nX: \rGET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_request_whose_end_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    """Nothing that hides behind such a request is served: the handler is not called."""
    status, reason = refused(data)

    assert status == 400
    assert reason in ("bad_request", "bad_framing")


LONG = Limits(
    head_seconds=SHORT, idle_seconds=SHORT, request_seconds=SHORT, head_bytes=4000, headers=10, body_bytes=100
)


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    [
        (request("GET", "/" + "a" * 5000), 431, "long_head"),
        (request("GET", "/", "X: " + "a" * 5000), 431, "long_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * (1 << 20), 431, "long_head"),
        (b"GET / HTTP/1.1\r\n" + b"X" * (1 << 20), 431, "long_head"),
        (b"G" * 40, 400, "bad_request"),
        (b"GET /" + b"a" * (1 << 20), 431, "long_head"),
        (request("GET", "/", *["X: 1"] * 10), 431, "long_head"),
        (request("POST", "/", "Content-Length: 101"), 413, "long_body"),
        (request("POST", "/", "Content-Length: 101", "Expect: 100-continue"), 413, "long_body"),
        (request("POST", "/", "Content-Length: 1000000") + b"a" * 1_000_000, 413, "long_body"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"f4240\r\n" + b"a" * 1_000_000, 413, "long_body"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"1\r\na\r\n" * 101, 413, "long_body"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"1;" + b"x" * (1 << 20), 431, "long_head"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\nX: " + b"x" * (1 << 20), 431, "long_head"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"0\r\n" + b"X: 1\r\n" * 9999, 431, "long_head"),
    ],
)
def test_what_is_too_long_is_refused(data: bytes, status: int, reason: str) -> None:
    assert refused(data, LONG) == (status, reason)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"G", "slow_head"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: ", "slow_head"),
        (request("POST", "/", "Content-Length: 10") + b"123", "slow_body"),
        (request("POST", "/", "Transfer-Encoding: chunked") + b"a\r\n123", "slow_body"),
    ],
)
def test_what_is_too_slow_is_refused(data: bytes, reason: str) -> None:
    assert refused(data) == (408, reason)


def test_a_head_that_comes_byte_by_byte_gains_no_time() -> None:
    with served(echo, limits=SMALL) as one, one.client() as client:
        begun, pause = now(), threading.Event()
        client.send(b"GET /")
        while not one.meter.refusals() and now() - begun < 10 * SHORT:
            client.send(b"X")
            pause.wait(0.01)
        assert client.answer().status == 408


@pytest.mark.parametrize("data", [b"", b"\r\n\r\n"])
def test_a_connection_on_which_nothing_comes_is_closed(data: bytes) -> None:
    with served(echo, limits=SMALL) as one:
        with one.client() as client:
            assert client.send(data).is_closed()
        with one.client() as client:
            assert client.get().status == 200
            assert client.send(data).is_closed(), "nor between two requests"
        assert one.meter.refusals() == {}


def test_a_request_that_takes_too_long_is_answered_with_504() -> None:
    ended: list[str] = []

    async def hangs(one: Request) -> Response:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(one.path)
            raise
        return Response(200)

    with served(hangs, limits=SMALL) as one, one.client() as client:
        assert client.get("/a").status == 504
        assert client.is_closed()
        assert ended == ["/a"]
        assert one.meter.refusals() == {"late": 1}


def test_a_handler_that_does_not_give_in_holds_no_connection() -> None:
    async def stubborn(asked: Request) -> Response:
        for _ in range(100):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue
        return Response(200)

    with served(stubborn, limits=SMALL) as one, one.client() as client:
        client.send(request())
        assert client.is_closed()


def test_a_client_that_goes_away_ends_its_request() -> None:
    begun, ended = threading.Event(), threading.Event()

    async def waits(_: Request) -> Response:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Response(200)

    with served(waits) as one:
        with one.client() as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # closing resets it
            client.send(request())
            assert begun.wait(10)
        assert ended.wait(10)
        assert one.meter.refusals() == {}


@pytest.mark.parametrize("error", [ValueError("canary"), SystemExit(3), KeyboardInterrupt(), MemoryError()])
def test_a_handler_that_raises_costs_its_own_request_only(error: BaseException) -> None:
    async def raises(one: Request) -> Response:
        if one.path == "/bad":
            raise error
        return Response(200, (("x", "\n"),) if one.path == "/header" else ())

    with served(raises) as one:
        serial = one.listener.serial
        with one.client() as client:
            answer = client.get("/bad")
            assert (answer.status, answer.body) == (500, b"Internal error.")
        with one.client() as client:
            assert client.get("/header").status == 500
        with one.client() as client:
            assert client.get("/").status == 200
        assert one.listener.serial == serial
        assert one.meter.refusals() == {"failed": 2}
        told = [event.reason for event in one.events if isinstance(event, HandlerFailed)]
        assert told[0].startswith(f"{type(error).__name__} at test_server.py:")
        assert "canary" not in str(one.events)


def test_the_same_failure_is_told_once_a_minute_so_that_no_client_can_fill_the_log() -> None:
    async def raises(one: Request) -> Response:
        raise ValueError if one.path == "/value" else KeyError

    with served(raises) as one:
        for path in ("/value", "/value", "/key", "/value"):
            with one.client() as client:
                assert client.get(path).status == 500
        told = [event.reason.partition(" ")[0] for event in one.events if isinstance(event, HandlerFailed)]
        assert told == ["ValueError", "KeyError"]


def test_a_client_that_still_sends_when_it_is_refused_can_read_why() -> None:
    """A server that closed its whole socket would reset the connection, and the refusal could be lost on the way."""
    with served(echo) as one, one.client() as client:
        client.send(request("POST", "/", "Content-Length: 1000000"))

        assert client.answer().status == 413
        assert client.is_closed(), "its half"
        for _ in range(4):
            client.send(b"x" * 1000)  # raises once a reset has come, and the first of these would cause it


def test_a_refusal_comes_behind_the_answers_to_what_was_asked_before() -> None:
    async def later(one: Request) -> Response:
        await asyncio.sleep(0.02)
        return Response(200, (), one.path.encode())

    for wrong, status in ((b"wrong\r\n\r\n", 400), (request("POST", "/", "Content-Length: 1000000"), 413)):
        with served(later) as one, one.client() as client:
            client.send(request("GET", "/1") + request("GET", "/2") + wrong + request("GET", "/3"))
            assert [client.answer().body for _ in range(2)] == [b"/1", b"/2"]
            assert client.answer().status == status
            assert client.is_closed()


# --- limits of connections --------------------------------------------------------------------------------------------


def test_connections_beyond_the_limit_are_told_so() -> None:
    with served(echo, limits=Limits(connections=3)) as one:
        clients = [one.client() for _ in range(3)]
        assert all(client.get().status == 200 for client in clients)
        with one.client() as beyond:
            answer = beyond.get()
            assert (answer.status, answer.headers["retry-after"]) == (429, "1")
            assert beyond.is_closed()
        assert one.meter.refusals() == {"connections": 1}
        clients.pop().close()
        assert eventually(lambda: one.client().get().status == 200), "there is room again"
        for client in clients:
            assert client.get().status == 200
            client.close()


def test_one_peer_does_not_take_all_connections() -> None:
    with served(echo, limits=Limits(connections=10, per_peer=2)) as one:
        clients = [one.client() for _ in range(2)]
        assert [client.get().status for client in clients] == [200, 200]
        assert one.client().get().status == 429

        with socket.socket() as other:  # another address of loopback is another peer
            other.bind(("127.0.0.2", 0))
            other.settimeout(10)
            other.connect(clients[0].socket.getpeername())
            other.sendall(request())
            assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_a_connection_beyond_the_limit_that_sends_nothing_is_told_so_too() -> None:
    with served(echo, limits=Limits(connections=1)) as one, one.client() as first:
        assert first.get().status == 200
        with one.client() as beyond:
            assert beyond.answer().status == 429


def gauge(one: Served) -> float:
    return sum(float(reading[2]) for read in one.meter.gauges.values() for reading in read())


def test_the_connections_are_counted() -> None:
    with served(echo) as one:
        with one.client() as first, one.client() as second:
            first.get()
            second.get()
            assert gauge(one) == 2
            assert one.listener.status is not None
            assert one.listener.status() == "2 connections, 2 requests"
        assert eventually(lambda: gauge(one) == 0)


# --- streams ----------------------------------------------------------------------------------------------------------


class Ticks:
    """A stream that tells what becomes of it."""

    def __init__(self) -> None:
        self.closed = threading.Event()
        self.last: bytes | None = None

    async def __call__(self, _: Request) -> Response:
        return Response(200, (("content-type", "text/event-stream"),), b": begin\n\n", self.ticks())

    async def ticks(self) -> AsyncIterator[bytes]:
        try:
            number = 0
            while True:
                yield b"data: %d\n\n" % number
                number += 1
                try:
                    await asyncio.sleep(0.01 if number < 3 else 60)
                except asyncio.CancelledError:
                    if self.last is not None:
                        yield self.last
                    raise
        finally:
            self.closed.set()


def test_a_stream_is_sent_part_by_part_and_has_no_deadline_and_ends_with_its_client() -> None:
    ticks = Ticks()
    with served(ticks, limits=SMALL) as one:
        with one.client() as client:
            head = client.send(request()).until(b"\r\n\r\n")
            assert b"transfer-encoding: chunked" in head
            for part in (b": begin\n\n", b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"):
                assert client.until(b"\n\n\r\n").endswith(part + b"\r\n")
            assert not ticks.closed.wait(2 * SHORT)
        assert ticks.closed.wait(10)


def test_a_stream_ends_well_when_the_listener_drains() -> None:
    ticks = Ticks()
    ticks.last = b"event: bye\n\n"
    with served(ticks, drain_seconds=10) as one, one.client() as client:
        client.send(request()).until(b"data: 2\n\n\r\n")
        one.close()
        assert client.until(b"0\r\n\r\n") == b"c\r\nevent: bye\n\n\r\n0\r\n\r\n"
        assert client.is_closed()
    assert ticks.closed.is_set()


def test_a_stream_to_a_client_that_does_not_read_ends() -> None:
    closed = threading.Event()

    async def flood(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 65536
            finally:
                closed.set()

        return Response(200, (), b"", parts())

    with served(flood, limits=SMALL) as one, one.client() as client:
        client.send(request())
        assert closed.wait(10)


def test_a_stream_whose_client_reads_again_has_no_end_of_its_time() -> None:
    """While the client does not read, the stream has a deadline; an event may come hours later."""

    async def pauses(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"x" * 8_000_000  # more than the kernel takes at once
            await asyncio.sleep(2.5)  # the length of a pause is what is tried here
            yield b"later"

        return Response(200, (), b"", parts())

    with served(pauses, limits=Limits(request_seconds=1.0)) as one, one.client() as client:
        assert client.ask(request()).body.rstrip().endswith(b"later")


def test_a_stream_that_fails_does_not_look_whole() -> None:
    async def fails(_: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one"
            raise ValueError("canary")

        return Response(200, (), b"", parts())

    with served(fails) as one, one.client() as client:
        with pytest.raises((EOFError, ConnectionResetError)):
            client.ask(request())
        assert any(isinstance(event, HandlerFailed) for event in one.events)


def test_a_client_of_http_1_0_gets_no_stream() -> None:
    ticks = Ticks()
    with served(ticks) as one, one.client() as client:
        assert client.ask(b"GET / HTTP/1.0\r\n\r\n").status == 505


# --- forks ------------------------------------------------------------------------------------------------------------


def test_the_child_of_a_fork_holds_no_connection_and_disturbs_none() -> None:
    """Else a client would wait for as long as the child lives, for an answer that nobody gives."""
    go_on, told = os.pipe()
    with served(echo) as one, one.client() as client:
        assert client.get().status == 200

        def child() -> None:
            one.close()  # what a program may do there, and what must not reach the parent's listener
            os.read(go_on, 1)

        with in_background(lambda: in_child(child)):
            try:
                assert client.get().status == 200
                assert one.client().get().status == 200, "the parent's loop still hears"
                one.kill()
                assert client.is_closed()
                one.close()
                with pytest.raises(ConnectionRefusedError):
                    one.client()
            finally:
                os.write(told, b"1")
    os.close(go_on)
    os.close(told)


@contextmanager
def in_background(work: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()
