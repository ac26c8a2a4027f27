"""What goes over one socket, exchange by exchange: a request whole, and its answer if that is ordinary.

Rule 1: what is written waits for the read that follows every request: one packet for headers and body, not two.
Rule 2: what was read of an answer that is not ordinary is kept, and read again by whoever understands it.
Rule 3: it fails as the wire does, with `TimeoutError` and `OSError`.
"""

import contextlib
import socket
from typing import Final

from secrets_actor.backends.aws.ordinary import Head, ordinary_head
from secrets_actor.backends.aws.wire import Wire

READ_BYTES: Final = 65_536


class Packets:
    """One connected socket. One thread at a time."""

    def __init__(self, wire: Wire, used: socket.socket) -> None:
        self._wire, self._socket = wire, used
        self.begin()

    def begin(self) -> None:
        """Another exchange begins."""
        self._waiting: list[bytes] = []  # to be sent
        self._ahead: list[bytes] = []  # to be read again
        self._asked = False

    def ask(self, request: bytes, max_body: int) -> tuple[Head, bytes, bool] | None:
        """Send *request*: the head and the body of its answer, and whether nothing came after it.

        None if the answer is not ordinary, is longer than *max_body* or breaks off: then `read` begins with it anew,
        and what is written is taken for the same request and not sent again.
        """
        self._waiting.append(request)
        ahead = [self.read(READ_BYTES)]
        self._ahead, self._asked = ahead, True
        head = ordinary_head(ahead[0])
        if head is None or head.end - head.start > max_body:
            return None
        missing = head.end - len(ahead[0])
        while missing > 0:
            more = b""
            with contextlib.suppress(OSError):  # who reads on finds out
                more = self._wire.read(self._socket, READ_BYTES)
            if not more:
                return None
            ahead.append(more)
            missing -= len(more)
        self._ahead = []
        return head, b"".join(ahead)[head.start : head.end], not missing

    def write(self, data: bytes) -> None:
        """Have *data* sent with the next read."""
        if not self._asked:
            self._waiting.append(data)

    def read(self, max_bytes: int) -> bytes:
        """What has come, up to *max_bytes*; nothing at the end."""
        if self._ahead:
            return self._ahead.pop(0)
        if self._waiting:
            self._send()
        return self._wire.read(self._socket, max_bytes)

    def _send(self) -> None:
        whole = b"".join(self._waiting)
        self._waiting.clear()
        try:
            self._wire.write(self._socket, whole)
        except TimeoutError:
            raise
        except OSError:
            pass  # the server may have answered before it hung up: the read will tell

    def is_readable(self) -> bool:
        """Whether something came while it was idle: then the server has closed it."""
        return self._wire.is_readable(self._socket)

    def close(self) -> None:
        """Close the socket."""
        self._wire.release(self._socket)
