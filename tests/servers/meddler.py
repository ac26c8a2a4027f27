"""Somebody on the way to a server, who does things between two requests and loses answers, as a test tells.

    meddler = Meddler(openbao.node.port)
    meddler.at("POST kv/data/", lose=True)                      # the next one is carried out, and its answer is lost
    meddler.at("POST kv/data/", first=lambda: theirs.put(...))  # somebody else comes first
    with FaultyServer(meddler) as server: ...

Rule 1: an order is for the next request whose method and path, without /v1/, begin as it says; each is for one request.
        Orders for the same beginning are followed in their order.
"""

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.servers.behaviours import Connection
from tests.servers.http_messages import Message, Stream, hang_up

SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Order:
    beginning: str
    first: Callable[[], object] | None
    then: Callable[[], object] | None
    lose: bool
    drop: bool


class Meddler:
    """The behaviour of each connection; requests are passed on to the server at *port*."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._orders: list[_Order] = []
        self._asked: list[str] = []

    def at(
        self,
        beginning: str,
        *,
        first: Callable[[], object] | None = None,
        then: Callable[[], object] | None = None,
        lose: bool = False,
        drop: bool = False,
    ) -> None:
        """At the next request that begins so: do *first*, pass it on, do *then*, and hand the answer back; with *lose*
        hang up instead. With *drop* it is not passed on at all."""
        with self._lock:
            self._orders.append(_Order(beginning, first, then, lose, drop))

    def forget(self) -> None:
        """Forget all orders."""
        with self._lock:
            self._orders.clear()

    @property
    def asked(self) -> list[str]:
        """The methods and paths of all requests so far, without /v1/; emptied by this look."""
        with self._lock:
            found, self._asked = self._asked, []
            return found

    @property
    def left(self) -> int:
        """How many orders no request has met."""
        with self._lock:
            return len(self._orders)

    def serve(self, connection: Connection) -> None:
        """Forward until one side ends, or an answer is lost."""
        upstream = socket.create_connection(("127.0.0.1", self._port), timeout=SECONDS)
        connection.adopt(upstream)
        try:
            answers = Stream(upstream)
            while (request := connection.next_request()) is not None:
                order = self._order_for(request)
                if order is not None and order.first is not None:
                    order.first()
                if order is not None and order.drop:
                    return
                upstream.sendall(request.raw)
                answer = answers.response()
                if order is not None and order.then is not None:
                    order.then()
                if order is not None and order.lose:
                    return
                connection.client.sendall(answer.raw)
        finally:
            hang_up(upstream)

    def _order_for(self, request: Message) -> _Order | None:
        method, target, _ = request.head.split(b" ", 2)
        what = f"{method.decode()} {target.decode().removeprefix('/v1/')}"
        with self._lock:
            self._asked.append(what)
            for order in self._orders:
                if what.startswith(order.beginning):
                    self._orders.remove(order)
                    return order
        return None
