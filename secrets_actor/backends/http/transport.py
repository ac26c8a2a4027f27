"""HTTP requests over one kept connection. Each worker has one `Transport`; many share one `Tls`.

Rule 1: an exchange always ends by its deadline; `close`, from any thread, ends it sooner.
Rule 2: only `SecretsError`s leave this file, and without context: a library's error may quote an answer, or a header
        with a token.
Rule 3: a request goes through the given proxy and no other, follows no redirect, speaks HTTP/1.1 only, and is not
        retried here.
Rule 4: an answer is whole, sound and asked for; otherwise it is an error, and the connection is closed, so that its
        rest cannot answer a later request. A connection on which something arrives while it is idle is not used again.
Rule 5: the logger `secrets_actor.http` logs at DEBUG the method, server, status and time of whole answers. It logs no
        header, no path, no body, and no length of a body, which may be the length of a secret.

Why is this not httpx's Client with its pool? A worker has only one connection; only the owner of a socket can shut it
down from another thread; and httpcore's timeouts count for each read alone. Why does `request` take no Request and
return no Response of httpx? To make the two takes almost as long as all the rest of an exchange (18 of 40 us), and
backends need only status, headers and body. `httpx_transport.py` makes them for what is asked now and then, over the
same `exchange`.
"""

import contextlib
import hashlib
import logging
import os
import ssl
import threading
from collections.abc import Sequence
from typing import ClassVar, Final

from secrets_actor.backends.http.abortable_socket import READ_BYTES, AbortableSocket, certificate_wanted
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
    TlsFailed,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.forks import loading
from secrets_actor.log_fields import fields
from secrets_actor.paths import expanded
from secrets_actor.small_files import is_marked, read
from secrets_actor.structs import Opaque

# Bytes. certifi's file, with all public CAs, has some 300 KiB.
MAX_BUNDLE: Final = 16 * 1024 * 1024
# Bytes of a certificate with its chain, or of a key: as many as a pipe of Linux holds.
MAX_CLIENT_PEM: Final = 65_536
# Seconds for which an idle connection is kept. AWS closes idle ones itself, and a request that is sent at that moment
# fails; botocore keeps connections until they are closed.
KEEP_ALIVE: Final = 60.0
# Not among the signed headers, for a proxy may change it on the way.
_AS_IT_IS: Final = (b"Accept-Encoding", b"identity")
_PRINTABLE: Final = bytes(range(ord(" "), ord("~") + 1))
_VISIBLE: Final = _PRINTABLE[1:]
_LOG: Final = logging.getLogger("secrets_actor.http")


