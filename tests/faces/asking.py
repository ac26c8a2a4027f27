"""Requests with a target and headers, for tests of what a face reads of them."""

from typing import Any, Final

from secrets_actor.faces.exchange import Request
from secrets_actor.faces.identity import Peer

UNIX: Final = Peer(uid=1000, gid=1000, pid=4321, user="deploy", groups=frozenset({"web"}), unit="billing.service")
TCP: Final = Peer(address="127.0.0.1:50000")
FAR_AWAY: Final = 1e12  # clock seconds


def request(
    target: str, *headers: tuple[str, str], method: str = "GET", body: bytes = b"", peer: Peer = TCP, **more: Any
) -> Request:
    """A request for *target*, a path with or without a query."""
    path, _, query = target.partition("?")
    named = tuple((name.lower(), value) for name, value in headers)
    given = {"listener": "127.0.0.1:2773", "deadline": FAR_AWAY, **more}
    return Request(method, path, query, named, body, peer, **given)


def changed(asked: Request, **parts: Any) -> Request:
    """*asked* with other *parts*."""
    return Request(**{name: parts.get(name, getattr(asked, name)) for name in Request.__slots__})
