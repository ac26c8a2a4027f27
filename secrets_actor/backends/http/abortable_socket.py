"""One TCP connection at a time, plain or TLS, that any thread can break off. THE door to socket, ssl and select.

Rule 1: every wait ends at the deadline, one moment for a whole exchange: a server that drips byte by byte gains no
        time.
Rule 2: one thread connects, reads and writes. `abort` may come from any: it shuts the socket down, and the waiting
        thread wakes at once.
Rule 3: a descriptor is closed and shut down under one lock: else a shutdown could hit another connection, which the
        system had meanwhile given the same number.
Rule 4: connecting and TLS fail as our errors, with the endpoint; reading and writing as the OSErrors they are, because
        only the caller knows how far the exchange was.
Rule 5: with a proxy, a connection is one to the proxy and a tunnel through it; `host` and `port` stay the server's.
Rule 6: sockets do not block. A wait is a poll, and there is none before a send: each call that could wait hands the
        interpreter to another thread, and with many workers that is most of what an exchange costs.

Not obvious: a name is resolved by the C library, which neither the deadline nor `abort` can stop. A socket that still
connects is not woken by a shutdown, so a connect waits for a second socket as well, which `abort` closes.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
from typing import Any, Final

from secrets_actor.backends.http.origin import Origin, SettingNames
from secrets_actor.backends.http.proxy import Proxy, connect_request
from secrets_actor.backends.http.response_parser import RefusedAnswer, ResponseParser
from secrets_actor.clock import now
from secrets_actor.domain.errors import ConfigurationError, ConnectionFailed, SecretsError, TlsFailed

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h) that an operator can do something about; in braces the names of settings.
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
# What a certificate of the chain lacks or has too much, by RFC 5280. From Python 3.13 on this is looked at
# (VERIFY_X509_STRICT); private CAs, and proxies that look into TLS, make such certificates.
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


_CONNECT_PROBLEMS: Final = {
    errno.ETIMEDOUT: "no connection in time; check endpoint, route and firewall",
    errno.ECONNREFUSED: "connection refused; is anything listening there?",
}


# Bytes a read asks for.
READ_BYTES: Final = 65_536


class AbortableSocket:
    """The socket of one worker, to *origin*, through *proxy* if there is one. *names*: for the remedies in errors."""

    def __init__(self, origin: Origin, names: SettingNames, proxy: Proxy | None = None) -> None:
        self._host, self._port, self._name = origin.host, origin.port, origin.name
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
        """An exchange begins, to end by *deadline* (clock seconds). Raises `ConnectionFailed` after an `abort`."""
        with self._lock:
            if self.aborted:
                raise self._given_up()
            self._busy, self._deadline = True, deadline

    def end(self) -> None:
        """The exchange is over."""
        with self._lock:
            self._busy = False
            if self.aborted:
                self._drop()

    def abort(self) -> None:
        """Break off, now and for good. Any thread, any number of times."""
        with self._lock:
            self.aborted = True
            if self._waker is not None:
                self._waker.close()
            if self._socket is None:
                return
            if not self._busy:
                self._drop()
                return
            with contextlib.suppress(OSError):  # not connected yet, or no longer
                # Of the base class: SSLSocket's own also pulls the TLS state from under the reading thread.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def connect(self, context: ssl.SSLContext | None) -> None:
        """Connect to the server, through the proxy if there is one, and with TLS if there is a *context*.

        Raises `ConnectionFailed`, `TlsFailed`, and `ConfigurationError` for a proxy that wants to know the user.
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
            self._start_tls(made, context)

    def _connect(self, host: str, port: int, who: str, problem: str) -> socket.socket:
        """Of the host's addresses the first that answers, each given its share of the time. *problem* is that there is
        none, and of *who*."""
        found = resolve(host, port)
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
                    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    code = _try(made, address, self._left() / (len(found) - tried), woken)
                    if code == 0 and not self.aborted:
                        return made
                    self._release(made)
                    problem = _CONNECT_PROBLEMS.get(code, "no connection; check endpoint, route and firewall")
        except OSError:
            problem = "no socket to be had; are too many files open?"
        finally:
            with self._lock:
                self._waker = None
        if self.aborted:
            raise self._given_up()
        raise ConnectionFailed(f"{self._name}: {who}{problem}", endpoint=self._name)

    def _tunnel(self, proxy: Proxy) -> SecretsError | None:
        """Have *proxy* connect us with the server: None, or why it does not."""
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
            # Of a refusal only the status counts, not the page that comes with it.
            status = None if parser.status is not None and parser.status < 300 else parser.status
        if status == 407:
            text = f"{self._names.proxy}: the proxy {proxy.name} wants a user and a password, or others"
            return ConfigurationError((text,))
        if status is None:
            return self._no_tunnel(proxy, "broke off, or is no HTTP proxy; check its host and port")
        if status < 300:
            return None
        refused = self._no_tunnel(proxy, f"does not let us through (HTTP {status}); may it reach {self._host}?")
        refused.retryable = status >= 500 or status in (408, 429)  # else it is a rule of the proxy's
        return refused

    def _no_tunnel(self, proxy: Proxy, problem: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: the proxy {proxy.name} {problem}", endpoint=self._name)

    def _start_tls(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        """Speak TLS on *plain*, which is used up, whatever happens."""
        kept = plain
        try:
            # The handshake apart, so that the socket `abort` has to shut down is known before it begins.
            kept = context.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
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
        except (ssl.SSLError, ValueError):
            failure = TlsFailed(
                f"{self._name}: no TLS came about; does the server speak https there, and TLS 1.2 or newer?",
                endpoint=self._name,
            )
        except TimeoutError:
            failure = ConnectionFailed(f"{self._name}: TLS did not come about in time; try again", endpoint=self._name)
        except OSError:
            failure = ConnectionFailed(f"{self._name}: the connection broke during TLS; try again", endpoint=self._name)
        self._release(kept)
        raise self._given_up() if self.aborted else failure

    def read(self, max_bytes: int) -> bytes:
        """What has come in, waiting for it until the deadline; nothing at the end. Raises `TimeoutError`, `OSError`."""
        used = self._connected()
        awaited = select.POLLIN
        if isinstance(used, ssl.SSLSocket) and used.pending():  # decrypted already: a poll does not see it
            self._left_or_timeout()
            awaited = 0
        while True:
            if awaited:
                self._await(used, awaited)
            try:
                return used.recv(max_bytes)
            except (BlockingIOError, ssl.SSLWantReadError):  # not a whole record of TLS, or nothing after all
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
        """Whether something came that nobody has read, be it the end of the connection."""
        used = self._connected()
        if isinstance(used, ssl.SSLSocket) and used.pending():  # decrypted already: a poll does not see it
            return True
        return bool(self._poll_for(used, select.POLLIN).poll(0))

    def read_now(self, max_bytes: int) -> bytes:
        """What has come in, without waiting for it; nothing if there is nothing, or the end. Raises `OSError`.

        `is_readable` does not tell as much: TLS 1.3 sends session tickets right after its handshake.
        """
        if not self.is_readable():
            return b""
        try:
            return self._connected().recv(max_bytes)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""

    def disconnect(self) -> None:
        """Close the connection, if there is one. Not during an exchange of another thread."""
        if self._socket is not None:
            self._release(self._socket)

    def _connected(self) -> socket.socket:
        """The socket; an OSError if there is none, or none any more."""
        used = self._socket
        if used is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return used

    def _await(self, used: socket.socket, event: int) -> None:
        if not self._poll_for(used, event).poll(self._left_or_timeout() * 1000):
            raise TimeoutError

    def _poll_for(self, used: socket.socket, event: int) -> select.poll:
        """A poll of *used* for *event*. That for POLLIN is made once a socket."""
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


def _certificate_problem(code: int, message: str, names: SettingNames) -> str:
    """What is the matter with a certificate, and what to do. *message* is OpenSSL's own word, which it keeps to for a
    code that is not known here."""
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
    """Connect *made* to *address* within *seconds*, or until *woken* is readable: 0 or an errno."""
    made.setblocking(False)
    code = made.connect_ex(address)
    if code != errno.EINPROGRESS:
        return code
    poll = select.poll()
    poll.register(made, select.POLLOUT)
    poll.register(woken, select.POLLIN)
    ready = [descriptor for descriptor, _ in poll.poll(max(seconds, 0.0) * 1000)]
    return made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if made.fileno() in ready else errno.ETIMEDOUT


def resolve(host: str, port: int) -> list[tuple[int, int, int, Any]]:
    """(family, kind, protocol, address) of each of *host*'s addresses; none when there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter from a label that is too long for DNS
        return []
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
