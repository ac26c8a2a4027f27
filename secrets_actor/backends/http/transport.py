"""THE door to httpx. One `Transport` a worker; many may share one `Tls`.

Rule 1: an exchange ends by its deadline, come what may; `close`, from any thread, ends it sooner.
Rule 2: only `SecretsError`s leave, without context: a library's error may quote a header, and so a token, or an answer.
Rule 3: through the proxy that it was given and no other, never a redirect, HTTP/1.1 only, and no retries in here.
Rule 4: an answer is whole, sound and asked for, or it is an error and the connection is closed: what is left on it can
        then answer no later request. A connection that something comes in on while it is idle is not used again.
Rule 5: what is logged, at DEBUG by the logger `secrets_actor.http`, is method, server, status and time of whole
        answers. No header, no path, no body, and no length of one, which may be that of a secret.

Why a transport of our own under httpx's requests and responses (`httpx.BaseTransport` is its public hook), and neither
its Client nor its pool: a worker has one connection only; only the holder of a socket can break it off from another
thread; and httpcore's time-outs are for each read alone. Why `request` beside the hook: to make a Request and a
Response costs as much as all the rest of an exchange (18 of 40 us), and the backends only want status, headers, body.
Both are the same path.
"""

import logging
import os
import ssl
import threading
from collections.abc import Iterable, Sequence
from typing import ClassVar, Final, cast

import httpx

from secrets_actor.backends.http.abortable_socket import READ_BYTES, AbortableSocket
from secrets_actor.backends.http.origin import Origin, SettingNames
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.backends.http.response_parser import ParsedAnswer, RefusedAnswer, ResponseParser
from secrets_actor.clock import now
from secrets_actor.domain.errors import (
    BackendTimeout,
    BodyReadFailed,
    ConfigurationError,
    InvalidAnswer,
    RequestFailed,
    SecretsError,
)
from secrets_actor.paths import expanded
from secrets_actor.small_files import is_marked, read
from secrets_actor.structs import Opaque

# Bytes. certifi's file, with all CAs of the world, has some 300 KiB.
MAX_BUNDLE: Final = 16 * 1024 * 1024
# Seconds an idle connection is kept. AWS closes idle ones itself; botocore keeps them for as long as they live.
KEEP_ALIVE: Final = 60.0
# Not signed: whoever stands between may change it.
_AS_IT_IS: Final = (b"Accept-Encoding", b"identity")
_PRINTABLE: Final = bytes(range(ord(" "), ord("~") + 1))
_VISIBLE: Final = _PRINTABLE[1:]
_LOG: Final = logging.getLogger("secrets_actor.http")


