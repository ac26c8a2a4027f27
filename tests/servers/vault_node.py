"""A node of Vault that answers by a table: what OpenBao does not say, or says only in moments that no test can arrange.

    VaultNode({"GET sys/leader": leader(is_self=True), "GET kv/data/a": [SEALED, FOUND]})

Rule 1: a request is looked up by its method and path; one that is not in the table gets the answer of "*", or 404.
Rule 2: the answers of a list are given one after the other, over all connections, and the last one for ever.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.servers.behaviours import Answer, Behaviour, Connection
from tests.servers.http_messages import Message

_NOT_FOUND: Final[dict[str, Any]] = {"errors": []}


def said(content: Any, status: int = 200, **headers: str) -> Answer:
    """An answer with *content* as JSON. A header `X_Vault_Index` is sent as X-Vault-Index."""
    fields = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Answer(json.dumps(content).encode(), status, "application/json", fields)


def refused(status: int, *errors: str, **headers: str) -> Answer:
    """A refusal in the shape of Vault's."""
    return said({"errors": list(errors)}, status, **headers)


def redirect(url: str, status: int = 307) -> Answer:
    """What a standby says to a write while it cannot pass it on."""
    return Answer(b"", status, "text/plain", (("Location", url),))


def leader(*, is_self: bool = False, address: str = "") -> Answer:
    """An answer to `GET sys/leader`."""
    return said({"ha_enabled": True, "is_self": is_self, "leader_address": address})


SEALED: Final = refused(503, "Vault is sealed")
UNDONE: Final = refused(500, "local node not active but active cluster node not found")


class VaultNode:
    """The behaviour of each connection to one node; each *answers* is a behaviour, or several."""

    def __init__(self, answers: Mapping[str, Behaviour | Sequence[Behaviour]]) -> None:
        self._lock = threading.Lock()
        self._left = {
            asked: list(given) if isinstance(given, Sequence) else [given] for asked, given in answers.items()
        }

    def serve(self, connection: Connection) -> None:
        """Answer until the client ends."""
        while (request := connection.next_request()) is not None:
            found = self._next(asked(request))
            if not isinstance(found, Answer):
                found.serve(connection)
                return
            found.reply(connection)

    def _next(self, what: str) -> Behaviour:
        with self._lock:
            left = self._left.get(what) or self._left.get("*") or [said(_NOT_FOUND, 404)]
            return left.pop(0) if len(left) > 1 else left[0]


def asked(request: Message) -> str:
    """The method and the path of *request*, without /v1/."""
    method, target, _ = request.head.split(b" ", 2)
    return f"{method.decode()} {target.decode().removeprefix('/v1/')}"


def header(request: Message, name: str) -> str | None:
    """The header *name* of *request*; None: it has none."""
    for line in request.head.decode("latin-1").split("\r\n")[1:]:
        if line.lower().startswith(f"{name.lower()}: "):
            return line.partition(": ")[2]
    return None
