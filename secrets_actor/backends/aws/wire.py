"""One TCP connection at a time, plain or TLS, that any thread can break off. Standard library only.

Rule 1: every wait ends at `until`, one moment for a whole exchange: a server that drips byte by byte gains nothing.
Rule 2: one thread connects, reads and writes. `abandon` may come from any: it shuts the socket down, and the waiting
        thread wakes at once.
Rule 3: a descriptor is closed and shut down under one lock, so that a shutdown never hits its number's next bearer.
Rule 4: connecting and TLS fail as our errors, with the endpoint; reading and writing as the OSErrors they are, for
        only the caller knows how far the exchange was.
Rule 5: with a proxy, a connection is one to the proxy and a tunnel through it; `host` and `port` stay the server's.

Rule 6: sockets do not block. A wait is a poll, and there is none before a send: each call that could wait hands the
        interpreter to another thread, and with many workers that is most of what an exchange costs.

Not obvious: a name is resolved by the C library, which neither `until` nor `abandon` can stop. A socket that still
connects is not woken by a shutdown, so a connect waits for a second socket as well, which `abandon` closes.
"""

import contextlib
import errno
import select
import socket
import ssl
import threading
from typing import Any, Final

from secrets_actor.backends.aws.proxy import Proxy, connect_request, connect_status
from secrets_actor.clock import now
from secrets_actor.domain.errors import ConfigurationError, ConnectionFailed, SecretsError, TlsFailed

