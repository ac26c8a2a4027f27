"""Requests as a listener makes them, and the answers to them."""

import asyncio
from typing import Any

import msgspec

from secrets_actor.clock import now as clock_now
from secrets_actor.faces.exchange import Handler, Request, Response
from secrets_actor.faces.identity import Peer

LISTENER = "unix:/run/secrets-actor/api.sock"


def request(
    path: str,
    method: str = "GET",
    *,
    query: str = "",
    body: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (("host", "localhost"),),
    peer: Peer | None = None,
) -> Request:
    """A request of this machine's user 1000."""
    peer = Peer(uid=1000, gid=1000, pid=1, user="deploy") if peer is None else peer
    return Request(method, path, query, headers, body, peer, LISTENER, clock_now() + 10)


def answer(handler: Handler, asked: Request) -> Response:
    """What *handler* answers."""

    async def ask() -> Response:
        return await handler(asked)

    return asyncio.run(ask())


def json_of(response: Response) -> Any:
    """The body of an answer that says it is JSON."""
    assert ("content-type", "application/json") in response.headers
    return msgspec.json.decode(response.body)
