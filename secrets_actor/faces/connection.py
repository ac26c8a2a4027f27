"""One connection of a listener: HTTP/1.1, with limits, deadlines and refusals. THE door to uvicorn and httptools.

uvicorn's protocol parses requests (by llhttp) and writes answers. What is added here: who is at the other end, what is
refused, and when something has taken too long.

Rule 1: a request reaches the faces whole, or not at all. All that may be refused of it as HTTP is refused here, with a
        status, and counted: what is too long, too slow, too much, or could be read in two ways.
Rule 2: answers leave in the order of the requests of a connection, a refusal too. After a refusal the connection ends:
        what follows on it can no longer be told apart from the rest of what was refused.
Rule 3: a refusal is read by its client. A connection that is closed while unread bytes wait is reset, and the answer
        may be lost with it. So the server first closes its own half, and reads on for a moment.
Rule 4: a connection has no timer. It has a moment at which its present phase is over, and the server looks at all of
        them. A timer for each request would cost a tenth of a cached get.
Rule 5: what is kept for one connection has a bound: the head, the body, and what is read ahead while a request is under
        way. A client that sends many requests at once has them parsed in small parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import httptools
from msgspec import Struct
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from secrets_actor.clock import now
from secrets_actor.faces.exchange import Request, Response
from secrets_actor.faces.identity import Peer
from secrets_actor.faces.peer import Caller, caller_at, host_at, name_in

if TYPE_CHECKING:
    from secrets_actor.faces.server import Server

# Bytes that the parser is given at a time (rule 5). A request of an SDK has about a thousand.
_PART: Final = 2048
# Seconds for which a client may read a refusal, and the bytes that it may send meanwhile (rule 3).
LINGER: Final = 1.0
_LINGER_BYTES: Final = 1 << 20
_TEXT: Final = (("content-type", "text/plain; charset=utf-8"),)


class Limits(Struct, frozen=True):
    """The limits of one listener. Seconds and bytes.

    *connections*: at a time, in all; fewer, if the process may not have so many descriptors. *per_peer*: of one user or
    one IP address, at all listeners of the process together; the rest is for others. *head_seconds*:
    for a request's head, from its first byte (on a new connection: from the connect). *idle_seconds*: between two
    requests. *request_seconds*: from the end of the head to the end of the answer, unless that is a stream.
    *head_bytes*: of method, path, query and headers together. *body_bytes*: AWS takes no secret above 64 KiB; as JSON
    with escapes, that is less than 256 KiB unless each character is escaped.
    """

    connections: int = 800
    per_peer: int = 400
    head_seconds: float = 5.0
    idle_seconds: float = 75.0
    request_seconds: float = 61.0
    head_bytes: int = 65_536
    headers: int = 100
    body_bytes: int = 262_144


class Refusal(Struct, frozen=True):
    """An answer that the server gives itself. *reason* is its word in the metrics."""

    status: int
    reason: str
    text: str
    headers: tuple[tuple[str, str], ...] = _TEXT


_BAD: Final = Refusal(400, "bad_request", "This is no valid HTTP/1.1 request.")
_BAD_FRAMING: Final = Refusal(400, "bad_framing", "The length of the body is not clear.")
_BAD_HOST: Final = Refusal(400, "bad_host", "One Host header is needed.")
_BAD_TARGET: Final = Refusal(400, "bad_target", "The target of a request is a path.")
_UPGRADE: Final = Refusal(400, "upgrade", "This server speaks HTTP/1.1 only.")
_EXPECTATION: Final = Refusal(417, "expectation", "Only 100-continue can be expected.")
_LONG_HEAD: Final = Refusal(431, "long_head", "The head of the request is too long, or has too many headers.")
_LONG_BODY: Final = Refusal(413, "long_body", "The body of the request is too long.")
_SLOW_HEAD: Final = Refusal(408, "slow_head", "The head of the request took too long.")
_SLOW_BODY: Final = Refusal(408, "slow_body", "The body of the request took too long.")
_CROWDED: Final = Refusal(
    429,
    "connections",
    "Connection limit exceeded: close connections, or ask again later.",
    (*_TEXT, ("retry-after", "1")),
)
_LATE: Final = Refusal(504, "late", "The request took too long.")
_FAILED: Final = Refusal(500, "failed", "Internal error.")
_VERSION: Final = Refusal(505, "version", "This server speaks HTTP/1.1.")


class Connection(HttpToolsProtocol):
    """One connection. Its phases: head, request, idle, refused. `due` is the moment at which the present one ends."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server.config, server.state, app_state={}, _loop=loop)
        # A parser of our own, because uvicorn lets its own take bytes after a request that closes the connection.
        self.parser = httptools.HttpRequestParser(self)
        self.logger: Any = server.reported
        self.access_log = False
        self._server = server
        self._limits = server.limits
        self.due = 0.0
        self.counted: object = None  # who it is counted for; None: it is over the limit
        self._peer: Peer | Caller | None = None
        self._running: Any = None  # uvicorn's cycle of the request that is answered next; `cycle` is the newest one's
        self._task: asyncio.Task[None] | None = None
        self._refusal: Refusal | None = None
        self._refused = False  # the refusal was written
        self._late = False
        self._streams = False
        self._in_head = False
        self._ahead = b""  # bytes that were read while enough requests waited
        self._head = 0  # bytes of the head that the parser has told
        self._silent = 0  # bytes since it has told anything
        self._body = 0
        self._lingered = 0

    # --- the connection -------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        server, connection = self._server, transport.get_extra_info("socket")
        if connection.family == socket.AF_UNIX:
            caller = caller_at(connection)
            self._peer = caller
            whom: object = None if caller is None else caller.uid
        else:
            address = host_at(connection)
            self._peer = Peer(address=address, certificate=name_in(transport.get_extra_info("peercert")))
            whom = None if address is None else address.rpartition(":")[0]
        if self._peer is None or whom is None:
            transport.abort()  # it has gone already
            return
        self.due = now() + self._limits.head_seconds
        if server.admits(whom):
            self.counted = whom
        elif len(self.connections) > 2 * server.most:  # too many even to be told so
            server.count(_CROWDED)
            transport.abort()
        else:
            self.due = now() + LINGER  # the client sends a request first: else it would not expect an answer

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._server.gone(self)
        self._ahead = b""
        if self._task is not None:
            self._task.cancel()  # nobody waits for the answer any more

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's own; uvicorn has narrowed it to None
        """The client has closed its half. If it has sent a whole request before, it still gets the answer. A stream
        ends: from here, a client that has gone looks the same."""
        if self._refused or self._streams or not self._answering or self._running.more_body or self.scheme == "https":
            return False
        self.cycle.keep_alive = False
        return True

    @property
    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    # --- what comes in --------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.transport.abort()
        elif self.counted is None:
            self._refuse(_CROWDED)
        elif self._ahead or self.pipeline or self._refusal is not None:
            if self._refusal is None:
                self._ahead += data
            self.flow.pause_reading()
        else:
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        for start in range(0, len(data), _PART):
            part = data if len(data) <= _PART else data[start : start + _PART]
            self._silent += len(part)
            try:
                self.parser.feed_data(part)
            except httptools.HttpParserUpgrade:
                self._refuse(_UPGRADE)
            except httptools.HttpParserError:  # ours, which were raised in a callback, are this one, too
                self._refuse(self._refusal or _BAD, anew=True)
            if self._refusal is None and self._silent + self._head > self._limits.head_bytes + _PART:
                self._refuse(_LONG_HEAD)
            if self._refusal is not None:
                return
            if self.pipeline and start + _PART < len(data):
                self._ahead = data[start + _PART :]
                self.flow.pause_reading()
                return

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["connection"] = self  # type: ignore[typeddict-unknown-key]
        self._in_head, self._head, self._silent, self._body = True, 0, 0, 0
        if not self._answering:
            self.due = now() + self._limits.head_seconds

    def on_url(self, url: bytes) -> None:
        self._told(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._told(len(name) + len(value) + 4)
        if len(self.headers) >= self._limits.headers:
            self._raise(_LONG_HEAD)
        if self._in_head:  # else it is a trailer, which must not pass for a header
            super().on_header(name, value)

    def _told(self, length: int) -> None:
        self._head += length
        self._silent = 0
        if self._head > self._limits.head_bytes:
            self._raise(_LONG_HEAD)

    def on_headers_complete(self) -> None:
        found = self._problem()
        if found is not None:
            self._raise(found)
        super().on_headers_complete()
        self._in_head = False
        # The lowest version of uvicorn that we take looks for `Connection: close` only in the `send` that we go past.
        if self._server.drains or not self.parser.should_keep_alive():
            self.cycle.keep_alive = False
        if not self.pipeline:
            self._running = self.cycle
            self.due = now() + self._limits.request_seconds

    def _problem(self) -> Refusal | None:
        """Return why the request is refused by its head; None if it is not."""
        hosts, length, coded = 0, None, False
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                length = value
            elif name == b"transfer-encoding":
                if coded or value.lower() != b"chunked":
                    return _BAD_FRAMING
                coded = True
            elif name == b"expect" and not self.expect_100_continue:
                return _EXPECTATION
        version = self.parser.get_http_version()
        old = version == "1.0"
        if not old and version != "1.1":
            return _VERSION
        if coded and (old or length is not None):  # RFC 9112, 6.1
            return _BAD_FRAMING
        if hosts != 1 and not (old and hosts == 0):  # RFC 9112, 3.2
            return _BAD_HOST
        if self.parser.should_upgrade() and self._get_upgrade() in (None, b"websocket"):
            return _UPGRADE
        if not self.url.startswith(b"/"):
            return _BAD_TARGET
        return _LONG_BODY if length is not None and int(length) > self._limits.body_bytes else None

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        self._body += len(body)
        if self._body > self._limits.body_bytes:
            self._raise(_LONG_BODY)
        super().on_body(body)

    def _raise(self, refusal: Refusal) -> None:
        """Have the parser stop, which takes no other no."""
        self._refusal = refusal
        raise ValueError(refusal.reason)

    # --- answers --------------------------------------------------------------------------------------------------

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request: an ASGI application."""
        cycle = receive.__self__  # uvicorn's; one call of `receive` for each request would let it read ahead (rule 5)
        self._task = asyncio.current_task()
        try:
            body = bytes(cycle.body) if not cycle.more_body else await _whole(receive)
            if body is None:
                return
            peer = self._peer
            if not isinstance(peer, Peer):
                self._peer = peer = await self._server.names.find(peer)  # type: ignore[arg-type]  # one that is admitted
            response = await self._server.handle(
                Request(
                    scope["method"],
                    scope["raw_path"].decode("ascii"),
                    scope["query_string"].decode("latin-1"),
                    tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]),
                    body,
                    peer,
                    self._server.address,
                    self._server.clock.now() + self._limits.request_seconds,
                )
            )
        except asyncio.CancelledError:
            if not self._late:
                return  # it was refused, or the client has gone
            response = self._own(_LATE)
        except BaseException as error:  # noqa: BLE001  # SystemExit, too, is only this request's
            self._server.failed(error)
            response = self._own(_FAILED)
        try:
            await self._write(cycle, scope, send, response)
        except Exception as error:  # noqa: BLE001  # such as a header that cannot be one: nothing has left yet
            self._server.failed(error)
            cycle.response_started, cycle.chunked_encoding = False, None
            await self._write(cycle, scope, send, self._own(_FAILED))
        except asyncio.CancelledError:  # the client has gone, or does not read the answers to what it has sent before
            self.transport.abort()
        finally:
            self._task = None

    def _own(self, refusal: Refusal) -> Response:
        self._server.count(refusal)
        self._running.keep_alive = False
        return Response(refusal.status, refusal.headers, refusal.text.encode())

    async def _write(self, cycle: Any, scope: Any, send: Any, response: Response) -> None:
        if response.stream is not None and scope["http_version"] == "1.0":
            await _end(response.stream)
            response = self._own(_VERSION)
        stream = response.stream
        if stream is None:
            await self._write_whole(cycle, scope, response)
            return
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        if not cycle.keep_alive:  # the lowest version of uvicorn that we take does not say so itself
            headers.append((b"connection", b"close"))
        self._streams, self.due = True, _NEVER
        try:
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            if response.body:
                await send({"type": "http.response.body", "body": response.body, "more_body": True})
            if not self._server.drains:
                async for part in stream:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                    if self._server.drains or cycle.disconnected:
                        break
        except asyncio.CancelledError:
            pass  # the client has gone, or the listener drains
        except BaseException as error:  # noqa: BLE001
            self._server.failed(error)
            self.transport.abort()  # an end that looks like an end would be a lie
        finally:
            self._streams = False
            await _end(stream)
        self._server.answered += 1
        await send({"type": "http.response.body", "body": b""})

    async def _write_whole(self, cycle: Any, scope: Any, response: Response) -> None:
        """Write an answer that is whole, head and body at once, and tell uvicorn that it was written. Its own `send`
        takes them one by one, and looks in each for what no header may have: with its timer a sixth of a cached
        get, and one more system call, which wakes the client twice. Raises `ValueError` before anything has left."""
        if self.flow.write_paused and not cycle.disconnected:
            await self.flow.drain()
        if cycle.disconnected:
            return
        status, body, lines = response.status, response.body, [f"{name}: {value}" for name, value in response.headers]
        if status not in _BODILESS:
            lines.append(f"content-length: {len(body)}")
        if not "".join(lines).isprintable():
            raise ValueError("a header that HTTP does not carry")
        if not cycle.keep_alive:
            lines.append("connection: close")
        date = b"".join([b"%b: %b\r\n" % one for one in self.server_state.default_headers])
        first, head = STATUS_LINE[status], "\r\n".join([*lines, "", ""]).encode("latin-1")
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        self._server.answered += 1  # first: whoever has read the answer finds it counted
        self.transport.write(b"".join((first, date, head, b"" if scope["method"] == "HEAD" else body)))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def on_response_complete(self) -> None:
        if self.pipeline:
            self._running = self.pipeline[-1][0]
        if self.transport.is_closing():
            return
        # As uvicorn does it, but for its timer (rule 4).
        if self.pipeline:
            cycle, application = self.pipeline.pop()
            task = self.loop.create_task(cycle.run_asgi(application))
            task.add_done_callback(self.tasks.discard)
            self.tasks.add(task)
        if self.pipeline or self._ahead or self._answering:
            self.flow.pause_reading()
        if self._answering:
            self.due = now() + self._limits.request_seconds
        elif self._refusal is not None:
            self._send_refusal()
        else:
            ahead, self._ahead = self._ahead, b""
            self.due = now() + (self._limits.head_seconds if self._in_head else self._limits.idle_seconds)
            if ahead:
                self._parse(ahead)
            if not self._ahead:
                self.flow.resume_reading()

    def pause_writing(self) -> None:
        super().pause_writing()
        # A client that does not read holds a stream no longer than that.
        self.due = now() + self._limits.request_seconds

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._streams:
            self.due = _NEVER

    # --- refusals and ends ----------------------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal, anew: bool = False) -> None:
        """Refuse what comes in, when all before it is answered (rule 2)."""
        if self._refusal is not None and not anew:
            return
        self._refusal = refusal
        self._ahead = b""
        if self._answering and self.cycle.more_body and not self.pipeline and not self.cycle.response_started:
            self._mute()  # it is the body of this request that is refused
        elif self._answering and self.cycle.more_body and self.pipeline:
            self.pipeline.popleft()  # it is that of the newest of several
            self.cycle = self.pipeline[0][0] if self.pipeline else self._running
        if self._answering and not self._running.disconnected:
            self.flow.pause_reading()
        else:
            self._send_refusal()

    def _mute(self) -> None:
        """Let the request under way have no answer but the refusal."""
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        if self._task is not None:
            self._task.cancel()

    def _send_refusal(self) -> None:
        refusal = self._refusal or _BAD
        self._refused = True
        self._server.count(refusal)
        body = refusal.text.encode()
        lines = [f"{name}: {value}" for name, value in refusal.headers]
        head = "\r\n".join(
            [f"HTTP/1.1 {refusal.status} {_REASONS[refusal.status]}", *lines, f"content-length: {len(body)}", *_CLOSE]
        )
        self.transport.write(head.encode() + body)
        if self.transport.can_write_eof():  # rule 3; TLS has no half of a connection to close
            self.transport.write_eof()
        self.flow.resume_reading()
        self.due = now() + LINGER

    def over(self, moment: float) -> None:
        """End the present phase, whose time is over at *moment*."""
        if self.transport.is_closing():
            self.due = moment + LINGER
            self.transport.abort()
        elif self._refused:
            self.transport.close()
        elif self.counted is None:
            self._refuse(_CROWDED)
        elif self._answering:
            if self._running.more_body and not self._running.response_started:
                self._refuse(_SLOW_BODY)
            elif self._running.response_started or self._late:
                self.transport.abort()  # the client does not read its answer, or the face does not give in
            else:
                self._late, self.due = True, moment + LINGER
                if self._task is not None:
                    self._task.cancel()
        elif self._in_head:
            self._refuse(_SLOW_HEAD)
        else:
            self.transport.close()

    def drain(self) -> None:
        """End when the request under way is answered; at once, if there is none."""
        if self._streams:
            self.cycle.keep_alive = False
            if self._task is not None:
                self._task.cancel()
        elif self._answering:
            self.cycle.keep_alive = False
        elif not self._in_head and not self._refused:
            self.transport.close()

    def abandon(self) -> None:
        """End at once."""
        self.transport.abort()

    def cut(self) -> None:
        """Shut the connection down. Called in another thread, when the loop hangs."""
        with contextlib.suppress(OSError, AttributeError):  # it was closed meanwhile, or has not begun
            self.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)


# Statuses without a body, and without a length of it (RFC 9110, 8.6).
_BODILESS: Final = frozenset({204, 304})
_NEVER: Final = float("inf")
_CLOSE: Final = ("connection: close", "", "")
_REASONS: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    413: "Content Too Large",
    417: "Expectation Failed",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}


async def _whole(receive: Callable[[], Awaitable[Any]]) -> bytes | None:
    """Return the whole body; None if the client has gone before its end."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        if not message["more_body"]:
            return body


async def _end(stream: Any) -> None:
    """Close *stream*, if it can be closed."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await close()


async def _application(scope: Any, receive: Any, send: Any) -> None:
    await scope["connection"].answer(scope, receive, send)


def configuration() -> Config:
    """Return what uvicorn's protocol is to know. Nothing of it touches the host's loggers."""
    config = Config(
        _application, http=HttpToolsProtocol, loop="asyncio", lifespan="off", workers=1, ws="none", interface="asgi3",
        log_config=None, access_log=True, proxy_headers=False, server_header=False, date_header=False,
    )  # fmt: skip
    config.load()
    return config
