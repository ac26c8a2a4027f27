"""Decides which node a call is sent to, how often, and when. PURE: times and dice are arguments.

Rule 1: nodes are asked in the order of `vault.addresses`, except that the active node is asked first for what only it
        can do. Nodes that have not answered lately come last.
Rule 2: after a node that fails, the next one is asked at once. When all have failed, that was a round: after a pause,
        which grows, there is another.
Rule 3: once a node has answered that there is no active node, rounds go on until the deadline: an election takes 1 to
        12 seconds, and then the call succeeds. The same goes for a mount that is being prepared, which only the active
        node does. Without such an answer, if the nodes are silent or sealed, there are two
        rounds at least, and more for `OUTAGE` seconds: a node that was started anew is there by then. More would only
        keep the caller from what else it has, such as a stale value.
Rule 4: what the nodes refuse for good ends the call at once.
Rule 5: a node that did not answer in time is asked again only if no other answers, or `OUTAGE` seconds later: each such
        attempt costs seconds. But if it is the active one, and goes on before the others have elected another, nobody
        else can do what only the active node does. A silent node may also have waited for the active node, so that one
        is asked last then.
"""

import base64
import binascii
from collections.abc import Container, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from secrets_actor.backends.http.origin import Origin
from secrets_actor.backends.vault.failures import NodeBehind, Refusal, Remedy
from secrets_actor.domain.errors import BackendTimeout, NoActiveNode, SecretsError, StoreFailure

# Seconds for which a call goes on while no node answers at all.
OUTAGE: Final = 2.0
# Seconds: the first pause between two rounds, and the longest. The nodes of a small cluster elect one within 1.4
# seconds after the active one has died, and pauses of this length make that no longer.
FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
# Seconds: with less time left, an attempt is not worth its beginning. Nodes answer in milliseconds.
LEAST: Final = 0.02
# How often a call is sent in all to a node whose quota is used up, and the first ceiling of the pause in seconds. A
# quota counts for an interval, which is one second unless it was configured.
MAX_THROTTLED: Final = 4
THROTTLED_PAUSE: Final = 0.5
_PORTS: Final = {"https": 443, "http": 80}


class Rounds:
    """The attempts of one call at the nodes with these numbers, in this order. It began at *now* (clock seconds).

    *silent* are the nodes that did not answer the calls of the same operation in time, and when that was found; those
    of this call are added.
    """

    def __init__(self, order: Sequence[int], now: float, silent: dict[int, float] | None = None) -> None:
        self._order, self._began = order, now
        self._round: dict[int, Refusal] = {}  # how the nodes failed in the round under way
        self._last_round: list[Refusal] = []
        self._silent = {} if silent is None else silent
        self._rounds = self._throttled = self._behind = 0
        self._has_forgotten = self._waits = False

    def has_others(self, node: int) -> bool:
        """Whether there are nodes besides *node* that can be asked in this round."""
        return any(one != node and self._may_be_asked(one) for one in self._order)

    def next(
        self, node: int, refusal: Refusal, active: int | None, *, dice: float, now: float, deadline: float
    ) -> tuple[int, float] | None:
        """*node* has failed with *refusal*. Return the next node to ask and the seconds to wait before, or None.

        *active* is the node that was named as the active one, if there is one. *dice* is from 0 to 1.
        """
        match refusal.remedy:
            case Remedy.NONE | Remedy.ASK_WHY:
                return None
            case Remedy.NO_INDEX:
                again, self._has_forgotten = not self._has_forgotten, True
                return (node, 0.0) if again else None
            case Remedy.SLOWER:
                self._throttled += 1
                pause = _jittered(THROTTLED_PAUSE * 2.0 ** (self._throttled - 1), dice)
                return _in_time(node, pause, now, deadline) if self._throttled < MAX_THROTTLED else None
            case Remedy.ACTIVE_NODE:
                self._behind += 1
                return _in_time(node if active is None else active, _pause(self._behind, dice), now, deadline)
        self._round[node] = refusal
        self._waits = self._waits or refusal.remedy in (Remedy.ELECTION, Remedy.PREPARED)
        is_silent = isinstance(refusal.error, BackendTimeout)
        if is_silent:
            self._silent[node] = now
        if active is not None and refusal.remedy is Remedy.ELECTION and self._may_be_asked(active):
            return active, 0.0
        for one in asked_last(self._order, (active,)) if is_silent else self._order:
            if self._may_be_asked(one):
                return one, 0.0
        return self._next_round(now, deadline, dice)

    def verdict(self, refusal: Refusal) -> SecretsError:
        """Return the error to raise after the last attempt, which failed with *refusal*: that of an answer that is
        final, else the most telling of the last two rounds, for the deadline may have cut the very last one short."""
        if refusal.remedy in (Remedy.NONE, Remedy.ASK_WHY):
            return refusal.error
        failed = [*self._last_round, *self._round.values(), refusal]
        errors = [one.error for one in failed]
        sealed = [one for one in failed if one.is_sealed]
        if len(sealed) == len(failed) and len(self._order) > 1:
            error: SecretsError = StoreFailure("all nodes of vault.addresses are sealed: unseal them", status=503)
            error.origin = refusal.error.origin
            return error
        if isinstance(refusal.error, NodeBehind):
            error = StoreFailure(str(refusal.error), status=refusal.error.status)
            error.origin = refusal.error.origin
            return error
        for kind in (NoActiveNode, StoreFailure):
            telling = [one for one in errors if isinstance(one, kind)]
            if telling:
                return telling[-1]
        return errors[-1]

    def _may_be_asked(self, node: int) -> bool:
        return node not in self._round and node not in self._silent

    def _next_round(self, now: float, deadline: float, dice: float) -> tuple[int, float] | None:
        failed = self._round.values()
        if not self._waits and not any(one.error.retryable for one in failed):
            return None
        self._rounds += 1
        if not self._waits and self._rounds > 1 and now - self._began >= OUTAGE:
            return None
        pause = _pause(self._rounds, dice)
        if now + pause + LEAST >= deadline:
            return None
        self._last_round, self._round = list(failed), {}
        alone = all(one in self._silent for one in self._order)
        for one in [one for one, since in self._silent.items() if alone or now - since >= OUTAGE]:
            del self._silent[one]
            if not alone:
                self._order = asked_last(self._order, (one,))
        return next(one for one in self._order if one not in self._silent), pause


