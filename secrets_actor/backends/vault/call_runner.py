"""Runs the calls of one operation: sends them to the nodes of a cluster, and repeats what may succeed. The only file of
this backend that waits.

Rule 1: all attempts of a call end by the caller's deadline. `routing.py` decides which node an attempt goes to, and
        when; `failures.py` decides which answers are worth another attempt.
Rule 2: no redirect is followed. One to a configured node is a hint where to send the next attempt; a token goes to no
        other server.
Rule 3: once `Connection.close` was called, a request or a pause ends, and there is no further attempt.
Rule 4: only `SecretsError`s leave this file, and without context: a frame of an earlier attempt holds what was sent.
Rule 5: an answer that cannot be understood ends its connection, for all further answers on it may be out of step.
Rule 6: each attempt is one node's, and its error has that node as its origin.
"""

import random
import threading
from collections.abc import Callable, Collection
from typing import Any, Final

from secrets_actor.backends.http.origin import Origin, SettingNames
from secrets_actor.backends.http.proxy import Proxy
from secrets_actor.backends.http.transport import HttpAnswer, Tls, Transport
from secrets_actor.backends.vault import failures
from secrets_actor.backends.vault.cluster import Cluster
from secrets_actor.backends.vault.failures import Refusal, Remedy
from secrets_actor.backends.vault.protocol import LOOKUP_SELF, VaultAnswer, VaultCall
from secrets_actor.backends.vault.routing import Rounds, asked_last, is_earlier, node_at
from secrets_actor.clock import now
from secrets_actor.domain.errors import (
    BackendTimeout,
    ConfigurationError,
    ConnectionFailed,
    InvalidAnswer,
    SecretsError,
    Unreachable,
    UnrecognizedClient,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.tracing import OK, Attempt

Header = tuple[bytes, bytes]
SETTING_NAMES: Final = SettingNames(
    endpoint="vault.addresses",
    endpoint_url="vault.addresses",
    ca_bundle="vault.ca_bundle",
    proxy="vault.proxy_url",
    client_certificate="vault.client_cert",
)
_JSON: Final = (b"Content-Type", b"application/json")
_PATCH: Final = (b"Content-Type", b"application/merge-patch+json")
_LEADER: Final = VaultCall("GET", "sys/leader")


def _is_sendable(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _no_proxy(_node: Origin) -> Proxy | None:
    return None


class Connection:
    """One worker's connections to the nodes of *cluster*: one to each that it has asked.

    *namespace* goes with each call. *timeout* is in seconds for each attempt. *proxy_of* returns the proxy on the way
    to a node, or None. For one thread at a time, except for `close`.
    """

    def __init__(
        self,
        cluster: Cluster,
        tls: Tls,
        *,
        namespace: str | None = None,
        timeout: float,
        names: SettingNames = SETTING_NAMES,
        proxy_of: Callable[[Origin], Proxy | None] = _no_proxy,
    ) -> None:
        self.cluster, self.timeout = cluster, timeout
        self._tls, self._names, self._proxy_of = tls, names, proxy_of
        self._transports: dict[int, Transport] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        namespaced: tuple[Header, ...] = ()
        if namespace:
            if not _is_sendable(namespace):
                raise ConfigurationError(("vault.namespace: printable ASCII, without blanks",))
            namespaced = ((b"X-Vault-Namespace", namespace.encode()),)
        # A server may demand X-Vault-Request: a form of a browser cannot send it (GHSA-8gmq-wv9h-fcwp).
        self.bare_heads: tuple[tuple[Header, ...], ...] = tuple(
            [((b"Host", one.authority.encode()), (b"X-Vault-Request", b"true")) for one in cluster.nodes]
        )
        self._heads = tuple([one + namespaced for one in self.bare_heads])
        self._token: SecretValue | None = None
        self._heads_with_token = self._heads
        self.order = list(range(len(cluster.nodes)))

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def heads(self, token: SecretValue | None) -> tuple[tuple[Header, ...], ...]:
        """Return, for each node, the headers of all requests with *token*. Raises `UnrecognizedClient`, if it is no
        token."""
        # Compared by identity: the actor passes the same object until it has fetched another.
        if token is not self._token:
            value = "" if token is None else token.reveal()
            text = value if isinstance(value, str) else value.decode(errors="replace")
            if token is not None and not _is_sendable(text):
                raise UnrecognizedClient(
                    "the token holds what no token has, such as a blank or a line end: give it anew"
                )
            shown = () if token is None else ((b"X-Vault-Token", text.encode()),)
            self._token, self._heads_with_token = token, tuple([(*one, *shown) for one in self._heads])
        return self._heads_with_token

    def transport(self, node: int) -> Transport:
        """Return the connection to *node*. Raises `ConnectionFailed` once this is closed."""
        found = self._transports.get(node)
        if found is None:
            origin = self.cluster.nodes[node]
            with self._lock:
                if self._closed.is_set():
                    raise self._given_up()
                found = Transport(origin, self._tls, self._names, self._proxy_of(origin))
                self._transports[node] = found
        return found

    def pause(self, seconds: float) -> None:
        """Wait for *seconds*. Raises `ConnectionFailed` when this is or gets closed."""
        if self._closed.wait(seconds):
            raise self._given_up()

    def close(self) -> None:
        """Close all connections. From any thread, any number of times; a request or a pause under way fails soon."""
        with self._lock:
            self._closed.set()
            transports = list(self._transports.values())
        for one in transports:
            one.close()

    def _given_up(self) -> ConnectionFailed:
        names = ", ".join(self.cluster.names)
        return ConnectionFailed(f"{names}: this connection was given up; ask again", endpoint=names)

    def __repr__(self) -> str:
        return f"<Connection [{', '.join(self.cluster.names)}{', closed' if self.is_closed else ''}]>"


class CallRunner:
    """Runs the calls of one operation over one *connection*, with one *token* (None: without), by one *deadline*.

    Nodes whose names are in *avoid* are asked last. `in_doubt` is true once an attempt of a call that writes may have
    taken effect without an answer that says so. Each attempt is appended to *attempts*, if there is such a list.
    """

    def __init__(
        self,
        connection: Connection,
        deadline: float,
        token: SecretValue | None,
        *,
        avoid: Collection[str] = frozenset(),
        attempts: list[Attempt] | None = None,
        in_doubt: bool = False,
    ) -> None:
        self._connection, self._cluster, self._deadline = connection, connection.cluster, deadline
        self._token, self._attempts, self.in_doubt = token, attempts, in_doubt
        self._heads = connection.heads(token)
        self._avoid, self._order = avoid, connection.order
        if avoid:
            names = self._cluster.names
            self._order = asked_last(self._order, [one for one in self._order if names[one] in avoid])
        # The node that has said, during this operation, that it is the active one.
        self._is_active: int | None = None
        # The nodes that have named an active node that is not configured, those that gave no answer, and of these the
        # ones that took their time for it.
        self._name_others: set[int] = set()
        self._unreachable: set[int] = set()
        self._silent: dict[int, float] = {}

    def run(self, call: VaultCall) -> VaultAnswer:
        """Send *call*, repeat it as long as that is of use, and return the answer: of 2xx, or 404.

        Raises only `SecretsError`s. A 404 is raised as `InvalidRequest` if it means that the mount or the namespace is
        missing. A wrong check-and-set is raised as `failures.CheckAndSetFailed`.
        """
        order = self._order_for(call)
        node = order[0]
        rounds: Rounds | None = None
        while True:
            found = self._attempt(call, node, rounds, order)
            if isinstance(found, VaultAnswer):
                return found
            if rounds is None:
                rounds = Rounds(order, now(), self._silent)
            node = self._after(found, node, rounds)

    # --- where to, and how often ----------------------------------------------------------------------------------

    def _order_for(self, call: VaultCall) -> list[int]:
        """Return the nodes in the order in which they are asked."""
        active = self._cluster.active if call.writes or call.fresh else None
        if active is None or active == self._order[0] or self._is_lost(active):
            return self._order
        return [active, *[one for one in self._order if one != active]]

    def _is_lost(self, node: int) -> bool:
        """Whether *node* has given no answer lately: each attempt at it may cost seconds."""
        return node in self._unreachable or self._cluster.names[node] in self._avoid

    def _after(self, refusal: Refusal, node: int, rounds: Rounds) -> int:
        """Wait until the next attempt, and return its node. Raises the error if there is to be none."""
        self._learn(refusal, node)
        following = rounds.next(
            node,
            refusal,
            self._cluster.active,
            dice=random.random(),  # noqa: S311  jitter
            now=now(),
            deadline=self._deadline,
        )
        if following is None:
            raise rounds.verdict(refusal)
        if following[1]:
            self._connection.pause(following[1])
        return following[0]

    def _learn(self, refusal: Refusal, node: int) -> None:
        """Note what *refusal* says about the cluster."""
        cluster, remedy = self._cluster, refusal.remedy
        if remedy is Remedy.NO_INDEX:
            cluster.forget_index()
        if remedy in (Remedy.ELSEWHERE, Remedy.ELECTION):
            if cluster.active == node:
                cluster.active = None
            if self._is_active == node:
                self._is_active = None
        if remedy is Remedy.ELECTION:
            cluster.is_lone = False
        if isinstance(refusal.error, Unreachable):
            self._unreachable.add(node)
            self._order = asked_last(self._order, (node,))  # for the further calls of this operation
        elif refusal.hint is not None:
            named = node_at(refusal.hint, cluster.nodes)
            # Standbys go on naming a dead node until another is elected.
            if named is not None and not self._is_lost(named):
                cluster.active = named

    # --- one attempt ----------------------------------------------------------------------------------------------

    def _attempt(self, call: VaultCall, node: int, rounds: Rounds | None, order: list[int]) -> VaultAnswer | Refusal:
        started = now()
        left = self._deadline - started
        # A node that hangs must leave time for another.
        has_others = len(order) > 1 if rounds is None else rounds.has_others(node)
        until = started + min(self._connection.timeout, left / 2 if has_others else left)
        found = self._exchange(call, node, until)
        error = found.error if isinstance(found, Refusal) else None
        origin: str | None = self._cluster.names[node]
        if error is not None:
            # A write that gets no answer may be waiting for the active node, to which this one has passed it on. That
            # says nothing against this one, which answers reads.
            if call.writes and len(order) > 1 and node != self._cluster.active and isinstance(error, BackendTimeout):
                origin = None
            error.origin = origin
            if call.writes and failures.may_have_taken_effect(error):
                self.in_doubt = True
        if self._attempts is not None:
            outcome = OK if error is None else error.code
            self._attempts.append(Attempt(call.method, started, now(), outcome, origin))
        return found

    def _exchange(self, call: VaultCall, node: int, until: float) -> VaultAnswer | Refusal:
        """Send *call* to *node*. A call that is `fresh` is sent only if the node says that it is the active one."""
        try:
            if call.fresh and self._is_active != node and not self._cluster.is_lone and len(self._order) > 1:
                other = self._ask_who_is_active(node, until)
                if other is not None:
                    return other
            written = None if call.writes else self._cluster.index
            answer = self._send(call, node, until)
            if 200 <= answer.status < 300:
                index = answer.headers.get("x-vault-index")
                if written is not None and index is not None and is_earlier(index, written):
                    return failures.outdated()
                return self._answer(call, node, answer)
            refusal = failures.refusal_of(call, answer.status, answer.headers, answer.body)
            if refusal is None:
                return self._answer(call, node, answer)
            if refusal.remedy is Remedy.ASK_WHY and self._token is not None:
                refusal = self._with_verdict(call, node, until, refusal)
        except SecretsError as exc:
            error = exc.clone()  # without traceback and context (rule 4)
            refusal = Refusal(error, failures.remedy_for(error))
        if isinstance(refusal.error, InvalidAnswer):
            self._connection.transport(node).hang_up()
        return refusal

    def _send(self, call: VaultCall, node: int, until: float) -> HttpAnswer:
        if call is _LEADER:
            # Not in a namespace, where nobody may ask for it; and not with an index, by which a standby might pass it
            # on to the active node, of which it is true.
            headers = self._connection.bare_heads[node]
        else:
            headers = self._heads[node] if call.writes else self._heads[node] + self._cluster.index_headers
        body = call.body
        if body:
            kind = _PATCH if call.patch else _JSON
            headers += (kind, (b"Content-Length", b"%d" % len(body)))
        elif call.method not in ("GET", "LIST", "SCAN"):
            headers += ((b"Content-Length", b"0"),)
        return self._connection.transport(node).request(
            call.method, headers, body, until=until, path=f"/v1/{call.path}"
        )

    def _answer(self, call: VaultCall, node: int, answer: HttpAnswer) -> VaultAnswer:
        """Return the answer with what it holds. Raises `InvalidAnswer`."""
        index = answer.headers.get("x-vault-index")
        if index is not None:
            self._cluster.learn_index(index, wrote=call.writes)
        body: dict[str, Any] | None = {}
        if answer.body:
            body = failures.json_object(answer.body)
        if body is None:
            raise failures.alien(call, answer.status)
        request_id = body.get("request_id")
        return VaultAnswer(
            answer.status,
            body,
            request_id if isinstance(request_id, str) else None,
            self._cluster.names[node],
            answer.headers.get("date"),
        )

    def _ask_who_is_active(self, node: int, until: float) -> Refusal | None:
        """Ask *node* whether it is the active one. Return None if it is, or if there is nobody else to ask."""
        answer = self._send(_LEADER, node, until)
        if answer.status != 200:
            refusal = failures.refusal_of(_LEADER, answer.status, answer.headers, answer.body)
            if refusal is not None and refusal.remedy is not Remedy.NONE:
                return refusal
            return Refusal(failures.alien(_LEADER, answer.status), Remedy.ELSEWHERE)
        said = failures.json_object(answer.body)
        if said is None:
            return Refusal(failures.alien(_LEADER, answer.status), Remedy.ELSEWHERE)
        if said.get("ha_enabled") is False:
            self._cluster.is_lone = True
            return None
        if said.get("is_self") is True:
            self._is_active = self._cluster.active = node
            return None
        address = said.get("leader_address")
        if isinstance(address, str) and address:
            if node_at(address, self._cluster.nodes) is None:
                self._name_others.add(node)
            # If all have said so, the active node is none of ours, and any node is as good as another.
            return None if len(self._name_others) == len(self._order) else failures.not_active(address)
        return failures.not_active(None)

    def _with_verdict(self, call: VaultCall, node: int, until: float, refusal: Refusal) -> Refusal:
        """Find out whether *call* was forbidden because the token is not alive, and return the refusal that says so."""
        token = self._token
        assert token is not None
        alive = self._cluster.is_alive(token, now())
        if alive is None:
            answer = self._send(LOOKUP_SELF, node, until) if call.path != LOOKUP_SELF.path else None
            alive = failures.token_is_alive(answer.status, answer.body) if answer is not None else False
            if alive is None:
                return refusal
            self._cluster.found(token, alive=alive, now=now())
        return refusal if alive else Refusal(failures.ended(), Remedy.NONE)
