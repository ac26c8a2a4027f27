"""Bytes in, one answer out: what is refused, where the limits are, and that the cuts of the network change nothing."""

from itertools import pairwise
from typing import Any

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.http.response_parser import (
    MAX_BODY,
    MAX_FRAMING,
    MAX_HEAD,
    MAX_HEADERS,
    ParsedAnswer,
    RefusedAnswer,
    ResponseParser,
)

START = b"HTTP/1.1 200 OK\r\n"
PLAIN = START + b"Content-Type: a/b;c=d\r\nx-amzn-RequestId:  r-1\t\r\nContent-Length: 2\r\n\r\n{}"
CHUNKS = START + b"Transfer-Encoding: chunked\r\n\r\n"
HEADERS = [(b"content-type", b"a/b;c=d"), (b"x-amzn-requestid", b"r-1"), (b"content-length", b"2")]


def parsed(*parts: bytes, method: str = "POST", ends: bool = False) -> ParsedAnswer | None:
    """What comes out when *parts* come in, and then, perhaps, the end; None if that is not whole. Raises
    `RefusedAnswer`."""
    parser = ResponseParser(method)
    for part in parts:
        parser.feed(part)
    if ends:
        parser.end()
    return parser.answer() if parser.complete else None


def refused(*parts: bytes, method: str = "POST") -> RefusedAnswer:
    with pytest.raises(RefusedAnswer) as caught:
        parsed(*parts, method=method, ends=True)
    return caught.value


def test_an_answer_is_read() -> None:
    assert parsed(PLAIN) == ParsedAnswer(200, HEADERS, b"{}", True)


