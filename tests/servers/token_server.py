"""A server of tokens by a clock that a test moves: the part of Vault that logins meet, over days that take no time.

OpenBao's own clock cannot be moved. What is played here is what OpenBao 2.7.2 was seen to do, in the tests of
`tests/backends/vault/auth` that run against it.
"""

import itertools
import threading
from collections.abc import Callable
from typing import Any, Final

from tests.servers.behaviours import Answer, Connection
from tests.servers.vault_node import SEALED, asked, header, refused, said

_DENIED: Final = refused(403, "permission denied")


class TokenServer:
    """The behaviour of each connection. A login is good while `good`, and grants a token for *lease* seconds, which is
    renewed up to *maximum* seconds after the login. While `away`, the server is sealed. `counts` has how often each
    was done."""

    def __init__(self, clock: Callable[[], float], lease: float, maximum: float) -> None:
        self._clock, self._lease, self._maximum = clock, lease, maximum
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._tokens: dict[str, tuple[float, float]] = {}  # the end, and the latest end
        self.good, self.away = True, False
        self.counts = dict.fromkeys(("login", "refused", "renewal", "lookup", "revocation"), 0)

    @property
    def alive(self) -> list[str]:
        """The tokens that are good now."""
        return [token for token, (end, _) in self._tokens.items() if self._clock() < end]

    def serve(self, connection: Connection) -> None:
        """Answer until the client ends."""
        while (request := connection.next_request()) is not None:
            with self._lock:
                answer = SEALED if self.away else self._answer(asked(request), header(request, "X-Vault-Token"))
            answer.reply(connection)

    def _answer(self, what: str, token: str | None) -> Answer:
        if what.endswith("/login") or "/login/" in what:
            return self._login()
        if token is None or token not in self.alive:
            return _DENIED
        end, latest = self._tokens[token]
        if what.endswith("/renew-self"):
            self.counts["renewal"] += 1
            end = min(self._clock() + self._lease, latest)
            self._tokens[token] = end, latest
            return said({"auth": self._auth(token, end)})
        if what.endswith("/lookup-self"):
            self.counts["lookup"] += 1
            return said({"data": {"ttl": int(end - self._clock()), "renewable": True, "num_uses": 0}})
        self.counts["revocation"] += 1
        del self._tokens[token]
        return Answer(b"", 204)

    def _login(self) -> Answer:
        if not self.good:
            self.counts["refused"] += 1
            return refused(400, "invalid role or secret ID")
        self.counts["login"] += 1
        token, now = f"hvs.{next(self._numbers)}", self._clock()
        self._tokens[token] = now + min(self._lease, self._maximum), now + self._maximum
        return said({"auth": self._auth(token, self._tokens[token][0])})

    def _auth(self, token: str, end: float) -> dict[str, Any]:
        lasts = int(end - self._clock())
        return {"client_token": token, "accessor": "a", "lease_duration": lasts, "renewable": True, "num_uses": 0}
