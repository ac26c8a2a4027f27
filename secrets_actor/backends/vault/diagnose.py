"""The part of the doctor for OpenBao and Vault: checks nodes, login, token, mount and permissions in turn.

Rule 1: the doctor changes nothing. Permissions are asked for, and only a get is tried, of a secret that cannot exist. A
        login that would use something up is not tried; the token of any other is given back at the end.
Rule 2: one check builds on the one before. A check that cannot be made because of an earlier fault is reported as
        skipped.
Rule 3: no finding quotes a token, or the text of a server.
Rule 4: the verdict on reading is that of a real get. A token that only reads is a healthy token.
Rule 5: a node that is down or sealed is a fault only if no other serves: the cluster exists for that.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from secrets_actor.backends.http.origin import Origin, parse_origin
from secrets_actor.backends.vault.call_runner import CallRunner, Connection
from secrets_actor.backends.vault.failures import json_object
from secrets_actor.backends.vault.names import Mount
from secrets_actor.backends.vault.protocol import LOOKUP_SELF, VaultCall
from secrets_actor.backends.vault.requests import mount_call, read_call
from secrets_actor.backends.vault.routing import node_at
from secrets_actor.backends.vault.vault_credentials import VaultCredentials, VaultCredentialSource
from secrets_actor.clock import now
from secrets_actor.domain.diagnosis import Finding, Verdict
from secrets_actor.domain.errors import AccessDenied, ConfigurationError, SecretsError
from secrets_actor.uuids import new_uuid

# Seconds that each check may take, within the time for all of them.
STEP: Final = 10.0
# Seconds by which this machine's clock may be off: `server_time_utc` has whole seconds.
NOTICEABLE: Final = timedelta(seconds=30)
# Seconds since 1970: what is later is no date in Python.
YEAR_9999: Final = 253_370_764_800
LOOPBACK: Final = ("127.", "::1", "localhost")
# Rooms of the mount and capabilities there, by what they are for: what the calls of `requests.py` need. A room with a
# slash at its end is its root, and with `/*` the folder of the prefix; to any other belongs the name of a secret.
Need = tuple[str, str]
READ: Final = "reading"
SCAN: Final[Need] = ("detailed-metadata/", "scan")
LIST: Final[Need] = ("metadata/", "list")
SCAN_BELOW: Final[Need] = ("detailed-metadata/*", "scan")
LIST_BELOW: Final[Need] = ("metadata/*", "list")
DESCRIBE: Final[Need] = ("metadata", "read")
WRITING: Final[tuple[Need, ...]] = (("data", "create"), ("data", "update"), DESCRIBE)
METADATA: Final[tuple[Need, ...]] = (("metadata", "create"), ("metadata", "update"), ("metadata", "patch"))
DELETING: Final[tuple[Need, ...]] = (("delete", "update"), ("undelete", "update"), ("metadata", "delete"))
NEEDS: Final = frozenset((SCAN, LIST, SCAN_BELOW, LIST_BELOW, *WRITING, *METADATA, *DELETING))


class Target(Struct, frozen=True):
    """The parts that are diagnosed.

    *nodes* come from *nodes_source*, a setting, a variable, or a default. *connect* makes a connection to nodes, for
    calls in the namespace of the mount, or in none. *token_source* says where the token comes from; *logs_in*: whether
    it is a login's, so that another can be had. *uses_up* is what a login would use up, None for nothing.
    *keeps_tokens*: whether the tokens of sets are to be kept in the metadata. *trusts_all* is the setting or variable
    that says to trust any server. *unheeded* are variables that are set and have no effect.
    """

    nodes: tuple[Origin, ...]
    nodes_source: str
    connect: Callable[[Sequence[Origin], str | None], Connection]
    credentials: VaultCredentialSource
    token_source: str
    mount: Mount
    wall_clock: Callable[[], datetime]
    logs_in: bool = False
    uses_up: str | None = None
    keeps_tokens: bool = True
    trusts_all: str | None = None
    unheeded: tuple[str, ...] = ()


class _Node(Struct, frozen=True):
    """What a node says of itself. *problem*: why it serves nothing, and *remedy*. *leader*: the node that it thinks is
    the active one; None if it knows none. *clock*: its time in seconds since 1970."""

    origin: Origin
    problem: str | None = None
    remedy: str | None = None
    is_active: bool = False
    has_others: bool = True
    leader: str | None = None
    version: str = ""
    cluster: str | None = None
    clock: int | None = None


def diagnose(target: Target, prefix: str, deadline: float) -> Iterator[Finding]:
    """Yield the findings, by *deadline* (clock seconds). The name of the secret that is tried begins with *prefix*."""
    yield from _configured(target)
    nodes = _look_at(target, deadline)
    serving = [one for one in nodes if one.problem is None]
    yield from _states(nodes, has_server=bool(serving))
    if not serving:
        yield Finding("permissions", Verdict.SKIPPED, "not tried: no node serves")
        return
    yield _leader(nodes, serving)
    yield _clock(serving[0], target.wall_clock())
    if target.uses_up is not None:
        yield Finding("login", Verdict.SKIPPED, f"not tried: it would use up {target.uses_up}")
        yield Finding("permissions", Verdict.SKIPPED, "not tried: there is no token")
        return
    try:
        credentials = target.credentials.fetch(_step_deadline(deadline))
    except SecretsError as error:
        yield Finding("login", Verdict.FAULT, str(error))
        yield Finding("permissions", Verdict.SKIPPED, "not tried: there is no token")
        return
    yield Finding("login", Verdict.OK, target.token_source)
    connection = target.connect(target.nodes, target.mount.namespace)
    try:
        yield from _with_token(_Asking(target, connection, credentials, deadline), prefix)
    finally:
        _give_back(target.credentials, deadline)
        connection.close()


class _Asking:
    """What the checks with a token need: the connection, the token, and the deadline."""

    def __init__(self, target: Target, connection: Connection, credentials: VaultCredentials, deadline: float) -> None:
        self.target, self.credentials = target, credentials
        self._connection, self._deadline = connection, deadline

    def run(self, call: VaultCall) -> tuple[int, Mapping[str, Any]]:
        """Return the status of the answer to *call*, and its `data`. Raises `SecretsError`."""
        runner = CallRunner(self._connection, _step_deadline(self._deadline), self.credentials.token)
        answer = runner.run(call)
        data = answer.body.get("data")
        return answer.status, data if isinstance(data, dict) else {}


def _step_deadline(deadline: float) -> float:
    return min(deadline, now() + STEP)


def _give_back(source: VaultCredentialSource, deadline: float) -> None:
    release = getattr(source, "release", None)
    if release is not None:
        with contextlib.suppress(SecretsError):  # it ends by itself
            release(_step_deadline(deadline))


# --- what is configured -----------------------------------------------------------------------------------------------


def _configured(target: Target) -> Iterator[Finding]:
    listed = ", ".join(one.name if one.scheme == "unix" else one.url for one in target.nodes)
    yield Finding("address", Verdict.OK, f"{listed}, from {target.nodes_source}")
    if target.unheeded:
        text = f"set, and without effect here: {', '.join(target.unheeded)}"
        yield Finding("environment", Verdict.WARNING, text, "config/README.md says what is done instead")
    in_clear = [one.name for one in target.nodes if one.scheme == "http" and not one.host.startswith(LOOPBACK)]
    if target.trusts_all is not None:
        text = f"{target.trusts_all} says to trust any server: whoever is in between can read tokens and secrets"
        yield Finding("TLS", Verdict.WARNING, text, "unset it, and name the CA of the server in vault.ca_bundle")
    elif in_clear:
        text = f"none to {', '.join(in_clear)}: tokens and secrets cross the network in clear"
        yield Finding("TLS", Verdict.WARNING, text, "have the server speak TLS, and write https:// in its address")


# --- the nodes --------------------------------------------------------------------------------------------------------


def _look_at(target: Target, deadline: float) -> list[_Node]:
    return [_node(target, one, deadline) for one in target.nodes]


def _node(target: Target, origin: Origin, deadline: float) -> _Node:
    """Ask one node about itself, once. A server refuses these questions in a namespace, so they go without."""
    connection = target.connect([origin], None)
    try:
        health = _ask(connection, "sys/health", deadline)
        if not {"initialized", "sealed"} <= health.keys():
            text, remedy = "what answers is neither OpenBao nor Vault", "check the address, and what stands between"
            return _Node(origin, text, remedy)
        if not health["initialized"]:
            return _Node(origin, "it was never initialised", "bao operator init, or join it to its cluster")
        if health["sealed"]:
            return _Node(origin, "it is sealed", "bao operator unseal, at this node")
        if health.get("replication_dr_mode") == "secondary":
            return _Node(origin, "it is a secondary for disaster recovery, which serves nobody", "take the primary")
        said = _ask(connection, "sys/leader", deadline)
        address, clock, cluster = (said.get("leader_address"), *map(health.get, ("server_time_utc", "cluster_id")))
        return _Node(
            origin,
            is_active=said.get("is_self") is True or said.get("ha_enabled") is False,
            has_others=said.get("ha_enabled") is not False,
            leader=address if isinstance(address, str) and address else None,
            version=str(health.get("version", "unknown")),
            cluster=cluster if isinstance(cluster, str) else None,
            clock=clock if isinstance(clock, int) and 0 < clock < YEAR_9999 else None,
        )
    except SecretsError as error:
        return _Node(origin, str(error))
    finally:
        connection.close()


def _ask(connection: Connection, path: str, deadline: float) -> Mapping[str, Any]:
    """Return the JSON object at *path*, whatever the status: that of `sys/health` is another for each role."""
    until = min(deadline, now() + connection.timeout)
    answer = connection.transport(0).request("GET", connection.heads(None)[0], b"", until=until, path=f"/v1/{path}")
    return json_object(answer.body) or {}


def _states(nodes: Sequence[_Node], *, has_server: bool) -> Iterator[Finding]:
    for number, one in enumerate(nodes, 1):
        check = "node" if len(nodes) == 1 else f"node {number}"
        if one.problem is None:
            role = "active" if one.is_active else "standby"
            yield Finding(check, Verdict.OK, f"{one.origin.name}: {role}, version {one.version}")
        else:
            verdict = Verdict.WARNING if has_server else Verdict.FAULT
            told = one.problem if one.problem.startswith(one.origin.name) else f"{one.origin.name}: {one.problem}"
            yield Finding(check, verdict, told, one.remedy)


def _leader(nodes: Sequence[_Node], serving: Sequence[_Node]) -> Finding:
    if len({one.cluster for one in serving}) > 1 or (len(serving) > 1 and not all(one.has_others for one in serving)):
        text = "the addresses belong to different clusters, each with secrets of its own"
        return Finding("cluster", Verdict.FAULT, text, "name the nodes of one cluster in vault.addresses")
    active = next((one for one in serving if one.is_active), None)
    if active is not None:
        more = "" if active.has_others else ", a server without others"
        return Finding("cluster", Verdict.OK, f"{active.origin.name} is active{more}")
    named = next((one.leader for one in serving if one.leader is not None), None)
    if named is None:
        text = "no node is active: sets and logins wait for an election"
        return Finding("cluster", Verdict.FAULT, text, "see whether more than half of the nodes are up; try again")
    known = next((one for one in nodes if node_at(named, [one.origin]) is not None), None)
    if known is not None:
        text = f"{known.origin.name} is said to be active, and is not: sets and logins wait for an election"
        return Finding("cluster", Verdict.FAULT, text, "see whether more than half of the nodes are up; try again")
    text = f"the active node is none of these, but {_shown(named)}: what must be fresh is asked of any of these"
    return Finding("cluster", Verdict.WARNING, text, "add it to vault.addresses")


def _shown(address: str) -> str:
    """Return the *address* that a node gave if it is one."""
    try:
        return parse_origin(address, "leader").url
    except ConfigurationError:
        return "something that is no address"


def _clock(node: _Node, here: datetime) -> Finding:
    if node.clock is None:
        return Finding("clock", Verdict.SKIPPED, f"{node.origin.name} does not tell its time")
    skew = datetime.fromtimestamp(node.clock, UTC) - here
    seconds = abs(round(skew.total_seconds()))
    if abs(skew) <= NOTICEABLE:
        return Finding("clock", Verdict.OK, f"within {NOTICEABLE.seconds} s of the server's")
    text = f"this machine's clock is {seconds} s {'behind' if skew > timedelta() else 'ahead of'} the server's"
    return Finding("clock", Verdict.WARNING, text, "set it: the end of a token is a moment")


# --- token and mount --------------------------------------------------------------------------------------------------


def _with_token(asking: _Asking, prefix: str) -> Iterator[Finding]:
    for finding in (_token(asking), _mount(asking)):
        yield finding
        if finding.verdict is Verdict.FAULT:
            yield Finding("permissions", Verdict.SKIPPED, f"not tried: see {finding.check}")
            return
    yield from _permissions(asking, prefix)


def _token(asking: _Asking) -> Finding:
    try:
        _, found = asking.run(LOOKUP_SELF)
    except AccessDenied:
        text = "it may not look at itself, so nothing is known of its life"
        return Finding(
            "token", Verdict.WARNING, text, "allow read on auth/token/lookup-self, as the policy default does"
        )
    except SecretsError as error:
        return Finding("token", Verdict.FAULT, str(error))
    ttl, uses, names = found.get("ttl"), found.get("num_uses"), found.get("policies")
    named = names if isinstance(names, list) else []
    life = f"for another {_in_words(ttl)}" if isinstance(ttl, int) and ttl > 0 else "without an end"
    policies = ", ".join(map(str, named)) or "none"
    about = f"{found.get('type')}, {life}; policies: {policies}"
    remedy: str | None = None
    if isinstance(uses, int) and uses != 0:
        about = f"it ends after {max(uses, 0)} more requests, of which each check here is one; {about}"
        remedy = "make one without num_uses"
    elif "root" in named:
        about, remedy = f"it may do everything; {about}", "make one with a policy, such as config/vault-policy.hcl"
    elif life != "without an end" and found.get("renewable") is not True and not asking.target.logs_in:
        about, remedy = f"it cannot be renewed; {about}", "make a renewable one, or log in by another auth_method"
    return Finding("token", Verdict.OK if remedy is None else Verdict.WARNING, about, remedy)


def _in_words(seconds: int) -> str:
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _mount(asking: _Asking) -> Finding:
    mount = asking.target.mount
    try:
        _, found = asking.run(mount_call(mount))
    except AccessDenied:
        text = f"there is no mount at {mount.path}, or no policy of the token names a path below it"
        return Finding("mount", Verdict.FAULT, text, "check vault.mount and the policy; see: bao secrets list")
    except SecretsError as error:
        return Finding("mount", Verdict.FAULT, str(error))
    kind, options = found.get("type"), found.get("options")
    version = options.get("version") if isinstance(options, dict) else None
    if kind not in ("kv", "generic"):
        return Finding(
            "mount", Verdict.FAULT, f"{mount.path} is no KV mount", "check vault.mount; see: bao secrets list"
        )
    if version != "2":
        text = f"{mount.path} is a KV mount of version 1, which keeps one version of a secret"
        return Finding("mount", Verdict.FAULT, text, f"bao kv enable-versioning {mount.path}, or name another mount")
    return Finding("mount", Verdict.OK, f"{mount.store_name}, version 2")


# --- permissions ------------------------------------------------------------------------------------------------------


def _permissions(asking: _Asking, prefix: str) -> Iterator[Finding]:
    name = f"{prefix}{new_uuid()}"
    yield Finding("permissions", Verdict.OK, f"tried on a name that begins with {prefix} and that no secret has")
    finding = _reading(asking, name, prefix)
    yield finding
    if finding.verdict is Verdict.FAULT and finding.remedy is None:
        yield Finding("others", Verdict.SKIPPED, "not tried: a get fails, and so would they")
        return
    paths = {room: _path(asking.target.mount, room, name, prefix) for room, _ in NEEDS}
    try:
        _, found = asking.run(
            VaultCall("POST", "sys/capabilities-self", json.dumps({"paths": sorted(paths.values())}).encode())
        )
    except AccessDenied:
        text = "could not be found out: the token may not ask what it may do"
        remedy = "allow update on sys/capabilities-self, as the policy default does"
        yield Finding("others", Verdict.WARNING, text, remedy)
        return
    except SecretsError as error:
        yield Finding("others", Verdict.WARNING, f"could not be found out: {error}")
        return
    denied = {(room, one) for room, one in NEEDS if not {one, "root"} & set(found.get(paths[room]) or ())}
    yield _listing(asking.target.mount, denied, prefix)
    yield from _changing(asking.target, denied, prefix)


def _path(mount: Mount, room: str, name: str, prefix: str) -> str:
    if room.endswith("/*"):
        return f"{mount.path}/{room[:-1]}{_folder(prefix)}"
    return f"{mount.path}/{room}" if room.endswith("/") else f"{mount.path}/{room}/{name}"


def _folder(prefix: str) -> str:
    """Return the folder of all names that begin with *prefix*; an empty text for the root."""
    return prefix[: prefix.rfind("/") + 1]


def _reading(asking: _Asking, name: str, prefix: str) -> Finding:
    """Return the verdict of a get (rule 4): any error is a fault. Without a remedy, it is none of a permission."""
    mount = asking.target.mount
    try:
        status, _ = asking.run(read_call(mount, name))
    except AccessDenied:
        remedy = (
            f"allow read on {mount.path}/data/{prefix}*; if the policy is for names that do not begin with "
            f"{prefix}, say with what they begin: --prefix"
        )
        return Finding(READ, Verdict.FAULT, "denied", remedy)
    except SecretsError as error:
        return Finding(READ, Verdict.FAULT, f"a get fails: {error}")
    if status != 404:
        return Finding(READ, Verdict.FAULT, f"a get of what is not there is answered with HTTP {status}")
    return Finding(READ, Verdict.OK, "allowed")


def _listing(mount: Mount, denied: Collection[Need], prefix: str) -> Finding:
    if SCAN not in denied:
        return Finding("listing", Verdict.OK, "allowed, all names at once (scan)")
    if not {LIST, DESCRIBE} & set(denied):
        return Finding("listing", Verdict.OK, "allowed, folder by folder (list)")
    if SCAN_BELOW not in denied or not {LIST_BELOW, DESCRIBE} & set(denied):
        text = f"allowed for names that begin with {_folder(prefix)}, and denied for all others"
        return Finding("listing", Verdict.OK, text)
    remedy = (
        f"list, iterate and prefetch by a prefix or a tag need it: allow scan on {mount.path}/detailed-metadata/ "
        f"(OpenBao), or list and read on {mount.path}/metadata/*"
    )
    return Finding("listing", Verdict.WARNING, "denied, at the root of the mount", remedy)


def _changing(target: Target, denied: Collection[Need], prefix: str) -> Iterator[Finding]:
    all_of_them = {*WRITING, *METADATA, *DELETING} - {DESCRIBE}
    if all_of_them <= set(denied):
        yield Finding("writing", Verdict.OK, "denied, as is right for a program that only reads")
        return
    for check, needs, what in (
        ("writing", WRITING, "if this program writes"),
        ("metadata", METADATA, "for descriptions and tags, and to know a late repeat of a set"),
        ("deleting", DELETING, "if this program deletes"),
    ):
        refused = [one for one in needs if one in denied]
        if not refused:
            yield Finding(check, Verdict.OK, f"allowed: {_listed(needs)}")
            continue
        remedy = f"{what}: allow {_in_policy(target.mount, refused, prefix)}"
        if check == "metadata" and target.keeps_tokens:
            remedy += '; or set vault.idempotency to "cas"'
        yield Finding(check, Verdict.WARNING, f"denied: {_listed(refused)}", remedy)


def _listed(needs: Iterable[Need]) -> str:
    return ", ".join(f"{one} on {room}" for room, one in needs)


def _in_policy(mount: Mount, needs: Iterable[Need], prefix: str) -> str:
    by_room: dict[str, list[str]] = {}
    for room, one in needs:
        by_room.setdefault(room, []).append(one)
    return ", ".join(f"{' and '.join(words)} on {mount.path}/{room}/{prefix}*" for room, words in by_room.items())
