"""THE door to httpx (and to httpcore below it). One `Transport` a worker; many may share one `Tls`.

Rule 1: an exchange ends by its deadline, come what may; `close`, from any thread, ends it sooner.
Rule 2: only `SecretsError`s leave, without context: a library's error may quote a header, and so a token, or an answer.
        httpcore logs such an error at DEBUG: a header that could not be sent is refused before it gets there, and what
        it says of answers is cut short by `discretion`.
Rule 3: through the proxy that it was given and no other, never a redirect, HTTP/1.1 only, and no retries in here.
Rule 4: a body is read to its end or not at all, and up to `MAX_BODY` bytes. It is asked for as it is; one that somebody
        on the way has compressed all the same is unpacked, for an error in it has a name, too.

Why a transport of our own under httpx's requests and responses (`httpx.BaseTransport` is its public hook), and neither
its Client nor its pool: a worker has one connection only, and a POST that is answered as nearly all are costs a third
of what it costs through httpcore. Whatever is not ordinary is left to httpcore, and so is all, as it tells each step,
where its DEBUG log is on. Why our own stream (httpcore's public hook): only who holds the socket can break it off from
another thread, and httpcore's time-outs are for each read alone.
"""

import contextlib
import logging
import os
import re
import ssl
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, cast

import httpcore

from secrets_actor.backends.aws.discretion import LOGGERS, here, watch
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.ordinary import request_bytes
from secrets_actor.backends.aws.packets import Packets
from secrets_actor.backends.aws.proxy import Proxy
from secrets_actor.backends.aws.sparing import leaving_out
from secrets_actor.backends.aws.wire import Wire
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
from secrets_actor.records import dataclass, field
from secrets_actor.small_files import is_marked, read

# httpx's command line brings click, rich and pygments along where they are installed: more than half of its import.
with leaving_out("httpx._main"):
    import httpx

# Bytes. A full page of a list is 100 entries of some 5 KiB at most; a value has 64 KiB, escaped six times that.
MAX_BODY: Final = 8 * 1024 * 1024
# Bytes. certifi's file, with all CAs of the world, has some 300 KiB.
MAX_BUNDLE: Final = 16 * 1024 * 1024
# Seconds an idle connection is kept. AWS closes idle ones itself; botocore keeps them for as long as they live.
KEEP_ALIVE: Final = 60.0
# Not signed: whoever stands between may change it.
_AS_IT_IS: Final = (b"Accept-Encoding", b"identity")
# RFC 9110, 8.4.1: those of zlib, by their names.
_CODINGS: Final = frozenset({"gzip", "x-gzip", "deflate"})
_SENDABLE: Final = re.compile(rb"[ -~]*")
_LOG: Final = logging.getLogger(LOGGERS[-1])


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of any status. `headers` have names in small letters; a name that comes twice keeps its last value."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Tls:
    """One SSLContext for all workers of a kit, made when the first connection needs it: that takes some 25 ms.

    Trusts *ca_bundle* (a PEM file; `~` goes) and nothing else; without one, the CAs of certifi, or those that
    SSL_CERT_FILE or SSL_CERT_DIR name. *setting* is who names the bundle.
    """

    def __init__(self, ca_bundle: str | None = None, setting: str = "aws.ca_bundle") -> None:
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