class HttpAnswer(Opaque):
    """An answer of any status. The names of `headers` are in lower case; a name that comes twice has its last value.

    The repr shows neither headers nor body.
    """

    __slots__ = ("body", "headers", "status")
    SHOWN: ClassVar = ("status",)

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class ClientCertificate:
    """Our certificate for servers that want one, and its key; either is the path of a PEM file, or PEM.

    Without a *key*, it is in the same file, or PEM, as the certificate. Errors quote the settings that name the two.
    """

    def __init__(
        self,
        certificate: str | bytes,
        key: str | SecretValue | None = None,
        *,
        certificate_setting: str = "the client certificate",
        key_setting: str = "the client key",
    ) -> None:
        self._certificate, self._key = certificate, key
        self._certificate_setting, self._key_setting = certificate_setting, key_setting

    def digest(self) -> bytes:
        """Return what changes when the certificate or its key does. Raises `ConfigurationError`, if one is not there.

        The files are read, for two changes within one tick of the file system's clock have the same time.
        """
        found = hashlib.sha256(_pem(self._certificate, self._certificate_setting))
        if self._key is not None:
            found.update(_pem(self._key, self._key_setting))
        return found.digest()

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have *context* show the certificate. Raises `ConfigurationError`."""
        with contextlib.ExitStack() as pipes:
            try:
                certificate = _path_of(self._certificate, pipes)
                # A key in the same text comes through a pipe of its own: the first is empty after the certificate.
                also = self._certificate if self._key is None and isinstance(self._certificate, bytes) else self._key
                key = None if also is None else _path_of(also, pipes)
                # Without a password of ours, OpenSSL would ask for one on the terminal, and wait.
                context.load_cert_chain(certificate, key, password="")
                return
            except (OSError, ValueError):  # ssl.SSLError is an OSError
                pass
        key_setting = self._certificate_setting if self._key is None else self._key_setting
        raise ConfigurationError(
            (
                f"{self._certificate_setting}, {key_setting}: a certificate in PEM form and its own key, which no "
                "passphrase protects",
            )
        )


def _pem(given: str | bytes | SecretValue, setting: str) -> bytes:
    """Return the content of the file *given*, or *given* itself if it is PEM. Raises `ConfigurationError`."""
    if isinstance(given, str):
        found = read(given, MAX_CLIENT_PEM)
        if isinstance(found, bytes):
            return found
        problem = "it is not there" if found is None else f"it {found}"
        raise ConfigurationError((f"{setting}: a readable file in PEM form; {problem}",))
    revealed = given.reveal() if isinstance(given, SecretValue) else given
    return revealed.encode() if isinstance(revealed, str) else revealed


def _path_of(given: str | bytes | SecretValue, pipes: contextlib.ExitStack) -> str:
    """Return a path at which OpenSSL can read *given*, once. *pipes* closes what was opened for it.

    OpenSSL takes a key only from a file, and a key must not lie in a file in clear: a pipe holds it in memory.
    """
    if isinstance(given, str):
        return str(expanded(given))
    content = _pem(given, "")
    reading, writing = os.pipe()
    pipes.callback(os.close, reading)
    try:
        os.set_blocking(writing, False)
        if os.write(writing, content) < len(content):
            raise ValueError("longer than a pipe")
    finally:
        os.close(writing)
    return f"/dev/fd/{reading}"


class Tls:
    """The SSLContext of all connections of a backend. The first connection makes it, which takes some 25 ms.

    It trusts the CAs in *ca_bundle* (a PEM file; `~` is expanded), *ca_folder* (a folder of PEM files) or *ca_pem*, and
    no others; without any of them, the CAs of certifi, or those that SSL_CERT_FILE or SSL_CERT_DIR name. *setting* is
    the setting that names the CAs; errors quote it. *client* is our own certificate; when its files change, the next
    connection has the new one. *server_name* is the name that the server's certificate must have, if it is another than
    the host's. Without *verify*, any server is trusted.
    """

    def __init__(
        self,
        ca_bundle: str | None = None,
        setting: str = "the CA bundle",
        *,
        ca_folder: str | None = None,
        ca_pem: bytes | None = None,
        client: ClientCertificate | None = None,
        server_name: str | None = None,
        verify: bool = True,
    ) -> None:
        self._ca_bundle, self._ca_folder, self._ca_pem, self._setting = ca_bundle, ca_folder, ca_pem, setting
        self._client, self._verify, self.server_name = client, verify, server_name
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._digest = b""

    def context(self) -> ssl.SSLContext:
        """Return the context. Raises `ConfigurationError` when the CAs or our certificate cannot be read."""
        with self._lock:
            if self._context is None or self._client is not None:
                self._context = self._current(self._context)
            return self._context

    def _current(self, known: ssl.SSLContext | None) -> ssl.SSLContext:
        """Return the context with our present certificate: *known*, if that is unchanged or cannot be read now."""
        try:
            digest = b"" if self._client is None else self._client.digest()
            if known is not None and digest == self._digest:
                return known
            made = self._make()
            if self._client is not None:
                self._client.load_into(made)
        except ConfigurationError:
            # Its two files are replaced one after the other: for a moment they may not fit, or not be there.
            if known is None:
                raise
            return known
        self._digest = digest
        return made

    def _make(self) -> ssl.SSLContext:
        bundle, folder, source = self._ca_bundle, self._ca_folder, self._setting
        problem = None if bundle is None else _objection(bundle)
        has_own = bundle is not None or folder is not None or self._ca_pem is not None
        if not has_own and os.environ.get("SSL_CERT_FILE"):
            source, problem = "SSL_CERT_FILE", _objection(os.environ["SSL_CERT_FILE"])
        try:
            if problem is None:
                pem = _from_folder(folder) if folder is not None else self._ca_pem
                cafile, capath = (None, None) if pem is not None else self._authorities()
                # OpenSSL passes over the text between certificates. Only ASCII may be in it.
                data = None if pem is None else pem.decode("ascii", "replace").replace("\ufffd", "?")
                if data == "":  # with that, Python would trust the CAs of the system
                    raise ValueError("no certificate")
                context = ssl.create_default_context(cafile=cafile, capath=capath, cadata=data)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                if not self._verify:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                return context
        except (OSError, ValueError):  # ssl.SSLError is an OSError
            source = source if has_own else "SSL_CERT_FILE, SSL_CERT_DIR"
            problem = "it holds none"
        raise ConfigurationError((f"{source}: a readable file of CA certificates in PEM form; {problem}",))

    def _authorities(self) -> tuple[str | None, str | None]:
        """Return the file and the folder of the trusted CAs, of which one is None."""
        if self._ca_bundle is not None:
            return str(expanded(self._ca_bundle)), None
        file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
        if file or not folder:
            return file or _certifi(), None
        return None, folder


def _from_folder(folder: str) -> bytes:
    """Return all that the plain files of *folder* hold. Raises `OSError`, `ValueError`.

    OpenSSL could read a folder, too, but only one whose files are named by the hash of what they hold (c_rehash).
    """
    found = [read(one, MAX_BUNDLE) for one in sorted(expanded(folder).iterdir())]
    return b"\n".join([one for one in found if isinstance(one, bytes)])


def _certifi() -> str:
    """Return the path of certifi's file of public CAs."""
    # Here, because on Python 3.11 certifi brings tempfile, shutil and ten modules more (2 % of what a program computes
    # until its first secret), and a program with its own CAs needs none of them.
    with loading():
        import certifi

    return certifi.where()


