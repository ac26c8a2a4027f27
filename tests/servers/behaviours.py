"""What a bad server does with a connection, and the gate that holds traffic until a test lets it go.

A behaviour is a frozen value; `FaultyServer` plays one for each connection. All take their time by waiting for the
server's end, so that no test outlives its server.
"""

import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from secrets_actor.clock import now as clock_now
from tests.servers.http_messages import Message, Stream, hang_up

GATE_SECONDS: Final = 30.0


class Connection(Protocol):
    """What a behaviour sees of the server: one accepted connection."""

    client: socket.socket
    ended: threading.Event

    def next_request(self) -> Message | None:
        """The next request, counted and kept by the server; None when the client has ended."""

    def adopt(self, upstream: socket.socket) -> None:
        """Hang *upstream* up too when the server ends or drops its connections."""


class Behaviour(Protocol):
    """What is done with one connection, from its acceptance to its end."""

    def serve(self, connection: Connection) -> None:
        """Play it. May raise `OSError`: the connection is over then."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer. With *read_first* the request is read (and counted), else not a byte of it."""

    read_first: bool = True

    def serve(self, connection: Connection) -> None:
        """Wait for the client to give up, or for the server's end."""
        if not self.read_first:
            connection.ended.wait()
        while self.read_first and connection.next_request() is not None:
            pass


@dataclass(frozen=True, slots=True)
class Reset:
    """End with RST: at once, or after the request was read."""

    read_first: bool = True

    def serve(self, connection: Connection) -> None:
        """Reset the connection."""
        if self.read_first:
            connection.next_request()
        connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.client.close()


@dataclass(frozen=True, slots=True)
class HangUp:
    """Read a request, then end in good order without an answer: what a stale kept-alive connection does."""

    def serve(self, connection: Connection) -> None:
        """End after the first request."""
        connection.next_request()


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer every request alike. *sent* cuts the body: the length promised is the whole body's.

    *drip* > 0 sends one byte each that many seconds. *last* closes after the first answer.
    """

    body: bytes = field(default=b"{}", repr=False)
    status: int = 200
    content_type: str = "application/x-amz-json-1.1"
    headers: tuple[tuple[str, str], ...] = ()
    sent: int | None = None
    drip: float = 0.0
    last: bool = False

    def serve(self, connection: Connection) -> None:
        """Answer until the client ends."""
        while connection.next_request() is not None:
            self.reply(connection)
            if self.last or self.sent is not None:
                return

    def reply(self, connection: Connection) -> None:
        """Answer one request, which was read."""
        connection.client.sendall(self._head())
        self._send_body(connection)

    def _head(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} Answer",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def _send_body(self, connection: Connection) -> None:
        body = self.body[: self.sent]
        if not self.drip:
            connection.client.sendall(body)
            return
        for one in body:
            connection.client.sendall(bytes([one]))
            if connection.ended.wait(self.drip):
                return


@dataclass(frozen=True, slots=True)
class Receipt:
    """Answer every write with *content* and, as its VersionId, the token that came with it, as AWS does. *last* closes
    after the first."""

    content: dict[str, Any]
    last: bool = False

    def serve(self, connection: Connection) -> None:
        """Answer until the client ends."""
        while (request := connection.next_request()) is not None:
            body = json.dumps(self.content | {"VersionId": json.loads(request.body)["ClientRequestToken"]}).encode()
            connection.client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            if self.last:
                return


def answer_json(content: Any, status: int = 200, **more: Any) -> Answer:
    """A well-formed answer: *content* as JSON 1.1."""
    return Answer(json.dumps(content).encode(), status, **more)


def aws_error(code: str, status: int = 400, text: str = "no", **more: Any) -> Answer:
    """A refusal in AWS's shape."""
    return answer_json({"__type": code, "message": text}, status, **more)


def html_500(body: bytes = b"<!doctype html><html><body><h1>Internal Server Error</h1></body></html>") -> Answer:
    """A page for people where a program expects JSON."""
    return Answer(body, 500, "text/html; charset=utf-8")


def empty_body(status: int = 200) -> Answer:
    """Headers, and nothing more."""
    return Answer(b"", status)


def half_json(content: Any = None, status: int = 200) -> Answer:
    """A complete answer whose JSON is cut in the middle."""
    whole = json.dumps(content if content is not None else {"Name": "a", "SecretString": "never-show-this"}).encode()
    return Answer(whole[: len(whole) // 2], status)


def half_body(content: Any = None, status: int = 200) -> Answer:
    """An answer that promises a length and ends after half of it."""
    whole = json.dumps(content if content is not None else {"Name": "a", "SecretString": "never-show-this"}).encode()
    return Answer(whole, status, sent=len(whole) // 2)


class Gate:
    """Holds messages while it is shut. *only*: hold requests that contain these bytes (such as b"GetSecretValue") and
    let the others pass. *before*: hold a request before the upstream server sees it, rather than its answer."""

    def __init__(self, *, only: bytes = b"", before: bool = False) -> None:
        self._only, self.before = only, before
        self._changed = threading.Condition()
        self._open, self._passes, self._held, self._ended = False, 0, 0, False

    @property
    def held(self) -> int:
        """How many messages it holds now."""
        with self._changed:
            return self._held

    def wait_until_held(self, count: int = 1, timeout: float = GATE_SECONDS) -> None:
        """Return when *count* messages are held. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held >= count, timeout):
                raise TimeoutError(f"the gate holds {self._held} messages after {timeout:g} s, not {count}")

    def open(self) -> None:
        """Let all go, and all that come."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def let_one_pass(self) -> None:
        """Let one message go; the next one that comes if none is held."""
        with self._changed:
            self._passes += 1
            self._changed.notify_all()

    def shut(self) -> None:
        """Hold again what comes from now on."""
        with self._changed:
            self._open, self._passes = False, 0

    def end(self) -> None:
        """The server ends: nobody waits here any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def pass_through(self, request: Message) -> None:
        """Wait until *request* or its answer may go on. Raises `ConnectionError` when the server ends, and after
        `GATE_SECONDS`, so that a forgotten gate hangs nobody."""
        if self._only not in request.raw:
            return
        deadline = clock_now() + GATE_SECONDS
        with self._changed:
            self._held += 1
            self._changed.notify_all()
            try:
                free = self._changed.wait_for(lambda: self._open or self._passes or self._ended, deadline - clock_now())
                if self._ended or not free:
                    raise ConnectionAbortedError("held until the end")
                if not self._open:
                    self._passes -= 1
            finally:
                self._held -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()


@dataclass(frozen=True, slots=True)
class Forward:
    """Pass requests on to the server at *port* and its answers back, through *gate* if there is one. The client's
    `Host` stays, so that a signature still verifies. *change* puts the second bytes in place of the first in every
    request, as somebody on the way might; of equal length, for the length stated stays."""

    port: int
    gate: Gate | None = None
    change: tuple[bytes, bytes] | None = field(default=None, repr=False)

    def serve(self, connection: Connection) -> None:
        """Forward until one side ends."""
        upstream = socket.create_connection(("127.0.0.1", self.port), timeout=GATE_SECONDS)
        connection.adopt(upstream)
        try:
            answers = Stream(upstream)
            while (request := connection.next_request()) is not None:
                if self.gate is not None and self.gate.before:
                    self.gate.pass_through(request)
                upstream.sendall(request.raw.replace(*self.change) if self.change else request.raw)
                answer = answers.response()
                if self.gate is not None and not self.gate.before:
                    self.gate.pass_through(request)
                connection.client.sendall(answer.raw)
        finally:
            hang_up(upstream)