# OpenSSL's X509_V_ERR_* numbers (x509_vfy.h) that an operator can do something about.
_CERTIFICATE_PROBLEMS: Final = {
    9: "its certificate is not valid yet: check this machine's clock",
    10: "its certificate has expired",
    18: "its certificate is self-signed: name its CA in aws.ca_bundle if you trust it",
    19: "its CA is not trusted here: name it in aws.ca_bundle if you trust it",
    20: "its CA is not trusted here: name it in aws.ca_bundle if you trust it",
    21: "its CA is not trusted here: name it in aws.ca_bundle if you trust it",
    23: "its certificate is revoked: have it issued anew",
    26: "its certificate is for something else than servers: have it issued anew",
    62: "its certificate is for another host: check aws.endpoint_url",
    64: "its certificate is for another address: check aws.endpoint_url",
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


# Bytes of a proxy's answer to CONNECT, its headers. Precedent: Python's http.client, for one line.
_MAX_HEAD: Final = 65_536


class Wire:
    """The socket of one worker. `name` is the endpoint's `host:port`, for errors."""

    def __init__(self, name: str, proxy: Proxy | None = None) -> None:
        self._name, self._proxy = name, proxy
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._waker: socket.socket | None = None
        self._poll = select.poll()
        self._polled: socket.socket | None = None
        self._busy = False
        self._until = 0.0
        self.abandoned = False

    def begin(self, until: float) -> None:
        """An exchange begins, to end by *until* (clock seconds).

        Raises `ConnectionFailed` once the wire is abandoned.
        """
        with self._lock:
            if self.abandoned:
                raise self._given_up()
            self._busy, self._until = True, until

    def end(self) -> None:
        """The exchange is over."""
        with self._lock:
            self._busy = False
            if self.abandoned:
                self._drop()

    def abandon(self) -> None:
        """Break off, now and for good. Any thread, any number of times."""
        with self._lock:
            self.abandoned = True
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

    def connect(self, host: str, port: int) -> socket.socket:
        """A socket connected to the server, through the proxy if there is one."""
        proxy = self._proxy
        if proxy is None:
            return self._connect(host, port, "", "the host name is not known here; check region, endpoint URL and DNS")
        unknown = "its name is not known here; check aws.proxy_url, HTTPS_PROXY and DNS"
        made = self._connect(proxy.host, proxy.port, f"the proxy {proxy.name}: ", unknown)
        failure = self._tunnel(made, proxy, host, port)
        if failure is None:
            return made
        self.release(made)
        raise self._given_up() if self.abandoned else failure

    def _connect(self, host: str, port: int, who: str, problem: str) -> socket.socket:
        """Of the host's addresses the first that answers, each given its share of the time. *problem* is that there is
        none, and of *who*."""
        found = _resolve(host, port)
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
                    if code == 0 and not self.abandoned:
                        return made
                    self.release(made)
                    problem = _CONNECT_PROBLEMS.get(code, "no connection; check endpoint, route and firewall")
        except OSError:
            problem = "no socket to be had; are too many files open?"
        finally:
            with self._lock:
                self._waker = None
        if self.abandoned:
            raise self._given_up()
        raise ConnectionFailed(f"{self._name}: {who}{problem}", endpoint=self._name)

    def _tunnel(self, made: socket.socket, proxy: Proxy, host: str, port: int) -> SecretsError | None:
        """Have *proxy* connect *made* with the server: None, or why it does not."""
        head = b""
        try:
            self.write(made, connect_request(proxy, host, port))
            while b"\r\n\r\n" not in head and len(head) < _MAX_HEAD and (more := self.read(made, 4096)):
                head += more
        except TimeoutError:
            return self._no_tunnel(proxy, "does not answer in time; is it up, and may it reach AWS?")
        except OSError:
            head = b""
        status = connect_status(head) if b"\r\n\r\n" in head else None
        if status == 407:
            text = f"aws.proxy_url, HTTPS_PROXY: the proxy {proxy.name} wants a user and a password, or others"
            return ConfigurationError((text,))
        if status is None:
            return self._no_tunnel(proxy, "broke off, or is no HTTP proxy; check its host and port")
        if 200 <= status < 300:
            return None
        refused = self._no_tunnel(proxy, f"does not let us through (HTTP {status}); may it reach AWS?")
        refused.retryable = status >= 500 or status in (408, 429)  # else it is a rule of the proxy's
        return refused

    def _no_tunnel(self, proxy: Proxy, problem: str) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: the proxy {proxy.name} {problem}", endpoint=self._name)

    def start_tls(self, plain: socket.socket, context: ssl.SSLContext, hostname: str | None) -> socket.socket:
        """*plain* with TLS on it. *plain* is used up, whatever happens."""
        kept = plain
        try:
            # The handshake apart, so that the socket `abandon` has to shut down is known before it begins.
            kept = context.wrap_socket(plain, server_hostname=hostname, do_handshake_on_connect=False)
            self._keep(kept)
            kept.settimeout(self._left_or_timeout())
            kept.do_handshake()
            kept.setblocking(False)
            return kept
        except ssl.SSLCertVerificationError as exc:
            cause = _certificate_problem(exc.verify_code, exc.verify_message)
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
        self.release(kept)
        raise self._given_up() if self.abandoned else failure

    def read(self, used: socket.socket, max_bytes: int) -> bytes:
        """What has come in, waiting for it until `until`. Raises `TimeoutError`, `OSError`."""
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

    def write(self, used: socket.socket, data: bytes) -> None:
        """Send all of *data*. Raises `TimeoutError`, `OSError`."""
        view = memoryview(data)
        while view:
            self._left_or_timeout()
            try:
                view = view[used.send(view) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._await(used, select.POLLOUT)
            except ssl.SSLWantReadError:
                self._await(used, select.POLLIN)

    def is_readable(self, used: socket.socket) -> bool:
        """Whether *used*, while idle, has something to read: then the server has closed it, or it is out of step."""
        if isinstance(used, ssl.SSLSocket) and used.pending():  # decrypted already: a poll does not see it
            return True
        return bool(self._poll_for(used, select.POLLIN).poll(0))

    def _await(self, used: socket.socket, event: int) -> None:
        if not self._poll_for(used, event).poll(self._left_or_timeout() * 1000):
            raise TimeoutError

    def _poll_for(self, used: socket.socket, event: int) -> select.poll:
        """Who watches *used* for *event*. The one for what comes in is made once a socket."""
        if event == select.POLLIN and self._polled is used:
            return self._poll
        poll = select.poll()
        poll.register(used, event)
        if event == select.POLLIN:
            self._poll, self._polled = poll, used
        return poll

    def release(self, used: socket.socket) -> None:
        """Close *used*."""
        with self._lock:
            if self._socket is used:
                self._socket = None
            self._polled = None
            used.close()

    def _keep(self, made: socket.socket) -> socket.socket:
        with self._lock:
            if not self.abandoned:
                self._socket = made
                return made
            made.close()
        raise self._given_up()

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _left(self) -> float:
        return self._until - now()

    def _left_or_timeout(self) -> float:
        left = self._left()
        if left <= 0:
            raise TimeoutError
        return left

    def _given_up(self) -> ConnectionFailed:
        return ConnectionFailed(f"{self._name}: this connection was given up; ask again", endpoint=self._name)


def _certificate_problem(code: int, message: str) -> str:
    """What is the matter with a certificate, and what to do. *message* is OpenSSL's own word, which it keeps to for a
    code that is not known here."""
    if code in _CERTIFICATE_PROBLEMS:
        return _CERTIFICATE_PROBLEMS[code]
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


def _resolve(host: str, port: int) -> list[tuple[int, int, int, Any]]:
    """(family, kind, protocol, address) of each of *host*'s addresses; none when there are none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # the latter from a label that is too long for DNS
        return []
    return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]
