"""What is read without httpcore reads as h11 reads it; the rest is left alone."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secrets_actor.backends.aws.ordinary import ordinary_head, request_bytes

ORDINARY = b"HTTP/1.1 200 OK\r\nContent-Type: a/b;c=d\r\nx-amzn-RequestId:  r-1\t\r\nContent-Length: 2\r\n\r\n"


def by_h11(data: bytes) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool]:
    """Status, headers and body, and whether the connection is kept. Raises what h11 raises."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "h"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    return response.status_code, response.headers.raw_items(), body, client.their_state is h11.DONE


def test_an_ordinary_head_is_read() -> None:
    head = ordinary_head(ORDINARY + b"{}")

    assert head is not None
    assert head.status == 200
    assert head.headers == [(b"Content-Type", b"a/b;c=d"), (b"x-amzn-RequestId", b"r-1"), (b"Content-Length", b"2")]
    assert (head.start, head.end) == (len(ORDINARY), len(ORDINARY) + 2)
    assert by_h11(ORDINARY + b"{}") == (200, head.headers, b"{}", True)


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"HTTP/1.1", b"ICY"),
        (b"200 OK", b"100 Continue"),
        (b"200 OK", b"204 No Content"),
        (b"200 OK", b"304 Not Modified"),
        (b"200 OK", b"600 OK"),
        (b"200 OK", b"200 \xff"),
        (b"200 OK", b"2000 OK"),
        (b"Content-Length: 2", b"X: 2"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: 2, 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\ncontent-length: 3"),
        (b"Content-Length: 2", b"Content-Length: 1234567890"),
        (b"Content-Length: 2", b"Content-Length:"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nConnection: close"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nConnection: keep-alive, close"),
        (b"Content-Length: 2", b"Content-Length : 2"),
        (b"Content-Length: 2", b" Content-Length: 2"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a/b;\r\n c=d"),
        (b"Content-Type: a/b;c=d", b"Content-Type"),
        (b"Content-Type: a/b;c=d", b"Content-Type: \xc3\xa4"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\x00b"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\rb"),
        (b"Content-Type: a/b;c=d", b"Content-Type: a\nContent-Length: 1"),
        (b"Content-Type: a/b;c=d", b"X-AMZN-requestid: r-2"),
        (b"\r\n\r\n", b"\r\n"),
        (b"\r\n", b"\n"),
    ],
)
def test_any_other_head_is_not(part: bytes, instead: bytes) -> None:
    assert part in ORDINARY

    assert ordinary_head(ORDINARY.replace(part, instead) + b"{}") is None


def test_a_head_is_read_only_when_it_is_whole() -> None:
    assert all(ordinary_head(ORDINARY[:end]) is None for end in range(len(ORDINARY)))


def test_a_connection_that_is_kept_in_so_many_words_is_kept() -> None:
    kept = ORDINARY.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n") + b"{}"

    assert ordinary_head(kept) is not None
    assert by_h11(kept)[3]


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Content-Length: 3",
                b"content-length:1",
                b"Content-Length: 03",
                b"Transfer-Encoding: chunked",
                b"Connection: close",
                b"Connection:keep-alive",
                b"Date: Tue, 24 Nov 2026 03:15:00 GMT",
                b"X-Empty:",
                b"X-Blank: \t ",
                b" folded",
            ]
        ),
        st.builds(b"X-%b:%b".__mod__, st.tuples(st.binary(max_size=2), st.binary(max_size=4))),
        st.from_regex(rb"[A-Za-z!#~-]{1,4}:[ -~\t]{0,6}", fullmatch=True),
    ),
    max_size=5,
)
STARTS = st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.1 404 ", b"HTTP/1.1 500", b"HTTP/1.1 204 X", b"HTTP/1.0 200 OK"])


@given(start=STARTS, lines=LINES, rest=st.sampled_from([b"", b"abc", b"abcdef"]))
def test_what_is_ordinary_reads_as_it_does_in_h11(start: bytes, lines: list[bytes], rest: bytes) -> None:
    data = b"\r\n".join([start, *lines, b"Content-Length: 3", b"", rest])
    head = ordinary_head(data)
    if head is None or head.end > len(data):
        return

    assert by_h11(data) == (head.status, head.headers, data[head.start : head.end], True)


def test_a_request_is_what_h11_would_send() -> None:
    headers = [(b"Host", b"h:1"), (b"Content-Length", b"2"), (b"X-Amz-Date", b"now")]
    client = h11.Connection(h11.CLIENT)
    parts = client.send(h11.Request(method="POST", target="/", headers=headers)), client.send(h11.Data(data=b"{}"))

    assert request_bytes(b"POST / HTTP/1.1", headers, b"{}") == b"".join(part or b"" for part in parts)