@pytest.mark.parametrize(
    ("data", "status", "body", "keeps_alive"),
    [
        (START + b"Content-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 404\r\nContent-Length: 1\r\n\r\na", 404, b"a", True),
        (b"HTTP/1.1 599 \xff\r\nX: \xff\r\nContent-Length: 1\r\n\r\na", 599, b"a", True),
        (b"HTTP/1.1 204 X\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 X\r\nContent-Length: 99999999\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 100 X\r\n\r\nHTTP/1.1 103 X\r\nLink: y\r\n\r\n" + PLAIN, 200, b"{}", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
        (START + b"Connection: x, CLOSE\r\nContent-Length: 1\r\n\r\na", 200, b"a", False),
        (START + b"Connection: keep-alive\r\nContent-Length: 1\r\n\r\na", 200, b"a", True),
        (START + b"Content-Encoding: Identity\r\nContent-Length: 1\r\n\r\na", 200, b"a", True),
        (CHUNKS + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n", 200, b"abc", True),
        (CHUNKS + b"1\r\n\n\r\n0\r\nContent-Type: a trailer\r\n\r\n", 200, b"\n", True),
        (START + b"\r\nup to the end", 200, b"up to the end", False),
        (START + b"\r\n", 200, b"", False),
    ],
)
def test_every_sound_form_is_read(data: bytes, status: int, body: bytes, keeps_alive: bool) -> None:
    answer = parsed(data, ends=True)

    assert answer is not None
    assert (answer.status, answer.body, answer.keeps_alive) == (status, body, keeps_alive)


def test_a_trailer_is_no_header() -> None:
    answer = parsed(CHUNKS + b"0\r\nX-Amzn-Errortype: late\r\n\r\n")

    assert answer is not None
    assert answer.headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("HEAD", START + b"Content-Length: 99999999\r\n\r\n"),
        ("HEAD", CHUNKS),
        ("CONNECT", START + b"\r\n"),
        ("CONNECT", CHUNKS),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(method: str, data: bytes) -> None:
    answer = parsed(data, method=method)

    assert answer is not None
    assert answer.body == b""
    assert refused(data, b"x", method=method).text == "more came than the answer to the request"
    assert refused(data + b"x", method=method).text == "more came than the answer to the request"


def test_a_tunnel_that_is_refused_has_a_body_like_any_answer() -> None:
    answer = parsed(PLAIN.replace(b"200", b"403"), method="CONNECT")

    assert answer is not None
    assert (answer.status, answer.body) == (403, b"{}")


@pytest.mark.parametrize("data", [b"SSH-2.0-x", b"\r\nHTTP/1.1", b"ICE/1.0", b"RTSP/1.0 200", b"HTTP/2", b"<", b"http"])
def test_what_does_not_begin_as_http_is_refused_at_its_first_wrong_byte(data: bytes) -> None:
    assert not refused(data).is_http


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (b"HTTP/1.1", b"HTTP/0.9"),
        (b"HTTP/1.1", b"HTTP/1.2"),
        (b"HTTP/1.1 ", b"HTTP/1.1  "),
        (b"200 OK", b"099 OK"),
        (b"200 OK", b"600 OK"),
        (b"200 OK", b"20 OK"),
        (b"200 OK", b"2000 OK"),
        (b"200 OK", b"+20 OK"),
        (b"200 OK", b"101 OK"),
        (b"200 OK", b"101 OK\r\nConnection: upgrade\r\nUpgrade: h2c"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: -2"),
        (b"Content-Length: 2", b"Content-Length: 0x2"),
        (b"Content-Length: 2", b"Content-Length: 2, 2"),
        (b"Content-Length: 2", b"Content-Length: 2 2"),
        (b"Content-Length: 2", b"Content-Length: " + b"9" * 30),
        (b"Content-Length: 2", b"Content-Length:"),
        (b"Content-Length: 2", b"Content-Length: 2\r\ncontent-length: 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked\r\nContent-Length: 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: identity"),
        (b"Content-Length: 2", b"Transfer-Encoding: gzip"),
        (b"Content-Length: 2", b"Transfer-Encoding: xchunked"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked, gzip"),
        (b"Content-Length: 2", b"Content-Length : 2"),
        (b"Content-Length: 2", b" Content-Length: 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\n\tX"),
        (b"Content-Length: 2", b"Content-Length:\r\n 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nContent-Encoding: gzip"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nContent-Encoding: identity\r\nContent-Encoding: br"),
        (b"Content-Type: a/b;c=d", b"Content-Type"),
        (b"Content-Type: a/b;c=d", b": a/b"),
        (b"Content-Type: a/b;c=d", b"Content Type: a/b"),
        (b"Content-Type: a/b;c=d", b"C\xc3\xa4: a"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\x00b"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\x7fb"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\rb"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\nX: y"),
        (b"\r\n\r\n", b"\r\n\n"),
        (b"\r\n\r\n", b"\n\n"),
        (b"\r\n\r\n", b"\r\n\r"),
        (b"\r\n", b"\n"),
        (b"{}", b"{}\r\n"),
        (b"{}", b"{}\n"),
        (b"{}", b"{}{"),
        (b"{}", b"{}" + PLAIN),
    ],
)
def test_what_breaks_a_rule_of_http_is_refused(part: bytes, instead: bytes) -> None:
    assert part in PLAIN
    bad = PLAIN.replace(part, instead)

    refused(bad)
    refused(*(bad[at : at + 1] for at in range(len(bad))))


@pytest.mark.parametrize(
    "body",
    [
        b"1\na\r\n0\r\n\r\n",
        b"1\r\na\n0\r\n\r\n",
        b"1\r\nab\r\n0\r\n\r\n",
        b"1 \r\na\r\n0\r\n\r\n",
        b"0x1\r\na\r\n0\r\n\r\n",
        b"-1\r\na\r\n0\r\n\r\n",
        b"F" * 17 + b"\r\na\r\n0\r\n\r\n",
        b'1;a="\x00"\r\na\r\n0\r\n\r\n',
        b"0\r\n\n",
        b"0\r\nContent-Length: 1\r\n\r\n",
        b"0\r\nX: a\r\n folded\r\n\r\n",
        b"0\r\n\r\n\r\n",
        b"0\r\n\r\n\n",
        b"0\r\n\r\n\r",
        b"0\r\n\r\n\n\r\n\r\n",
        b"0\r\n\r\nx",
        b"0\r\n\r\nHTTP/1.1 200 OK\r\nX",
        b"0\r\n\r\n" + PLAIN,
        b"0\r\n\r\n" + START + b"\r\n",
    ],
)
def test_chunks_that_break_a_rule_are_refused(body: bytes) -> None:
    refused(CHUNKS + body)
    refused(*(one.to_bytes() for one in CHUNKS + body))


def test_the_limits() -> None:
    room = MAX_HEAD - len(START) - len(b"X: \r\nContent-Length: 0\r\n\r\n")
    full = START + b"X: " + b"x" * room + b"\r\nContent-Length: 0\r\n\r\n"
    assert parsed(full) is not None
    assert "longer than 65536 bytes" in refused(full.replace(b"X: ", b"X:  ")).text
    assert "longer than 65536 bytes" in refused(b"HTTP/1.1 100 X\r\n\r\n" + full).text

    lines = b"X: x\r\n" * (MAX_HEADERS - 1)
    assert parsed(START + lines + b"Content-Length: 0\r\n\r\n") is not None
    assert "more than 100 headers" in refused(START + lines + b"X: x\r\nContent-Length: 0\r\n\r\n").text

    assert "longer than" in refused(START + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1)).text
    largest = parsed(START + b"Content-Length: %d\r\n\r\n" % MAX_BODY, bytes(MAX_BODY))
    assert largest is not None
    assert len(largest.body) == MAX_BODY
    assert "longer than" in refused(START + b"\r\n", bytes(MAX_BODY), b"x").text
    assert "longer than" in refused(CHUNKS, b"%x\r\n" % (MAX_BODY + 1), bytes(MAX_BODY + 1)).text


def test_what_goes_with_chunks_is_limited() -> None:
    rest = MAX_FRAMING - len(b"0;\r\n\r\n")
    assert parsed(CHUNKS, b"0;" + b"x" * rest + b"\r\n\r\n") is not None
    assert "chunks and trailers" in refused(CHUNKS, b"0;" + b"x" * (rest + 1) + b"\r\n\r\n").text
    assert "chunks and trailers" in refused(CHUNKS, b"0\r\nX: " + b"x" * MAX_FRAMING).text
    assert "chunks and trailers" in refused(CHUNKS, b"0\r\n" + b"X: x\r\n" * (MAX_HEADERS + 1) + b"\r\n").text


@pytest.mark.parametrize("data", [PLAIN, CHUNKS + b"2\r\nab\r\n0\r\n\r\n", b"HTTP/1.1 100 X\r\n\r\n" + PLAIN])
def test_an_answer_that_breaks_off_is_not_whole(data: bytes) -> None:
    assert all(parsed(data[:at], ends=True) is None for at in range(len(data)))


@pytest.mark.parametrize("data", [PLAIN + PLAIN, PLAIN.replace(b"Content-Type: a", b"Content-Type: never-show-\x00")])
def test_an_error_quotes_nothing_of_the_answer(data: bytes) -> None:
    error = refused(data.replace(b"{}", b"{}never-show"))

    assert "never-show" not in f"{error!r} {error.text} {error.__context__!r}"


# --- cuts ---------------------------------------------------------------------------------------------------------

SOUND = [
    PLAIN,
    b"HTTP/1.1 100 X\r\n\r\n" + PLAIN,
    CHUNKS + b"1\r\na\r\n1;x=y\r\nb\r\n0\r\nT: x\r\n\r\n",
    START + b"\r\nup to the end",
    b"HTTP/1.1 204 X\r\n\r\n",
]
MORE = [b"", b"x", b"\r\n", PLAIN]


def outcome(*parts: bytes) -> Any:
    try:
        return parsed(*parts, ends=True)
    except RefusedAnswer as refused:
        return "refused" if refused.is_http else "no HTTP"


@pytest.mark.parametrize("data", [one + more for one in SOUND for more in MORE])
def test_a_cut_at_any_place_changes_nothing(data: bytes) -> None:
    whole = outcome(data)

    assert all(outcome(data[:at], data[at:]) == whole for at in range(1, len(data)))
    assert outcome(*(data[at : at + 1] for at in range(len(data)))) == whole


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 \r\n", b"HTTP/1.1 204\r\n", b"HTTP/1.1 103 X\r\n\r\n"),
                *(b"Content-Length: 3\r\n", b"content-length:1\r\n", b"Transfer-Encoding: chunked\r\n"),
                *(b"Connection: close\r\n", b"X-Empty:\r\n", b" folded\r\n", b"\r\n", b"\r", b"\n", b"\r\n\r\n"),
                *(b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\nT: x\r\n\r\n", b"abc", PLAIN),
            ]
        ),
        st.binary(max_size=3),
    ),
    max_size=9,
).map(b"".join)


@given(data=st.one_of(PIECES, PIECES.map(START.__add__), PIECES.map(CHUNKS.__add__)), cuts=st.sets(st.integers(1, 150)))
def test_what_comes_out_does_not_depend_on_the_cuts(data: bytes, cuts: set[int]) -> None:
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]

    assert outcome(*(data[a:b] for a, b in pairwise(places))) == outcome(data)


# --- another parser -----------------------------------------------------------------------------------------------


def by_h11(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of the final answer. Raises what h11 raises."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    client.receive_data(b"")
    while isinstance(response := client.next_event(), h11.InformationalResponse):
        pass
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return response.status_code, list(response.headers), body


@given(data=st.one_of(PIECES.map(START.__add__), PIECES.map(CHUNKS.__add__), st.sampled_from(SOUND)))
def test_what_is_taken_here_reads_as_it_does_in_h11(data: bytes) -> None:
    try:
        found = parsed(data, ends=True)
    except RefusedAnswer:
        return
    if found is not None:
        status, headers, body = by_h11(data)

        assert (status, body) == (found.status, found.body)
        assert [name for name, _ in headers] == [name for name, _ in found.headers]