def _objection(bundle: str) -> str | None:
    """Return why *bundle* cannot be used, or None.

    OpenSSL is not asked first: it would wait for ever for a pipe, and it would pass over the first certificate after a
    byte order mark.
    """
    found = read(bundle, MAX_BUNDLE)
    if isinstance(found, bytes):
        return "it begins with a byte order mark: save it without" if is_marked(found) else None
    return "it is not there" if found is None else f"it {found}"


class Transport:
    """HTTP to *origin* over one kept connection, through *proxy* if there is one.

    For one thread at a time, except for `close`. Errors name the settings in *names* as remedies.
    """

    def __init__(self, origin: Origin, tls: Tls, names: SettingNames, proxy: Proxy | None = None) -> None:
        self._origin, self._tls, self._names, self._name = origin, tls, names, origin.name
        self._socket = AbortableSocket(origin, names, proxy)
        # Clock seconds until which the connection can be used again; 0 when there is none.
        self._kept_until = 0.0

    def request(
        self, method: str, headers: Sequence[tuple[bytes, bytes]], body: bytes, *, until: float, path: str = "/"
    ) -> HttpAnswer:
        """Send one request as it is, and return its whole answer, by *until* (clock seconds).

        *headers* must hold Host, and Content-Length where there is a body. Raises `ConnectionFailed`, `TlsFailed`,
        `RequestFailed`, `BodyReadFailed`, `BackendTimeout`, `InvalidAnswer` (too long, or not sound),
        `ConfigurationError` (CA bundle, proxy).
        """
        found = self.exchange(method, path.encode(), (*headers, _AS_IT_IS), body, until)
        decoded = {name.decode("latin-1"): value.decode("latin-1") for name, value in found.headers}
        return HttpAnswer(found.status, decoded, found.body)

    def hang_up(self) -> None:
        """Close the kept connection, if there is one; the next request opens another. Must not be called during one."""
        self._kept_until = 0.0
        self._socket.disconnect()

    def close(self) -> None:
        """Close the transport for good. From any thread; a request under way fails at once."""
        self._socket.abort()

    def exchange(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: bytes, deadline: float
    ) -> ParsedAnswer:
        """Do what `request` does, for the two doors to it: the headers go out as they are, and the answer's are bytes.

        An Accept-Encoding among *headers* can only be `identity`: a compressed answer is refused.
        """
        started = now()
        if deadline <= started:
            raise BackendTimeout(f"{self._name}: no time left to ask; allow more", endpoint=self._name)
        head = _head(method, target, headers)
        if head is None:
            text = f"{self._name}: a header holds what cannot be sent; it may come from the credentials: set them anew"
            raise RequestFailed(text, endpoint=self._name)
        self._socket.begin(deadline)
        try:
            found = self._send_and_take(method, head + body, deadline - started)
        finally:
            self._socket.end()
        if _LOG.isEnabledFor(logging.DEBUG):
            took = (now() - started) * 1000
            facts = {"method": method, "endpoint": self._name, "status": found.status, "duration_ms": round(took, 3)}
            text = "%s to %s: HTTP %d in %.1f ms"
            _LOG.debug(text, method, self._name, found.status, took, extra=fields("http_answer", facts))
        return found

    def _send_and_take(self, method: str, sent: bytes, allowed: float) -> ParsedAnswer:
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
        except ssl.SSLError as exc:
            text = certificate_wanted(exc, self._names)
            failure = TlsFailed(f"{self._name}: {text}", endpoint=self._name) if text else None
        except TimeoutError:
            failure = BackendTimeout(f"{self._name}: no whole answer within {allowed:.3g} s", endpoint=self._name)
        except Exception:  # noqa: BLE001, S110  rule 2: any other error may quote a header
            pass
        self.hang_up()
        raise failure or self._broken(parser.status is not None)

    def _connect(self) -> None:
        """Use the kept connection if it can be used again, or else open a new one.

        Raises `ConnectionFailed`, `TlsFailed`, `ConfigurationError`, and `RefusedAnswer` for a server that sends
        something before it is asked.
        """
        kept_until, self._kept_until = self._kept_until, 0.0
        if kept_until and now() < kept_until and not self._socket.is_readable():
            return
        self._socket.disconnect()
        if self._origin.scheme == "https":
            self._socket.connect(self._tls.context(), self._tls.server_name)
        else:
            self._socket.connect(None)
        early = self._socket.read_now(READ_BYTES)
        if early:
            ResponseParser("").feed(early)  # raises if it is not HTTP at all: SSH and SMTP servers speak first
            raise RefusedAnswer("it came before the request")

    def _send_and_read(self, sent: bytes, parser: ResponseParser) -> None:
        """Send the request and feed the answer to *parser*, which is not `complete` if the server hung up too early.

        Raises `RefusedAnswer`, `OSError`.
        """
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
    """Return the head of a request, or None if a part of it holds a line end, a control character or no ASCII."""
    lines = b"\r\n".join([b"%b %b HTTP/1.1" % (method.encode(), target), *map(b": ".join, headers)])
    # All bytes that are not printable must be the line ends that were put in here. One pass over the whole head is much
    # faster than a check of each header.
    if lines.translate(None, _PRINTABLE) != b"\r\n" * len(headers) or target.translate(None, _VISIBLE):
        return None
    return lines + b"\r\n\r\n"
