"""One exchange with the HTTP API of OpenBao and Vault: the call, and its answer. PURE."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from secrets_actor.structs import Opaque


class VaultCall(Opaque):
    """A request. *path* is what follows `/v1/`, percent-encoded, with its query: `secret/data/app/a?version=3`.

    *body* is JSON, or empty. *writes*: it changes something, so an attempt without a clear answer leaves doubt.
    *fresh*: the answer has to show the writes of everybody, so the active node is asked. *patch*: the body is a JSON
    merge patch (RFC 7396). The repr leaves the body out: it may hold a secret.
    """

    __slots__ = ("body", "fresh", "method", "patch", "path", "writes")
    SHOWN: ClassVar = ("method", "path", "writes", "fresh", "patch")

    def __init__(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        writes: bool = False,
        fresh: bool = False,
        patch: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.writes = writes
        self.fresh = fresh
        self.patch = patch


# Asks the server about the token itself. It is no use of the mount, and most tokens may ask it (the policy `default`).
LOOKUP_SELF: Final = VaultCall("GET", "auth/token/lookup-self")


class VaultAnswer(Opaque):
    """An answer with a status of 2xx, or 404. *body* is its JSON object; empty if it has none.

    *request_id* is the id of the exchange in the server's audit log. *origin* is the node that answered, as in
    `domain.ports.Answer`. *date* is the Date header. The repr leaves the body out: it may hold a secret.
    """

    __slots__ = ("body", "date", "origin", "request_id", "status")
    SHOWN: ClassVar = ("status", "request_id", "origin")

    def __init__(
        self,
        status: int,
        body: Mapping[str, Any],
        request_id: str | None = None,
        origin: str | None = None,
        date: str | None = None,
    ) -> None:
        self.status = status
        self.body = body
        self.request_id = request_id
        self.origin = origin
        self.date = date
