"""Clients that break rules at random, and many at once: each is answered or cut off, and others are served."""

import contextlib
import os
import re
import resource
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.clock import now
from secrets_actor.faces.connection import Limits
from tests.faces.served import Client, Served, echo, eventually, request, served

WHOLE = [
    request("GET", "/a?b=c"),
    request("POST", "/", "Content-Length: 5") + b"hello",
    request("POST", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
    request("POST", "/", "Expect: 100-continue", "Content-Length: 2") + b"ok",
    b"GET / HTTP/1.0\r\n\r\n",
]
NOISE = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\xff",
    b"HTTP/1.1",
    b"Content-Length: 1\r\n",
    b"0\r\n\r\n",
    b"GET / ",
]
STATUSES = {b"100", b"200", b"400", b"408", b"413", b"417", b"429", b"431", b"505"}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One listener for all examples, with a client that asks between them."""
    with served(echo, tmp_path_factory.mktemp("attacked"), limits=Limits(head_seconds=2, request_seconds=2)) as one:
        yield one


def everything(client: Client) -> bytes:
    """All that the server sends until it closes the connection, or is silent."""
    read = b""
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while part := client.socket.recv(65536):
            read += part
    return read


@given(
    pieces=st.lists(st.sampled_from(WHOLE) | st.sampled_from(NOISE) | st.binary(max_size=20), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 400), max_size=3),
    flip=st.none() | st.tuples(st.integers(0, 400), st.integers(0, 255)),
)
def test_whatever_is_sent_is_answered_by_a_status_and_others_are_served(
    attacked: Served, pieces: list[bytes], cuts: list[int], flip: tuple[int, int] | None
) -> None:
    data = bytearray(b"".join(pieces))
    if flip is not None and flip[0] < len(data):
        data[flip[0]] = flip[1]
    with attacked.client() as client:
        begin = 0
        for cut in [*sorted(cuts), len(data)]:
            try:
                client.send(bytes(data[begin:cut]))
            except OSError:  # it was refused before its end
                break
            begin = max(begin, cut)
        client.socket.settimeout(0.05)
        with contextlib.suppress(OSError):
            client.socket.shutdown(socket.SHUT_WR)
        answers = everything(client)
    with attacked.client() as other:
        assert other.get("/still").body == b"GET /still "
    assert answers.startswith(b"HTTP/1.1 ") or answers == b""
    assert set(re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)) <= STATUSES
    assert [event for event in attacked.events if "Failed" in type(event).__name__] == []


def test_requests_that_are_not_read_back_are_not_kept_without_end(attacked: Served) -> None:
    """A client that sends requests and reads no answer is not read any further."""
    with attacked.client() as client:
        client.socket.setblocking(False)
        sent, quiet = 0, 0
        data = request("GET", "/" + "a" * 500) * 100
        while quiet < 20 and sent < 200_000_000:
            try:
                sent += client.socket.send(data)
                quiet = 0
            except BlockingIOError:
                quiet += 1
                threading.Event().wait(0.01)
            except OSError:
                break
        assert sent < 20_000_000
    with attacked.client() as other:
        assert other.get().status == 200
    assert eventually(lambda: (attacked.listener.status or str)().startswith("0 "))
    assert [event for event in attacked.events if "Failed" in type(event).__name__] == [], "nothing of ours has failed"


@pytest.mark.slow
def test_ten_thousand_idle_connections_are_bounded_and_others_are_served() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 40_000), hard))
    before = resident()
    limits = Limits(head_seconds=5.0)
    idle: list[socket.socket] = []
    try:
        with served(echo, limits=limits) as one:
            place = one.place.rpartition(":")
            for number in range(10_000):
                connection = socket.socket()
                connection.setblocking(False)
                connection.bind(("127.0.0.3", 0))
                connection.connect_ex((place[0], int(place[2])))
                idle.append(connection)
                if number % 1000 == 999:
                    begun = now()
                    with Client(one.place) as other:
                        assert other.get().status == 200
                    assert now() - begun < 5
                    assert resident() - before < 200 << 20
            assert one.meter.refusals()["connections"] > 5000
            for connection in idle:
                connection.close()
            assert eventually(lambda: (one.listener.status or str)().startswith("0 "))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    """The bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
