"""One HTTP exchange as the faces see it: the request, and the answer. PURE.

Rule 1: no face meets the library that speaks HTTP: `server.py` makes the request, and writes the answer.
Rule 2: a header that decides who asks or what is asked must stand once. `one` refuses it if it is repeated, because
        two programs on the way of a request could each take another one of the two.
Rule 3: no repr shows headers, query or body: they may hold a value, a token or a signature.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from secrets_actor.faces.identity import Peer
from secrets_actor.structs import Opaque

Headers = tuple[tuple[str, str], ...]


class Request(Opaque):
    """A request that was read whole.

    *path* and *query* are as they were sent: percent-encoded, the query without its `?`. *headers* have names in lower
    case, in the order in which they came; values are decoded as Latin-1. *peer* is the process or host that connected.
    *listener* is the address that it connected to, as the configuration spells it. *deadline* is in clock seconds: by
    then there must be an answer.
    """

    __slots__ = ("body", "deadline", "headers", "listener", "method", "path", "peer", "query")
    SHOWN = ("method", "path", "peer", "listener", "deadline")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        body: bytes,
        peer: Peer,
        listener: str,
        deadline: float,
    ) -> None:
        self.method, self.path, self.query, self.headers, self.body = method, path, query, headers, body
        self.peer, self.listener, self.deadline = peer, listener, deadline

    def all(self, name: str) -> tuple[str, ...]:
        """Return the values of all headers *name* (in lower case)."""
        return tuple([value for given, value in self.headers if given == name])

    def one(self, name: str) -> str | None:
        """Return the value of the header *name* (in lower case); None if there is none. Raises `RepeatedHeader`."""
        found = None
        for given, value in self.headers:
            if given == name:
                if found is not None:
                    raise RepeatedHeader(name)
                found = value
        return found


class RepeatedHeader(Exception):
    """A header that must stand once stands twice. `name` is its name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the header {name} is repeated")
        self.name = name


class Response(Opaque):
    """An answer. *headers* have no Content-Length, Date or Connection: the server writes them.

    With *stream*, the body is what that yields, each item sent at once, after *body*. The server stops it, with a last
    call of `aclose`, when the client goes away or the listener drains: what it awaits then is cancelled. When the
    listener drains, it may catch that (`asyncio.CancelledError`) and yield one last item.
    """

    __slots__ = ("body", "headers", "status", "stream")
    SHOWN = ("status",)

    def __init__(
        self, status: int, headers: Headers = (), body: bytes = b"", stream: AsyncIterator[bytes] | None = None
    ) -> None:
        self.status, self.headers, self.body, self.stream = status, headers, body, stream


# Answers a request. Raises nothing but cancellation: a face has an answer for each error.
Handler = Callable[[Request], Awaitable[Response]]


class Face(Protocol):
    """One face: it says which requests are for it, and answers them."""

    @property
    def name(self) -> str:
        """Its name in the configuration, such as `aws`."""

    def takes(self, request: Request) -> bool:
        """Whether *request* is for this face, by method, path and the names of headers."""

    async def answer(self, request: Request) -> Response:
        """Answer *request*. Raises nothing but cancellation."""
