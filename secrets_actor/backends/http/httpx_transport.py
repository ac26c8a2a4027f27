"""httpx over our connection: code that is written for httpx can run over a `Transport`. THE door to httpx.

Nothing on the way of a secret imports this file. Why? httpx brings along its client, cookies, `email`, `http.client`
and a command line: 105 modules, a fifth of what a program computes from its start to its first secret (measured: 130
of 623 million instructions).
"""

from collections.abc import Iterable
from typing import cast

import httpx

from secrets_actor.backends.http.transport import Transport


class HttpxTransport(httpx.BaseTransport):
    """A transport for `httpx.Client(transport=...)`, which is httpx's public hook: requests go over *transport*, by its
    rules, and raise its errors."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and return its answer with its whole body.

        *request* must have the extension `deadline` (clock seconds). Its Accept-Encoding must be `identity`: a
        compressed answer is refused. Raises what `Transport.request` raises.
        """
        found = self._transport.exchange(
            request.method,
            request.url.raw_path,
            request.headers.raw,
            b"".join(cast("Iterable[bytes]", request.stream)),
            request.extensions["deadline"],
        )
        return httpx.Response(found.status, headers=found.headers, stream=httpx.ByteStream(found.body))

    def close(self) -> None:
        """Close the transport for good, as `Transport.close` does."""
        self._transport.close()
