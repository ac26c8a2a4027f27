"""One connection at a time (TCP, TLS, Unix socket) that any thread can abort. THE door to socket, ssl and select.

Rule 1: every wait ends at the deadline, which is one moment for a whole exchange. So a server that sends byte by byte
        gains no time.
Rule 2: one thread connects, reads and writes. Any thread may call `abort`: it shuts the socket down, and the waiting
        thread wakes at once.
Rule 3: a descriptor is closed, and shut down, under the same lock. Otherwise a shutdown could hit another connection
        to which the system has given the same number meanwhile.
Rule 4: connecting and TLS raise our errors, with the endpoint. Reading and writing raise OSErrors as they are, because
        only the caller knows how far the exchange has come.
Rule 5: with a proxy, a connection is one to the proxy with a tunnel through it; `host` and `port` are the server's.
Rule 6: sockets do not block. To wait is to poll, and there is no poll before a send: each call that could wait gives
        the interpreter to another thread, and with many workers that is most of the time of an exchange.

Not obvious: the C library resolves a name, and neither the deadline nor `abort` can stop it. A shutdown does not wake a
socket that is still connecting, so a connect also waits for a second socket, which `abort` closes. Nobody can wait for
a Unix socket whose queue of connections is full: Linux says EAGAIN at once, and tells no poll when there is room.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
from typing import Any, Final

from secrets_actor.backends.http.origin import UNIX, Origin, SettingNames
from secrets_actor.backends.http.proxy import Proxy, connect_request
from secrets_actor.backends.http.response_parser import RefusedAnswer, ResponseParser
from secrets_actor.clock import now
from secrets_actor.domain.errors import ConfigurationError, ConnectionFailed, SecretsError, TlsFailed

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h), as far as an operator can do something about them. The words in braces
# stand for names of settings.
_CERTIFICATE_PROBLEMS: Final = {
    9: "its certificate is not valid yet: check this machine's clock",
    10: "its certificate has expired",
    18: "its certificate is self-signed: name its CA in {ca_bundle} if you trust it",
    19: "its CA is not trusted here: name it in {ca_bundle} if you trust it",
    20: "its CA is not trusted here: name it in {ca_bundle} if you trust it",
    21: "its CA is not trusted here: name it in {ca_bundle} if you trust it",
    23: "its certificate is revoked: have it issued anew",
    26: "its certificate is for something else than servers: have it issued anew",
    62: "its certificate is for another host: check {endpoint_url}",
    64: "its certificate is for another address: check {endpoint_url}",
}
# Where a certificate of the chain breaks RFC 5280. Python checks this from 3.13 on (VERIFY_X509_STRICT). Private CAs,
# and proxies that look into TLS, make such certificates.
_STRICT_PROBLEMS: Final = {
    24: "its CA has no public key",
    25: "there are more CAs between it and the root than one of them allows (path length)",
    32: "its CA's key usage does not allow it to sign certificates (keyCertSign)",
    66: "its key is too small",
    67: "its CA's key is too small",
    68: "it is signed with a digest that is too weak",
    79: "its CA's is no certificate of a CA (basic constraints)",
    80: "it has a path length and is no CA's",
    81: "its CA has a path length without the key usage keyCertSign",
    82: "it has the key usage keyCertSign and is no CA's",
    83: "its issuer's name is empty",
    84: "its CA's subject name is empty",
    85: "the authority key identifier is missing",
    86: "the subject key identifier is missing",
    87: "its subject alternative name is empty",
    88: "its subject is empty, and its subject alternative name is not marked critical",
    89: "its CA's basic constraints are not marked critical",
    90: "the authority key identifier is marked critical",
    91: "the subject key identifier is marked critical",
    92: "its CA's has no key usage",
    93: "it has extensions and is not of version 3",
    94: "its key's curve is given by its parameters and not by its name",
}


# OpenSSL's names of the alerts by which a server refuses a client for its certificate (RFC 8446, 6.2). Before TLS 1.3
# there was none for a certificate that is missing, and servers say that the handshake fails.
_WANTED: Final = frozenset({"TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_NO_CERTIFICATE"})
_REFUSED: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
# The words in braces stand for what `SettingNames` has.
_CONNECT_PROBLEMS: Final = {
    errno.ETIMEDOUT: "no connection in time; check endpoint, route and firewall",
    errno.ECONNREFUSED: "connection refused; {not_there}",
}
_NO_CONNECTION: Final = "no connection; check endpoint, route and firewall"
_UNIX_PROBLEMS: Final = {
    errno.ETIMEDOUT: "no connection in time; is what listens there hung, or stopped?",
    errno.ECONNREFUSED: "nobody listens at this socket; {not_there}",
    errno.ENOENT: "there is no socket; {not_there}",
    errno.ENOTDIR: "there is no such folder; check {endpoint}",
    errno.EACCES: "this user may not open the socket; check its group and mode, and those of its folder",
}
_NO_UNIX_CONNECTION: Final = "this is no socket that can be used; check {endpoint}"
# Seconds between two attempts to connect to a Unix socket whose queue is full.
_QUEUE_PAUSE: Final = 0.005


# Bytes that a read asks for.
READ_BYTES: Final = 65_536


class AbortableSocket:
    """The socket of one worker, to *origin*, through *proxy* if there is one.

    Errors name the settings in *names* as remedies.
    """

    def __init__(self, origin: Origin, names: SettingNames, proxy: Proxy | None = None) -> None:
        self._host, self._port, self._name = origin.host, origin.port, origin.name
        self._is_unix = origin.scheme == UNIX
        self._names, self._proxy = names, proxy
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._poll = select.poll()
        self._polled: socket.socket | None = None
        self._busy = False
        self._deadline = 0.0
        self.aborted = False

    def begin(self, deadline: float) -> None:
        """Begin an exchange that must end by *deadline* (clock seconds). Raises `ConnectionFailed` after an `abort`."""
        with self._lock:
            if self.aborted:
                raise self._given_up()
            self._busy, self._deadline = True, deadline

    def end(self) -> None:
        """End the exchange. After an `abort` this closes the socket, which the exchange may have used until now."""
        with self._lock:
            self._busy = False
            if self.aborted:
                self._drop()

    def abort(self) -> None:
        """End the connection, now and for good. From any thread, any number of times."""
        with self._lock:
            self.aborted = True
            if self._waker is not None:
                self._waker.close()
            if self._socket is None:
                return
            if not self._busy:
                self._drop()
                return
            # During an exchange the socket is not closed: its thread still uses the descriptor (rule 3).
            with contextlib.suppress(OSError):  # not connected yet, or no longer
                # The base class's method: that of SSLSocket also drops the TLS object, which the other thread is using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def connect(self, context: ssl.SSLContext | None, server_name: str | None = None) -> None:
        """Connect to the server, through the proxy if there is one, and with TLS if there is a *context*.

        *server_name* is the name that its certificate must have; None: that of the host.

        Raises `ConnectionFailed`, `TlsFailed`, and `ConfigurationError` for a proxy that asks for a user and password.
        """
        proxy = self._proxy
        if proxy is None:
            unknown = f"the host name is not known here; check {self._names.endpoint} and DNS"
            made = self._connect(self._host, self._port, "", unknown)
        else:
            unknown = f"its name is not known here; check {self._names.proxy} and DNS"
            made = self._connect(proxy.host, proxy.port, f"the proxy {proxy.name}: ", unknown)
            failure = self._tunnel(proxy)
            if failure is not None:
                self.disconnect()
                raise self._given_up() if self.aborted else failure
        if context is not None:
            self._start_tls(made, context, server_name or self._host)

    def _connect(self, host: str, port: int, who: str, problem: str) -> socket.socket:
        """Connect to the first of the host's addresses that answers. Each has an equal share of the time left.

        *problem* is the text for a host without addresses, and *who* the words before it. Raises `ConnectionFailed`.
        """
        found = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, host)] if self._is_unix else resolve(host, port)
        known, other = (_UNIX_PROBLEMS, _NO_UNIX_CONNECTION) if self._is_unix else (_CONNECT_PROBLEMS, _NO_CONNECTION)
        try:
            woken, waker = socket.socketpair()
            with woken, waker:
                with self._lock:
                    self._waker = waker
                for tried, (family, kind, protocol, address) in enumerate(found):
                    try:
                        made = self._keep(socket.socket(family, kind, protocol))
                    except OSError:  # such as a machine without IPv6
                        continue
                    if not self._is_unix:
                        # Else a request's last part could wait for the acknowledgement of the part before (Nagle).
                        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    code = _try(made, address, self._left() / (len(found) - tried), woken)
                    if code == 0 and not self.aborted:
                        return made
                    self._release(made)
                    names = self._names
                    problem = known.get(code, other).format(endpoint=names.endpoint, not_there=names.not_there)
        except OSError:
            problem = "no socket to be had; are too many files open?"
        finally:
            with self._lock:
                self._waker = None
        if self.aborted:
            raise self._given_up()
        raise ConnectionFailed(f"{self._name}: {who}{problem}", endpoint=self._name)

    def _tunnel(self, proxy: Proxy) -> SecretsError | None:
        """Ask *proxy* for a tunnel to the server. Returns None, or the error when there is none."""
        parser = ResponseParser("CONNECT")
        try:
            self.write(connect_request(proxy, self._host, self._port))
            while parser.status is None and (data := self.read(READ_BYTES)):
                parser.feed(data)
            status = parser.status
        except TimeoutError:
            return self._no_tunnel(proxy, f"does not answer in time; is it up, and may it reach {self._host}?")
        except OSError:
            status = None
        except RefusedAnswer:
            # A proxy refuses with a page of any form: only its status counts.
            status = None if parser.status is not None and parser.status < 300 else parser.status
        if status == 407:
            text = f"{self._names.proxy}: the proxy {proxy.name} wants a user and a password, or others"
            return ConfigurationError((text,))
        if status is None:
            return self._no_tunnel(proxy, "broke off, or is no HTTP proxy; check its host and port")
        if status < 300:
            return None
        refused = self._no_tunnel(proxy, f"does not let us through (HTTP {status}); may it reach {self._host}?")
        refused.retryable = status >= 500 or status in (408, 429)  # any other refusal is a rule of the proxy, and stays
        return refused

    def _no_tunnel(self, proxy: Proxy, problem: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: the proxy {proxy.name} {problem}", endpoint=self._name)

    def _start_tls(self, plain: socket.socket, context: ssl.SSLContext, server_name: str) -> None:
        """Begin TLS on *plain*, which nobody may use any more, whether this succeeds or fails."""
        kept = plain
        try:
            # The handshake is a step of its own, so that `abort` knows the socket before the handshake begins.
            kept = context.wrap_socket(plain, server_hostname=server_name, do_handshake_on_connect=False)
            self._keep(kept)
            kept.settimeout(self._left_or_timeout())
            kept.do_handshake()
            kept.setblocking(False)
            return
        except ssl.SSLCertVerificationError as exc:
            cause = _certificate_problem(exc.verify_code, exc.verify_message, self._names)
            failure: ConnectionFailed = TlsFailed(
                f"{self._name}: the server is not trusted; {cause}", endpoint=self._name
            )
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            failure = ConnectionFailed(f"{self._name}: the server hung up on TLS; try again", endpoint=self._name)
        except (ssl.SSLError, ValueError) as exc:
            wanted = certificate_wanted(exc, self._names)
            text = wanted or "no TLS came about; does the server speak https there, and TLS 1.2 or newer?"
            failure = TlsFailed(f"{self._name}: {text}", endpoint=self._name)
        except TimeoutError:
            failure = ConnectionFailed(f"{self._name}: TLS did not come about in time; try again", endpoint=self._name)
        except OSError:
            failure = ConnectionFailed(f"{self._name}: the connection broke during TLS; try again", endpoint=self._name)
        self._release(kept)
        raise self._given_up() if self.aborted else failure

    def read(self, max_bytes: int) -> bytes:
        """Wait for bytes until the deadline, and return them; empty when the server has ended the connection.

        Raises `TimeoutError`, `OSError`.
        """
        used = self._connected()
        awaited = select.POLLIN
        if isinstance(used, ssl.SSLSocket) and used.pending():  # decrypted already: a poll would not see it
            self._left_or_timeout()
            awaited = 0
        while True:
            if awaited:
                self._await(used, awaited)
            try:
                return used.recv(max_bytes)
            except (BlockingIOError, ssl.SSLWantReadError):  # only a part of a TLS record, or nothing after all
                awaited = select.POLLIN
            except ssl.SSLWantWriteError:
                awaited = select.POLLOUT

    def write(self, data: bytes) -> None:
        """Send all of *data*. Raises `TimeoutError`, `OSError`."""
        used = self._connected()
        view = memoryview(data)
        while view:
            self._left_or_timeout()
            try:
                view = view[used.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(used, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._await(used, select.POLLIN)

    def is_readable(self) -> bool:
        """Whether there is something to read: bytes, or the end of the connection."""
        used = self._connected()
        if isinstance(used, ssl.SSLSocket) and used.pending():  # decrypted already: a poll would not see it
            return True
        return bool(self._poll_for(used, select.POLLIN).poll(0))

    def read_now(self, max_bytes: int) -> bytes:
        """Return the bytes that are there, without waiting; empty if there are none, or at the end. Raises `OSError`.

        `is_readable` is no substitute: with TLS 1.3 a server sends session tickets right after the handshake, which are
        readable, but are no bytes of an answer.
        """
        if not self.is_readable():
            return b""
        try:
            return self._connected().recv(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""

    def disconnect(self) -> None:
        """Close the connection, if there is one. Must not be called during an exchange of another thread."""
        if self._socket is not None:
            self._release(self._socket)

    def _connected(self) -> socket.socket:
        """Return the socket. Raises `OSError` if there is none, or if it was closed."""
        used = self._socket
        if used is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return used

    def _await(self, used: socket.socket, event: int) -> None:
        if not self._poll_for(used, event).poll(self._left_or_timeout() * 1000):
            raise TimeoutError

    def _poll_for(self, used: socket.socket, event: int) -> select.poll:
        """Return a poll object of *used* for *event*. The one for POLLIN is made once a socket: each read needs it."""
        if event == select.POLLIN and self._polled is used:
            return self._poll
        poll = select.poll()
        poll.register(used, event)
        if event == select.POLLIN:
            self._poll, self._polled = poll, used
        return poll

    def _release(self, used: socket.socket) -> None:
        """Close *used*."""
        with self._lock:
            if self._socket is used:
                self._socket = None
            self._polled = None
            used.close()

    def _keep(self, made: socket.socket) -> socket.socket:
        with self._lock:
            if not self.aborted:
                self._socket = made
                return made
            made.close()
        raise self._given_up()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _left(self) -> float:
        return self._deadline - now()

    def _left_or_timeout(self) -> float:
        left = self._left()
        if left <= 0:
            raise TimeoutError
        return left

    def _given_up(self) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: this connection was given up; ask again", endpoint=self._name)


def certificate_wanted(error: Exception, names: SettingNames) -> str | None:
    """Return why a server refuses us, if it is for our certificate or the lack of one; None for any other *error*.

    With TLS 1.3 a server says so only when the handshake is over for us, in place of an answer.
    """
    reason = getattr(error, "reason", None) or ""
    if reason in _WANTED:
        return f"the server wants a client certificate: name one in {names.client_certificate}"
    if reason in _REFUSED:
        return f"the server does not accept our certificate; see that it trusts its CA: {names.client_certificate}"
    return None


def _certificate_problem(code: int, message: str, names: SettingNames) -> str:
    """Return what is wrong with a certificate, and what to do.

    *message* is OpenSSL's own text, which is used for a *code* that is not known here.
    """
    if code in _CERTIFICATE_PROBLEMS:
        problem = _CERTIFICATE_PROBLEMS[code]
        return problem.format(ca_bundle=names.ca_bundle, endpoint_url=names.endpoint_url)
    if code in _STRICT_PROBLEMS:
        return (
            f"its certificate, or its CA's, is not as RFC 5280 wants it: {_STRICT_PROBLEMS[code]}. Have it issued anew "
            "by its CA, or by the proxy that looks into TLS; Python looks at this strictly from 3.13 on"
        )
    return f"its certificate is not good (OpenSSL says: {message[:100]}); have it issued anew"


def _try(made: socket.socket, address: Any, seconds: float, woken: socket.socket) -> int:
    """Connect *made* to *address* within *seconds*, or until *woken* is readable. Returns 0, or an errno."""
    made.setblocking(False)
    until = now() + seconds
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    while (code := made.connect_ex(address)) == errno.EAGAIN:  # the queue of a Unix socket is full
        if now() >= until or poll.poll(_QUEUE_PAUSE * 1000):
            return errno.ETIMEDOUT
    if code != errno.EINPROGRESS:
        return code
    poll.register(made, select.POLLOUT)
    ready = [descriptor for descriptor, _ in poll.poll(max(until - now(), 0.0) * 1000)]
    return made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if made.fileno() in ready else errno.ETIMEDOUT


def resolve(host: str, port: int) -> list[tuple[int, int, int, Any]]:
    """Return (family, kind, protocol, address) for each address of *host*; empty when its name is not known."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # UnicodeError: a part of the name is too long for DNS
        return []
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
