"""An HTTP proxy's part for the bad server: CONNECT, and then bytes in both directions."""

import base64
import re
import select
import socket
from dataclasses import dataclass

from tests.servers.behaviours import Connection
from tests.servers.http_messages import hang_up

_CONNECT = re.compile(rb"CONNECT \[?([^ \]]+?)\]?:(\d+) HTTP/1\.1\r\n")
_AUTHORIZATION = re.compile(rb"^Proxy-Authorization: Basic (\S+)\r$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Connects its clients with whom they name. With *user* (`name:password`) only those who tell it.

    *port*: connect with that port of this machine, whomever they name. *opened* is the answer that
    opens the tunnel.
    """

    user: str | None = None
    port: int | None = None
    seen: bytearray | None = None
    opened: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def serve(self, connection: Connection) -> None:
        """Relay until one side ends. *seen* gets all that the client sends through the tunnel."""
        request = connection.next_request()
        asked = None if request is None else _CONNECT.match(request.head)
        if request is None or asked is None:
            connection.client.sendall(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n")
            return
        if self.user is not None and not self._knows(request.head):
            refusal = b'HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
            connection.client.sendall(refusal)
            return
        host, port = ("127.0.0.1", self.port) if self.port else (asked[1].decode(), int(asked[2]))
        upstream = socket.create_connection((host, port), timeout=10.0)
        connection.adopt(upstream)
        try:
            connection.client.sendall(self.opened)
            self._relay(connection.client, upstream)
        finally:
            hang_up(upstream)

    def _knows(self, head: bytes) -> bool:
        told = _AUTHORIZATION.search(head)
        return told is not None and base64.b64decode(told[1]).decode() == self.user

    def _relay(self, client: socket.socket, upstream: socket.socket) -> None:
        other = {client: upstream, upstream: client}
        while True:
            for side in select.select([client, upstream], [], [])[0]:
                data = side.recv(65536)
                if not data:
                    return
                if side is client and self.seen is not None:
                    self.seen.extend(data)
                other[side].sendall(data)