class HttpAnswer(Opaque):
    """An answer of any status. `headers` have names in small letters; a name that comes twice keeps its last value."""

    __slots__ = ("body", "headers", "status")
    SHOWN: ClassVar = ("status",)

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Tls:
    """One SSLContext for all connections of a backend, made when the first of them needs it: that takes some 25 ms.

    Trusts *ca_bundle* (a PEM file; `~` goes) and nothing else; without one, the CAs of certifi, or those that
    SSL_CERT_FILE or SSL_CERT_DIR name. *setting* is the setting that names the bundle, for errors.
    """

    def __init__(self, ca_bundle: str | None = None, setting: str = "the CA bundle") -> None:
        self._ca_bundle, self._setting = ca_bundle, setting
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context. Raises `ConfigurationError` when the CA bundle cannot be read."""
        with self._lock:
            if self._context is None:
                self._context = self._make()
            return self._context

    def _make(self) -> ssl.SSLContext:
        bundle, source = self._ca_bundle, self._setting
        problem = None if bundle is None else _objection(bundle)
        if bundle is None and os.environ.get("SSL_CERT_FILE"):
            source, problem = "SSL_CERT_FILE", _objection(os.environ["SSL_CERT_FILE"])
        try:
            if problem is None:
                if bundle is None:
                    context = httpx.create_ssl_context()
                else:
                    context = ssl.create_default_context(cafile=expanded(bundle))
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                return context
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            source = "SSL_CERT_FILE, SSL_CERT_DIR" if bundle is None else source
            problem = "it holds none"
        raise ConfigurationError((f"{source}: a readable file of CA certificates in PEM form; {problem}",))


def _objection(bundle: str) -> str | None:
    """What keeps OpenSSL from reading *bundle*, which it would wait for if it were a pipe, and whose first certificate
    it would pass over behind a byte order mark."""
    found = read(bundle, MAX_BUNDLE)
    if isinstance(found, bytes):
        return "it begins with a byte order mark: save it without" if is_marked(found) else None
    return "it is not there" if found is None else f"it {found}"


class Transport(httpx.BaseTransport):
    """HTTP to *origin* over one kept connection, through *proxy* if there is one. One thread at a time, except for
    `close`. *names* are those of the settings, for the remedies in errors."""

    def __init__(self, origin: Origin, tls: Tls, names: SettingNames, proxy: Proxy | None = None) -> None:
        self._origin, self._tls, self._names, self._name = origin, tls, names, origin.name
        self._socket = AbortableSocket(origin, names, proxy)
        # Clock seconds until which the connection can be used again; 0 when there is none.
        self._kept_until = 0.0

    def request(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, until: float, path: str = "/"
    ) -> HttpAnswer:
        """Send one request, as it is, and read its whole answer by *until* (clock seconds).

        *headers* must hold Host, and Content-Length where there is a body. Raises `ConnectionFailed`, `TlsFailed`,
        `RequestFailed`, `BodyReadFailed`, `BackendTimeout`, `InvalidAnswer` (too long, or not sound),
        `ConfigurationError` (CA bundle, proxy).
        """
        found = self._ask(method, path.encode(), (*headers, _AS_IT_IS), body, until)
        decoded = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.headers}
        return HttpAnswer(found.status, decoded, found.body)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request* and bring its answer, with its whole body: httpx's hook. The extension `deadline` (clock
        seconds) must be there, and an Accept-Encoding can only be `identity`. Raises as `request` does."""
        body = b"".join(cast("Iterable[bytes]", request.stream))
        found = self._ask(
            request.method, request.url.raw_path, request.headers.raw, body, request.extensions["deadline"]
        )
        return httpx.Response(found.status, headers=found.headers, stream=httpx.ByteStream(found.body))

    def hang_up(self) -> None:
        """Close the kept connection, if there is one: the next request has another. Not during a request."""
        self._kept_until = 0.0
        self._socket.disconnect()

    def close(self) -> None:
        """Give the connection up, for good. Any thread; a request under way then fails at once."""
        self._socket.abort()

    def _ask(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float
    ) -> ParsedAnswer:
        started = now()
        if deadline <= started:
            raise BackendTimeout(f"{self._name}: no time left to ask; allow more", endpoint=self._name)
        head = _head(method, target, headers)
        if head is None:
            text = f"{self._name}: a header, maybe a key, holds what cannot be sent; set the keys anew"
            raise RequestFailed(text, endpoint=self._name)
        self._socket.begin(deadline)
        try:
            found = self._exchange(method, head + body, deadline - started)
        finally:
            self._socket.end()
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("%s to %s: HTTP %d in %.1f ms", method, self._name, found.status, (now() - started) * 1000)
        return found

    def _exchange(self, method: str, sent: bytes, allowed: float) -> ParsedAnswer:
        parser, failure = ResponseParser(method), None
        try:
            self._connect()
            self._send_and_read(sent, parser)
            if parser.complete:
                answer = parser.answer()
                if not (answer.keeps_alive and self._kept_until):
                    self.hang_up()
                return answer
        except SecretsError as exc:
            failure = exc.clone()
        except RefusedAnswer as exc:
            failure = self._refused(exc)
        except TimeoutError:
            failure = BackendTimeout(f"{self._name}: no whole answer within {allowed:.3g} s", endpoint=self._name)
        except Exception:  # noqa: BLE001, S110  whatever it is, it must not leave: it may quote a header
            pass
        self.hang_up()
        raise failure or self._broken(parser.status is not None)

    def _connect(self) -> None:
        """Have a connection: the kept one if it can be used again, else a new one. Raises `ConnectionFailed`,
        `TlsFailed`, `ConfigurationError`, and `RefusedAnswer` for a server that answers before it is asked."""
        kept_until, self._kept_until = self._kept_until, 0.0
        if kept_until and now() < kept_until and not self._socket.is_readable():
            return
        self._socket.disconnect()
        self._socket.connect(self._tls.context() if self._origin.scheme == "https" else None)
        early = self._socket.read_now(READ_BYTES)
        if early:
            ResponseParser("").feed(early)  # it may be no HTTP at all: SSH and SMTP greet whoever connects
            raise RefusedAnswer("it came before the request")

    def _send_and_read(self, sent: bytes, parser: ResponseParser) -> None:
        """One exchange; not `complete` if the server hung up before. Raises `RefusedAnswer`, `OSError`."""
        whole = True
        try:
            self._socket.write(sent)
        except TimeoutError:
            raise
        except OSError:
            whole = False  # the server may have answered before it hung up: the read will tell
        while not parser.complete:
            data = self._socket.read(READ_BYTES)
            if not data:
                parser.end()
                return
            parser.feed(data)
        if whole:
            self._kept_until = now() + KEEP_ALIVE

    def _refused(self, refused: RefusedAnswer) -> SecretsError:
        if refused.is_http:
            return InvalidAnswer(f"{self._name}: the answer is not taken: {refused.text}; what answers there?")
        text = f"{self._name}: what answers there speaks no HTTP/1.1; check {self._names.endpoint_url}"
        return RequestFailed(text, endpoint=self._name)

    def _broken(self, answered: bool) -> SecretsError:
        if self._socket.aborted:
            text = f"{self._name}: the connection was given up during a request; ask again"
        elif answered:
            text = f"{self._name}: the answer began and broke off; try again"
        else:
            text = f"{self._name}: the connection broke before an answer began; try again"
        return (BodyReadFailed if answered else RequestFailed)(text, endpoint=self._name)


def _head(method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]) -> bytes | None:
    """A request up to its body; None if something in it would end a line, or is not ASCII."""
    lines = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), target), *map(b": ".join, headers)])
    # What is not printable is the line ends that were put in here, and nothing more.
    if lines.translate(None, _PRINTABLE) != b"\r\n" * len(headers) or target.translate(None, _VISIBLE):
        return None
    return lines + b"\r\n\r\n"