def _in_time(node: int, pause: float, now: float, deadline: float) -> tuple[int, float] | None:
    return (node, pause) if now + pause + LEAST < deadline else None


def _pause(times: int, dice: float) -> float:
    """Return the pause after the failure number *times*: it doubles each time, up to the longest."""
    return _jittered(min(FIRST_PAUSE * 2.0 ** min(times - 1, 16), LONGEST_PAUSE), dice)


def _jittered(ceiling: float, dice: float) -> float:
    """Return between a half of *ceiling* and all of it: not all clients of a cluster must come back at once."""
    return ceiling * (0.5 + 0.5 * dice)


def asked_last(order: Sequence[int], late: Container[int | None]) -> list[int]:
    """Return *order* with the nodes that are in *late* at its end."""
    return [*[one for one in order if one not in late], *[one for one in order if one in late]]


def node_at(url: str, nodes: Sequence[Origin]) -> int | None:
    """Return the number of the node that *url* belongs to; None: to none that is configured, or it is no URL.

    The scheme has to be the same: nobody must be led from https to http.
    """
    try:
        parts = urlsplit(url)
        asked = Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0))
    except ValueError:
        return None
    return next((number for number, one in enumerate(nodes) if _same(one, asked)), None)


def _same(one: Origin, other: Origin) -> bool:
    return (one.scheme, one.host.lower(), one.port) == (other.scheme, other.host.lower(), other.port)


def later_index(known: str | None, came: str, *, wrote: bool) -> str:
    """Return the later of two indexes (X-Vault-Index): the *known* one, and the one that *came* with an answer.

    An index is base64 of `{"cluster": ID, "value": "52"}`. Where one cannot be read, or belongs to another cluster, the
    one that *came* counts if the answer was to a write: it is at least as late as that write.
    """
    if known is None or known == came:
        return came
    old, new = _index(known), _index(came)
    if old is None or new is None or old[0] != new[0]:
        return came if wrote else known
    return came if new[1] > old[1] else known


def is_earlier(came: str, than: str) -> bool:
    """Whether the index that *came* is earlier than another of the same cluster. What cannot be compared is not."""
    if came == than:
        return False
    new, old = _index(came), _index(than)
    return new is not None and old is not None and new[0] == old[0] and new[1] < old[1]


def _index(text: str) -> tuple[str, int] | None:
    try:
        found = msgspec.json.decode(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        return None
    match found:
        case {"cluster": str(cluster), "value": str(value)} if len(value) <= 20 and value.isdecimal():
            return cluster, int(value)
    return None
