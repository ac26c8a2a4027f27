"""Turns the refusals of OpenBao and Vault into our errors, and says what may be done about each. PURE.

Rule 1: the status decides, and beside it words of the server where one status means several things. A word that is not
        known changes nothing. The server's text is dropped: it may quote what was sent.
Rule 2: a refusal that would come again from any node, at any time, is final. All others say where, or when, another
        attempt may succeed (`Remedy`).
Rule 3: a node that answers `no active node` is well: it serves reads, and waits for an election. So it is an error of
        its own, which says nothing against the node.
Rule 4: a 403 means that the policy does not allow it, or that the token has ended. Where the words do not tell, the
        caller of this module has to ask.

The answers of OpenBao 2.7.2 were observed. Those of Vault are from its documentation and its source.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import msgspec

from secrets_actor.backends.vault.protocol import VaultCall
from secrets_actor.domain.errors import (
    AccessDenied,
    ConnectionFailed,
    ExpiredToken,
    InvalidAnswer,
    InvalidRequest,
    NoActiveNode,
    SecretsError,
    StoreError,
    StoreFailure,
    Throttled,
    TlsFailed,
    Unreachable,
)
from secrets_actor.json_text import refuse_deep

Json = Mapping[str, Any]


class CheckAndSetFailed(StoreError):
    """The check-and-set parameter is not the current version: somebody wrote before, or an earlier attempt of ours did.

    It never leaves the backend: the operation looks which of the two it was.
    """

    code = "check_and_set_failed"


class NodeBehind(StoreFailure):
    """The node has not seen our own last write yet, and could not ask the active node.

    It never leaves the backend. It has a code of its own, so that no breaker takes an attempt that ended in it for a
    failure of the node: the node is well.
    """

    code = "node_behind"


class Remedy(Enum):
    """What may help after a failed attempt."""

    NONE = "nothing: it would fail again"
    ELSEWHERE = "another node, or the same one a little later"
    ELECTION = "the node that is elected"
    PREPARED = "any node, once the active one has prepared the mount"
    ACTIVE_NODE = "the active node, which has seen every write"
    NO_INDEX = "the same without an index, which the server cannot read"
    SLOWER = "the same node, later"
    ASK_WHY = "nothing; but it has to be found out whether the token is alive"


_NO_ACTIVE: Final = (
    "no active node at the moment: the nodes are electing one, or too few of them are up, or the active one is not "
    "among vault.addresses; try again"
)
# Texts of nodes that are well, and know no active node. Observed: the first; from the source: the others.
_NO_ACTIVE_WORDS: Final = (
    "local node not active but active cluster node not found",
    "no active vault instance found",
    "node is not active",
)
# What nodes say about a new mount of KV version 2 until the active node has prepared it, for a second (observed).
_UPGRADING: Final = "from non-versioned to versioned data"
_DENIED: Final = (
    "the token is good, but no policy of it allows this: allow {capability} on {path} in one of them, and deny it in "
    "none"
)
_EXPIRED: Final = "the token has ended, was revoked, or was never one of this server's: log in again, or give another"
# The capability that a policy has to name for a call. Whether a POST creates or updates, the server alone knows.
_CAPABILITIES: Final = {
    "GET": "read",
    "LIST": "list",
    "SCAN": "scan",
    "PATCH": "patch",
    "DELETE": "delete",
    "POST": "create and update",
    "PUT": "create and update",
}
_UNABLE: Final = frozenset((501, 505))


class Refusal:
    """A failed attempt: its error, and what may help. *hint* is the URL of the active node, as a standby gave it."""

    __slots__ = ("error", "hint", "is_sealed", "remedy")

    def __init__(
        self, error: SecretsError, remedy: Remedy, hint: str | None = None, *, is_sealed: bool = False
    ) -> None:
        self.error, self.remedy, self.hint, self.is_sealed = error, remedy, hint, is_sealed


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in *body*; None if it holds none."""
    try:
        refuse_deep(body)
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        return None
    return found if isinstance(found, dict) else None