class Transport:
    """HTTP to one endpoint over one kept connection, through *proxy* if there is one. One thread at a time, except for
    `close`."""

    def __init__(self, endpoint: Endpoint, tls: Tls, proxy: Proxy | None = None) -> None:
        watch()
        self._name = endpoint.name
        self._host, self._port, self._secure, self._tls = endpoint.host, endpoint.port, endpoint.scheme == "https", tls
        self._url = httpx.URL(scheme=endpoint.scheme, host=endpoint.host, port=endpoint.port, path="/")
        # A host is ASCII: `parse_url` and `endpoint_for` let no other through.
        self._origin = httpcore.Origin(endpoint.scheme.encode(), endpoint.host.encode(), endpoint.port)
        self._wire = Wire(endpoint.name, proxy)
        self._connection: _Connection | None = None

    def request(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, until: float, path: str = "/"
    ) -> HttpAnswer:
        """Send one request, as it is, and read its whole answer by *until* (clock seconds).

        *headers* must hold Host, and Content-Length where there is a body. Raises `ConnectionFailed`, `TlsFailed`,
        `RequestFailed`, `BodyReadFailed`, `BackendTimeout`, `InvalidAnswer` (too long), `ConfigurationError` (CA).
        """
        started = now()
        if until <= started:
            raise BackendTimeout(f"{self._name}: no time left to ask; allow more", endpoint=self._name)
        if _SENDABLE.fullmatch(b"".join(chain.from_iterable(headers))) is None:
            raise RequestFailed(
                f"{self._name}: a header, maybe a key, holds what cannot be sent; set the keys anew",
                endpoint=self._name,
            )
        self._wire.begin(until)
        here.in_exchange = True
        headers = (*headers, _AS_IT_IS)
        try:
            sent, target = httpx.ByteStream(body), {"target": path.encode()}
            request = httpx.Request(method, self._url, headers=headers, stream=sent, extensions=target)
            return self._exchange(request, until - started)
        finally:
            here.in_exchange = False
            self._wire.end()

    def hang_up(self) -> None:
        """Close the kept connection, if there is one: the next request has another. Not during a request."""
        kept, self._connection = self._connection, None
        if kept is not None:
            kept.close()

    def close(self) -> None:
        """Give the connection up, for good. Any thread; a request under way then fails at once."""
        self._wire.abandon()

    def _exchange(self, request: httpx.Request, allowed: float) -> HttpAnswer:
        response, failure = None, None
        try:
            response = self._connected().handle_request(request)
            found, body = _headers(response), _read(cast("Iterable[bytes]", response.stream))
            if body is not None and "content-encoding" in found:
                body = _unpacked(body, found["content-encoding"])
            if body is not None:
                return HttpAnswer(response.status_code, found, body)
            failure = self._too_long(response.status_code)
        except SecretsError as exc:
            failure = exc.clone()
        except (TimeoutError, httpcore.TimeoutException):
            failure = BackendTimeout(f"{self._name}: no whole answer within {allowed:.3g} s", endpoint=self._name)
        except Exception:  # noqa: BLE001  whatever it is, it must not leave: it may quote a header
            failure = self._broken(response is not None)
        finally:
            if response is not None:
                _close(response)
        self.hang_up()
        raise failure

    def _connected(self) -> "_Connection":
        """The kept connection if it can be used again, else a new one. Raises `ConnectionFailed`, `TlsFailed`,
        `ConfigurationError`."""
        kept = self._connection
        if kept is not None:
            if kept.is_usable():
                return kept
            self._connection = None
            kept.close()
        context = self._tls.context() if self._secure else None
        used = self._wire.connect(self._host, self._port)
        if context is not None:
            used = self._wire.start_tls(used, context, self._host)
        self._connection = _Connection(self._origin, Packets(self._wire, used))
        return self._connection

    def _broken(self, answered: bool) -> SecretsError:
        if self._wire.abandoned:
            text = f"{self._name}: the connection was given up during a request; ask again"
        elif answered:
            text = f"{self._name}: the answer began and broke off; try again"
        else:
            text = f"{self._name}: the connection broke before an answer began; try again"
        return (BodyReadFailed if answered else RequestFailed)(text, endpoint=self._name)

    def _too_long(self, status: int) -> SecretsError:
        text = f"{self._name}: the answer is longer than {MAX_BODY} bytes; does Secrets Manager answer there?"
        return InvalidAnswer(text, status=status)


def _read(stream: Iterable[bytes]) -> bytes | None:
    parts, size = [], 0
    for part in stream:
        parts.append(part)
        size += len(part)
        if size > MAX_BODY:
            return None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unpacked(body: bytes, coding: str) -> bytes | None:
    """*body* without its content *coding*; None if it is longer than `MAX_BODY` then. As it is, if that is no coding
    that we know, or *body* is not in it: whoever reads it will say what it is not."""
    if coding.strip().lower() not in _CODINGS:
        return body
    parts, size, rest = [], 0, body
    try:
        while rest:
            unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as it begins
            part = unpacking.decompress(rest, MAX_BODY + 1 - size)
            size += len(part)
            if size > MAX_BODY:
                return None
            if not unpacking.eof:
                return body
            parts.append(part)
            rest = unpacking.unused_data
    except zlib.error:
        return body
    return b"".join(parts)


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}


def _close(response: httpx.Response) -> None:
    with contextlib.suppress(Exception):  # the answer is read or lost already
        cast("httpx.SyncByteStream", response.stream).close()


class _Connection(httpx.BaseTransport):
    """One socket. An ordinary exchange is done right here; any other by httpcore, from where it stands. Raises what
    httpcore raises, and what the socket does."""

    def __init__(self, origin: httpcore.Origin, packets: Packets) -> None:
        self._origin, self._packets = origin, packets
        self._kept_until = 0.0
        self._other: httpcore.HTTP11Connection | None = None  # who had the last exchange, if that was httpcore

    def is_usable(self) -> bool:
        """Whether it is idle, not for too long, and the server has not closed it."""
        if self._other is not None:
            return self._other.is_available() and not self._other.has_expired()
        return now() < self._kept_until and not self._packets.is_readable()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and bring the answer. The body of one that is not ordinary is still to be read."""
        self._other, self._kept_until = None, 0.0
        self._packets.begin()
        target = request.extensions["target"]
        if request.method == "POST" and target == b"/" and not _LOG.isEnabledFor(logging.DEBUG):
            body = b"".join(cast("Iterable[bytes]", request.stream))
            answer = self._packets.ask(request_bytes(b"POST / HTTP/1.1", request.headers.raw, body), MAX_BODY)
            if answer is not None:
                head, body, nothing_more = answer
                self._kept_until = now() + KEEP_ALIVE if nothing_more else 0.0
                return httpx.Response(head.status, headers=head.headers, stream=httpx.ByteStream(body))
        url = httpcore.URL(scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port, target=target)
        self._other = httpcore.HTTP11Connection(self._origin, _Stream(self._packets), KEEP_ALIVE)
        same = httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream)
        response = self._other.handle_request(same)
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close the socket."""
        self._packets.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer that httpcore reads."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Stream(httpcore.NetworkStream):
    """httpcore's view of the packets. The time-outs it passes are left aside: the wire knows until when."""

    def __init__(self, packets: Packets) -> None:
        self._packets = packets

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            return self._packets.read(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._packets.write(buffer)

    def close(self) -> None:
        self._packets.close()

    def get_extra_info(self, info: str) -> Any:
        return self._packets.is_readable() if info == "is_readable" else None
