"""Requests and answers of httpx, over our connection. THE door to httpx.

Services that are asked now and then, such as those that give out credentials, are asked here: httpx frames the request
(Host, Content-Length) and reads the answer's headers, and the connection is ours, with its deadlines and its refusals.

Why is not every request made here? A request for a secret is made thousands of times, and its Request and Response take
almost as long as all the rest of it (18 of 40 us). And httpx brings along its client, cookies, `email`, `http.client`
and a command line: 105 modules, a fifth of what a program computes from its start to its first secret. So nothing on
the way of a secret imports this file. Why no httpx.Client? It logs each URL at INFO, and the URL of a container's
credentials is as good as a password.
"""

from collections.abc import Iterable, Sequence
from typing import cast

import httpx

from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.http.transport import Transport
from secrets_actor.domain.errors import RequestFailed


class HttpxTransport(httpx.BaseTransport):
    """A transport of httpx, which is its public hook: requests go over *transport*, by its rules, and raise its errors.

    So `httpx.Client(transport=...)` can run over it, too. For one thread at a time, except for `close`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, and return its answer with its whole body.

        *request* must have the extension `deadline` (clock seconds), and may have `target`, the bytes to send in place
        of the URL's path and query. Its Accept-Encoding can only be `identity`: a compressed answer is refused. Raises
        what `Transport.request` raises.
        """
        found = self._transport.exchange(
            request.method,
            request.extensions.get("target", request.url.raw_path),
            request.headers.raw,
            b"".join(cast("Iterable[bytes]", request.stream)),
            request.extensions["deadline"],
        )
        return httpx.Response(found.status, headers=found.headers, stream=httpx.ByteStream(found.body), request=request)

    def ask(
        self,
        method: str,
        origin: Origin,
        path: str = "/",
        headers: Sequence[tuple[bytes, bytes]] = (),
        content: bytes = b"",
        *,
        until: float,
    ) -> httpx.Response:
        """Send one request to *origin*, and return its whole answer, read, by *until* (clock seconds).

        *path* is sent as it is, query included: no client of AWS's changes the path that a service gave it. Raises what
        `Transport.request` raises.
        """
        extensions = {"deadline": until, "target": path.encode()}
        sent = [*headers, (b"Accept-Encoding", b"identity")]
        try:
            request = httpx.Request(method, origin.url, headers=sent, content=content, extensions=extensions)
        except (httpx.InvalidURL, UnicodeError):  # UnicodeError: `idna` refuses a name that begins with xn--
            request = None
        if request is None:
            text = f"{origin.name}: httpx takes no such host; check the setting or the variable that names it"
            raise RequestFailed(text, endpoint=origin.name)
        response = self.handle_request(request)
        response.read()
        return response

    def close(self) -> None:
        """Close the transport for good, as `Transport.close` does."""
        self._transport.close()
