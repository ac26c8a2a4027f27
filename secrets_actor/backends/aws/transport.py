"""THE door to httpx (and to httpcore below it). One `Transport` a worker; many may share one `Tls`.

Rule 1: an exchange ends by its deadline, come what may; `close`, from any thread, ends it sooner.
Rule 2: only `SecretsError`s leave, without context: a library's error may quote a header, and so a token, or an answer.
        httpcore logs such an error at DEBUG: a header that could not be sent is refused before it gets there, and what
        it says of answers is cut short by `discretion`.
Rule 3: through the proxy that it was given and no other, never a redirect, never compressed, HTTP/1.1 only, and no
        retries in here.
Rule 4: a body is read to its end or not at all, and up to `MAX_BODY` bytes.

Why httpcore's connection, below `httpx.Client` and its pool, with headers as bytes: it costs about 40 % of
`Client.post`, and a worker has one connection only. Why our own stream (httpcore's public hook): only who holds the
socket can break it off from another thread, and httpcore's time-outs are for each read alone.
"""

import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import httpcore
import httpx

from secrets_actor.backends.aws.discretion import here, watch
from secrets_actor.backends.aws.endpoint import Endpoint
from secrets_actor.backends.aws.proxy import Proxy
from secrets_actor.backends.aws.wire import Wire
from secrets_actor.domain.errors import (
    BackendTimeout,
    BodyReadFailed,
    ConfigurationError,
    InvalidAnswer,
    RequestFailed,
    SecretsError,
)
from secrets_actor.records import dataclass, field