def refusal_of(call: VaultCall, status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """Return the refusal for an answer to *call* with a *status* that is not 2xx.

    None for a 404 that means that there is no such secret, version or folder.
    """
    found = json_object(body)
    said = _words(found)
    match status:
        case 404:
            return _not_found(call, found, said, body)
        case 403:
            return _forbidden(call, said)
        case 400 if found is not None:
            return _bad_request(call, said)
        case 400 if b"HTTP request to an HTTPS server" in body:
            text = "the server speaks https: write https:// in vault.addresses"
            return Refusal(InvalidAnswer(text, status=status), Remedy.NONE)
        case 307 | 308 if headers.get("location", "").startswith(("http://", "https://")):
            return Refusal(NoActiveNode(_NO_ACTIVE, status=status), Remedy.ELECTION, headers["location"])
        case 429 if found is not None and not said and "retry-after" in headers:
            return Refusal(_behind(status), Remedy.ACTIVE_NODE)
        case 429:
            text = "the server's rate limit quota is used up: ask less often, or have the quota raised"
            return Refusal(Throttled(text, status=status), Remedy.SLOWER)
        case 412:
            return Refusal(_behind(status), Remedy.ACTIVE_NODE)
        case 405 | 413 | 415:
            text = f"{call.method} is not what the server does at {_room(call)}, or it is too large (HTTP {status})"
            return Refusal(InvalidRequest(text, status=status), Remedy.NONE)
    if status >= 500:
        return _failed(status, said)
    if found is not None and "errors" in found:
        text = f"the server refuses {call.method} at {_room(call)} (HTTP {status})"
        return Refusal(InvalidRequest(text, status=status), Remedy.NONE)
    return Refusal(alien(call, status), Remedy.NONE)


def alien(call: VaultCall, status: int) -> InvalidAnswer:
    """Return the error for an answer to *call* that is none of OpenBao's or Vault's."""
    text = (
        f"the answer to {call.method} (HTTP {status}) is none of OpenBao's or Vault's: check vault.addresses, and what "
        "stands between"
    )
    return InvalidAnswer(text, status=status)


def not_active(address: str | None) -> Refusal:
    """Return the refusal of a node that is not the active one, which is at *address*, if the node knows it."""
    return Refusal(NoActiveNode(_NO_ACTIVE), Remedy.ELECTION, address)


def token_is_alive(status: int, body: bytes) -> bool | None:
    """Return what an answer to `auth/token/lookup-self` says about the token; None: nothing.

    A live token whose policies do not allow that question is forbidden it in other words than a dead one.
    """
    if 200 <= status < 300:
        return True
    said = _words(json_object(body))
    if status != 403 or not said:
        return None
    return "invalid token" not in said and "1 error occurred" in said


def remedy_for(error: SecretsError) -> Remedy:
    """Return what may help after *error*, which came in place of an answer."""
    return Remedy.ELSEWHERE if isinstance(error, (Unreachable, InvalidAnswer)) else Remedy.NONE


def may_have_taken_effect(error: SecretsError) -> bool:
    """Whether a write whose attempt ended in *error* may have taken effect.

    A redirect to the active node is among them: a node that forwards a request, and loses the active node over it,
    redirects in the end. A failure with a status of 4xx is a clear no.
    """
    if isinstance(error, StoreFailure):
        return error.status is None or not 400 <= error.status < 500
    return isinstance(error, (Unreachable, InvalidAnswer)) and not isinstance(error, (ConnectionFailed, TlsFailed))


def denied(call: VaultCall) -> AccessDenied:
    """Return the error for *call*, which the policy of the token does not allow."""
    path, _, query = call.path.partition("?")
    method = "LIST" if "list=true" in query else "SCAN" if "scan=true" in query else call.method
    return AccessDenied(_DENIED.format(capability=_CAPABILITIES.get(method, method), path=path), status=403)


def ended() -> ExpiredToken:
    """Return the error for a token that is not alive."""
    return ExpiredToken(_EXPIRED, status=403)


def _room(call: VaultCall) -> str:
    """Return the path of *call*, for errors, without its query."""
    return call.path.partition("?")[0]


def _words(found: Json | None) -> str:
    """Return all that the server said in `errors`, in small letters."""
    listed = None if found is None else found.get("errors")
    return "\n".join([one for one in listed if isinstance(one, str)]).lower() if isinstance(listed, list) else ""


def _not_found(call: VaultCall, found: Json | None, said: str, body: bytes) -> Refusal | None:
    if found is None:
        # To a PATCH of what is not there, the answer is empty.
        return None if call.patch and not body else Refusal(alien(call, 404), Remedy.NONE)
    if "namespace not found" in said:
        text = "the server knows no such namespace: check vault.namespace, or BAO_NAMESPACE"
    elif said or _names_another_kind(found):
        where = "check vault.mount, and vault.namespace or BAO_NAMESPACE"
        text = f"there is no KV mount of version 2 at {_room(call)}: {where}"
    else:
        return None
    return Refusal(InvalidRequest(text, status=404), Remedy.NONE)


def _names_another_kind(found: Json) -> bool:
    warnings = found.get("warnings")
    return isinstance(warnings, list) and any("versioned K/V" in str(one) for one in warnings)


def _forbidden(call: VaultCall, said: str) -> Refusal:
    if "invalid token" not in said and "1 error occurred" in said:
        return Refusal(denied(call), Remedy.NONE)
    return Refusal(denied(call), Remedy.ASK_WHY)


def _bad_request(call: VaultCall, said: str) -> Refusal:
    if "check-and-set parameter did not match" in said or "check-and-set parameter does not match" in said:
        text = "another write came first: read the secret, and set it again"
        return Refusal(CheckAndSetFailed(text, status=400), Remedy.NONE)
    if "check-and-set parameter required" in said:
        text = f"{_room(call)} takes only writes with a check-and-set parameter (cas_required)"
        return Refusal(InvalidRequest(text, status=400), Remedy.NONE)
    if _UPGRADING in said:
        text = f"the mount at {_room(call)} is being upgraded to KV version 2: try again"
        return Refusal(StoreFailure(text, status=400), Remedy.PREPARED)
    error = InvalidRequest(f"the server cannot do {call.method} at {_room(call)} as it was asked", status=400)
    return Refusal(error, Remedy.NO_INDEX if "x-vault-index" in said else Remedy.NONE)


def outdated() -> Refusal:
    """Return the refusal that stands for an answer which is older than our own last write."""
    return Refusal(_behind(200), Remedy.ELSEWHERE)


def _behind(status: int) -> NodeBehind:
    text = "the node has not seen our own last write yet, and could not ask the active node: try again"
    return NodeBehind(text, status=status)


def _failed(status: int, said: str) -> Refusal:
    if any(words in said for words in _NO_ACTIVE_WORDS):
        return Refusal(NoActiveNode(_NO_ACTIVE, status=status), Remedy.ELECTION)
    if "is sealed" in said:
        text = "the node is sealed: unseal it"
        return Refusal(StoreFailure(text, status=status), Remedy.ELSEWHERE, is_sealed=True)
    error = StoreFailure(f"the server failed on its side (HTTP {status}): see its log; try again", status=status)
    if status in _UNABLE:
        error.retryable = False
        return Refusal(error, Remedy.NONE)
    return Refusal(error, Remedy.ELSEWHERE)
