"""A TLS server on loopback, for what the shared bad server does not do: it answers each request over TLS, with `{}`
unless told otherwise."""

import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

from tests.servers.behaviours import Answer, Behaviour
from tests.servers.http_messages import Message, Stream, hang_up

WAIT_SECONDS = 10.0


def certificate_files(directory: Path, authority: trustme.CA, certificate: trustme.LeafCert) -> tuple[Path, Path, Path]:
    """(authority, chain, key) as PEM files in *directory*."""
    ca, chain, key = directory / "ca.pem", directory / "chain.pem", directory / "key.pem"
    authority.cert_pem.write_to_path(str(ca))
    certificate.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    return ca, chain, key


class TlsServer:
    """Context manager. One connection after the other; `handshakes` counts those that came about.

    With *clients*, the file of a CA, a client has to show a certificate of it; `serials` are the numbers of those that
    were shown. With *newest* false it speaks TLS 1.2, in which a client is refused during the handshake.
    """

    def __init__(
        self,
        chain: Path,
        key: Path,
        behaviour: Behaviour | None = None,
        *,
        clients: Path | None = None,
        newest: bool = True,
    ) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain, key)
        if clients is not None:
            self._context.load_verify_locations(clients)
            self._context.verify_mode = ssl.CERT_REQUIRED
        if not newest:
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.serials: list[int] = []
        self._behaviour = behaviour or Answer()
        self.ended = threading.Event()
        self.handshakes = 0

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name=f"tls-{self.port}")
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.ended.set()
        socket.create_connection(("127.0.0.1", self.port)).close()  # wakes the accept
        self._thread.join(WAIT_SECONDS)
        self._listener.close()
        if self._thread.is_alive():
            raise RuntimeError("the TLS server's thread did not end")

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self.ended.is_set():
                client.close()
                return
            client.settimeout(WAIT_SECONDS)
            try:
                self._answer(self._context.wrap_socket(client, server_side=True))
            except OSError:
                client.close()  # the client did not like the certificate, or left

    def _answer(self, client: ssl.SSLSocket) -> None:
        self.handshakes += 1
        shown = client.getpeercert()
        if shown:
            self.serials.append(int(str(shown["serialNumber"]), 16))
        self.client, self._stream = client, Stream(client)
        try:
            self._behaviour.serve(self)
        finally:
            hang_up(client)

    def next_request(self) -> Message | None:
        """As `Behaviour`s ask for it."""
        return self._stream.request()

    def adopt(self, upstream: socket.socket) -> None:
        """As `Behaviour`s may ask for it: nothing is forwarded here."""
        raise NotImplementedError
