"""What all connections of one backend know about their cluster: the nodes, the active one, how late a read has to be,
and which tokens are alive.

Rule 1: the active node is remembered as a hint. Only the node itself can say that it is active (`GET sys/leader`), and
        a read that has to see the writes of everybody asks it first: a node that has lost an election goes on
        answering, with old values.
Rule 2: the index of our last write goes with each read, so that each node either has seen that write, or asks the
        active node. It is one for all connections, because another worker may read what this one wrote.
        A node that was stopped while it was the active one, and goes on, believes for a moment that it still is. It
        compares nothing then, and answers with what was true before: such an answer has an earlier index of its own.
Rule 3: a token that was found dead stays dead. One that was found alive counts as alive for `ALIVE` seconds.
"""

import threading
from collections.abc import Sequence
from typing import Final

from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.vault import routing
from secrets_actor.domain.secret import SecretValue

# Seconds. It keeps a program that asks for what it may not have from asking twice each time.
ALIVE: Final = 10.0
_INCONSISTENT: Final = (b"X-Vault-Inconsistent", b"forward-active-node")
_NO_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = ()


class Cluster:
    """The nodes at *nodes*, of which there is at least one. For any thread.

    `names` are the nodes' names, as `BackendFactory.endpoints` has them. `active` is the number of the node that was
    active when it was last heard of; None: it is not known. `is_lone` is whether the server is one node that knows no
    others, so that there is nobody else to ask. `index` is that of our last write; None: there is none. `index_headers`
    go with each read.
    """

    def __init__(self, nodes: Sequence[Origin]) -> None:
        self.nodes = tuple(nodes)
        self.names = tuple([one.name for one in self.nodes])
        self.active: int | None = None
        self.is_lone = False
        self.index_headers = _NO_HEADERS
        self._lock = threading.Lock()
        self.index: str | None = None
        self._dead: SecretValue | None = None
        self._alive: tuple[SecretValue, float] | None = None

    def learn_index(self, came: str, *, wrote: bool) -> None:
        """Note the index that *came* with an answer; *wrote*: to a write."""
        if came == self.index:
            return
        with self._lock:
            latest = routing.later_index(self.index, came, wrote=wrote)
            if not (latest.isascii() and latest.isprintable()):  # it cannot be sent, so it is as good as none
                self.index, self.index_headers = None, _NO_HEADERS
                return
            self.index = latest
            self.index_headers = ((b"X-Vault-Index", latest.encode()), _INCONSISTENT)

    def forget_index(self) -> None:
        """Forget the index: a server could not read it."""
        with self._lock:
            self.index, self.index_headers = None, _NO_HEADERS

    def is_alive(self, token: SecretValue, now: float) -> bool | None:
        """Whether *token* is alive, as far as it was found out; None: ask."""
        if self._dead is not None and self._dead == token:
            return False
        alive = self._alive
        return True if alive is not None and now < alive[1] and alive[0] == token else None

    def found(self, token: SecretValue, *, alive: bool, now: float) -> None:
        """Note that *token* is alive, or is not."""
        if alive:
            self._alive = token, now + ALIVE
        else:
            self._dead = token
