"""HTTP/1.1 messages read off a socket as the bytes they are, so that they can be counted, held and passed on."""

import contextlib
import re
import socket
from dataclasses import dataclass

_LENGTH = re.compile(rb"^content-length:[ \t]*(\d+)[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb"^transfer-encoding:[ \t]*chunked[ \t]*\r$", re.IGNORECASE | re.MULTILINE)
_BODILESS = re.compile(rb"HTTP/1\.[01] (1\d\d|204|304) ")


class Broken(ConnectionError):
    """The other side ended in the middle of a message."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: everything up to the empty line, and the body as it was sent."""

    head: bytes
    body: bytes

    @property
    def raw(self) -> bytes:
        """All of its bytes."""
        return self.head + self.body


class Stream:
    """Messages of one side of a connection, one after the other."""

    def __init__(self, source: socket.socket) -> None:
        self._source, self._ahead = source, b""

    def request(self) -> Message | None:
        """The next request; None when the other side has ended between two. Raises `Broken`, `OSError`."""
        head = self._head()
        return None if head is None else Message(head, self._body(head, to_the_end=False))

    def response(self) -> Message:
        """The next response. Raises `Broken`, `OSError`."""
        head = self._head()
        if head is None:
            raise Broken("the upstream server ended without an answer")
        if _BODILESS.match(head):
            return Message(head, b"")
        return Message(head, self._body(head, to_the_end=True))

    def _more(self) -> bool:
        got = self._source.recv(65536)
        self._ahead += got
        return bool(got)

    def _head(self) -> bytes | None:
        while b"\r\n\r\n" not in self._ahead:
            if not self._more():
                if self._ahead:
                    raise Broken("ended inside the headers")
                return None
        return self._take(self._ahead.index(b"\r\n\r\n") + 4)

    def _body(self, head: bytes, *, to_the_end: bool) -> bytes:
        if _CHUNKED.search(head):
            return self._chunks()
        stated = _LENGTH.search(head)
        if stated:
            return self._exactly(int(stated[1]))
        if to_the_end:
            while self._more():
                pass
            return self._take(len(self._ahead))
        return b""

    def _chunks(self) -> bytes:
        body = b""
        while True:
            line = self._line()
            size = int(line.split(b";")[0], 16)
            body += line
            if size:
                body += self._exactly(size + 2)
                continue
            while line != b"\r\n":  # trailers, then the empty line
                line = self._line()
                body += line
            return body

    def _line(self) -> bytes:
        while b"\r\n" not in self._ahead:
            self._need_more()
        return self._take(self._ahead.index(b"\r\n") + 2)

    def _exactly(self, size: int) -> bytes:
        while len(self._ahead) < size:
            self._need_more()
        return self._take(size)

    def _need_more(self) -> None:
        if not self._more():
            raise Broken("ended inside the body")

    def _take(self, size: int) -> bytes:
        taken, self._ahead = self._ahead[:size], self._ahead[size:]
        return taken


def hang_up(connection: socket.socket) -> None:
    """End *connection* so that a thread blocked on it wakes, and its peer sees the end."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