# Bytes. A full page of a list is 100 entries of some 5 KiB at most; a value has 64 KiB, escaped six times that.
MAX_BODY: Final = 8 * 1024 * 1024
# Seconds an idle connection is kept. AWS closes idle ones itself; botocore keeps them for as long as they live.
KEEP_ALIVE: Final = 60.0
_SENDABLE: Final = re.compile(rb"[ -~]*")


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer of any status. `headers` have names in small letters; a name that comes twice keeps its last value."""

    status: int
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Tls:
    """One SSLContext for all workers of a kit, made when the first connection needs it: that takes some 25 ms.

    Trusts *ca_bundle* (a PEM file) and nothing else; without one, the CAs of certifi, or those that SSL_CERT_FILE or
    SSL_CERT_DIR name.
    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context. Raises `ConfigurationError` when the CA bundle cannot be read."""
        with self._lock:
            if self._context is None:
                self._context = self._make()
            return self._context

    def _make(self) -> ssl.SSLContext:
        try:
            if self._ca_bundle is None:
                context = httpx.create_ssl_context()
            else:
                context = ssl.create_default_context(cafile=self._ca_bundle)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            return context
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            pass
        source = "SSL_CERT_FILE, SSL_CERT_DIR" if self._ca_bundle is None else "aws.ca_bundle"
        raise ConfigurationError((f"{source}: a readable file of CA certificates in PEM form",))


class Transport:
    """HTTP to one endpoint over one kept connection, through *proxy* if there is one. One thread at a time, except for
    `close`."""

    def __init__(self, endpoint: Endpoint, tls: Tls, proxy: Proxy | None = None) -> None:
        watch()
        self._name = endpoint.name
        self._host, self._port, self._secure, self._tls = endpoint.host, endpoint.port, endpoint.scheme == "https", tls
        # A host is ASCII: `parse_url` and `endpoint_for` let no other through.
        self._origin = httpcore.Origin(endpoint.scheme.encode(), endpoint.host.encode(), endpoint.port)
        self._urls: dict[str, httpcore.URL] = {}
        self._wire = Wire(endpoint.name, proxy)
        self._connection: httpcore.HTTP11Connection | None = None

    def request(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, until: float, path: str = "/"
    ) -> HttpAnswer:
        """Send one request, as it is, and read its whole answer by *until* (`time.monotonic()` seconds).

        *headers* must hold Host, and Content-Length where there is a body. Raises `ConnectionFailed`, `TlsFailed`,
        `RequestFailed`, `BodyReadFailed`, `BackendTimeout`, `InvalidAnswer` (too long), `ConfigurationError` (CA).
        """
        started = time.monotonic()
        if until <= started:
            raise BackendTimeout(f"{self._name}: no time left to ask; allow more", endpoint=self._name)
        if not all(_SENDABLE.fullmatch(value) for _, value in headers):
            raise RequestFailed(
                f"{self._name}: a header, maybe a key, holds what cannot be sent; set the keys anew",
                endpoint=self._name,
            )
        self._wire.begin(until)
        here.in_exchange = True
        try:
            request = httpcore.Request(method, self._url(path), headers=headers, content=body)
            return self._exchange(request, until - started)
        finally:
            here.in_exchange = False
            self._wire.end()

    def close(self) -> None:
        """Give the connection up, for good. Any thread; a request under way then fails at once."""
        self._wire.abandon()

    def _exchange(self, request: httpcore.Request, allowed: float) -> HttpAnswer:
        response, failure = None, None
        try:
            response = self._connected().handle_request(request)
            body = _read(cast("Iterable[bytes]", response.stream))
            if body is not None:
                return HttpAnswer(response.status, _headers(response), body)
            failure = self._too_long(response.status)
        except SecretsError as exc:
            failure = exc.clone()
        except httpcore.TimeoutException:
            failure = BackendTimeout(f"{self._name}: no whole answer within {allowed:.3g} s", endpoint=self._name)
        except Exception:  # noqa: BLE001  whatever it is, it must not leave: it may quote a header
            failure = self._broken(response is not None)
        finally:
            if response is not None:
                _close(response)
        raise failure

    def _connected(self) -> httpcore.HTTP11Connection:
        """The kept connection if it can be used again, else a new one. Raises `ConnectionFailed`, `TlsFailed`,
        `ConfigurationError`."""
        kept = self._connection
        if kept is not None:
            if kept.is_available() and not kept.has_expired():
                return kept
            self._connection = None
            kept.close()
        context = self._tls.context() if self._secure else None
        used = self._wire.connect(self._host, self._port)
        if context is not None:
            used = self._wire.start_tls(used, context, self._host)
        self._connection = httpcore.HTTP11Connection(self._origin, _Stream(self._wire, used), KEEP_ALIVE)
        return self._connection

    def _url(self, path: str) -> httpcore.URL:
        found = self._urls.get(path)
        if found is None:
            target = path.encode()
            found = httpcore.URL(
                scheme=self._origin.scheme, host=self._origin.host, port=self._origin.port, target=target
            )
            if path == "/":
                self._urls[path] = found
        return found

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
    return b"".join(parts)


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}


def _close(response: httpcore.Response) -> None:
    with contextlib.suppress(Exception):  # the answer is read or lost already
        response.close()


class _Stream(httpcore.NetworkStream):
    """httpcore's view of the wire. The time-outs it passes are left aside: the wire knows until when.

    What is written waits for the read that follows every request: one packet for headers and body, not two.
    """

    def __init__(self, wire: Wire, used: socket.socket) -> None:
        self._wire, self._socket = wire, used
        self._written: list[bytes] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            if self._written:
                self._send()
            return self._wire.read(self._socket, max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout from None
        except OSError:
            raise httpcore.ReadError from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._written.append(buffer)

    def _send(self) -> None:
        whole = b"".join(self._written)
        self._written.clear()
        try:
            self._wire.write(self._socket, whole)
        except TimeoutError:
            raise
        except OSError:
            pass  # the server may have answered before it hung up: the read will tell

    def close(self) -> None:
        self._wire.release(self._socket)

    def get_extra_info(self, info: str) -> Any:
        return self._wire.is_readable(self._socket) if info == "is_readable" else None
