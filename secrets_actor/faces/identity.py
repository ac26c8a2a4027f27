"""Who asks: what the kernel, a token, a key or a certificate says of a caller. PURE.

Rule 1: an identity rests only on what the caller cannot choose: what the kernel tells of the process at the other end
        of a Unix socket, and what the caller has proved to hold. Nothing of it is read from the request's text.
Rule 2: what is known of one caller adds up: a process that also shows a token is both.
Rule 3: an identity holds no token, key or signature, only their names. It may stand in any log line.
Rule 4: a term, such as `unit:billing.service`, says one thing that is known of a caller, in the words of a rule
        (policy.py). What stands before the colon is ours: no name that a caller has, or chooses, makes a term of
        another kind.
Rule 5: the kernel says `NOBODY` of each user that our user namespace does not know, so it is no term: it would be a
        rule for everybody. The same goes for a name that is a number: it means that this machine has no name for it.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.tracing import MAX_CALLER_LENGTH, CallerFacts

# What `key` is for a key that the daemon has minted. It is no term: the identity is that of whom it was minted for.
MINTED: Final = "minted"
# Linux, Documentation/admin-guide/sysctl/fs.rst, `overflowuid`: what stands for an id that has no counterpart here.
NOBODY: Final = 65534
SPIFFE: Final = "spiffe://"
_UNNAMED: Final = "an unknown caller"


class Peer(Struct, frozen=True, cache_hash=True):
    """The other end of a connection, as the kernel and TLS tell it.

    On a Unix socket: *uid*, *gid*, the process *pid* (None: it is in another pid namespace), the names *user*
    and *groups* (a name that the machine does not know is the number as text), and the systemd *unit* of the process,
    if the system's manager runs it, or its *user_unit*, as `UID/NAME`, if the manager of user UID does: the name of the
    latter is the user's own choice. *by_manager*: it is no process that asks, but the manager of a unit on its behalf,
    for a systemd credential; then only the unit is known. On TCP: *address* as `host:port`, and *certificate*, the name
    in the client's certificate, if it showed one that was verified.
    """

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    user: str | None = None
    groups: frozenset[str] = frozenset()
    unit: str | None = None
    user_unit: str | None = None
    address: str | None = None
    certificate: str | None = None
    by_manager: bool = False


class Identity(Struct, frozen=True, cache_hash=True):
    """A caller: the *peer* at the other end, and the names of the *token* and the *key* that it has proved to hold.

    With a minted key (`minted_keys.py`), *peer* is the process that the key was minted for, and *key* is `minted`.
    """

    peer: Peer
    token: str | None = None
    key: str | None = None


def terms(identity: Identity) -> frozenset[str]:
    """Return all terms that are true of *identity*.

    An instance of a template, `worker@1.service`, has the term of the template, too: `unit:worker@.service`.
    """
    peer, found = identity.peer, set(_proofs(identity))
    found.update(f"group:{name}" for name in peer.groups if not name.isdecimal())
    if peer.uid is not None and peer.uid != NOBODY:
        found.add(f"uid:{peer.uid}")
    if _is_name(peer.user) and peer.uid != NOBODY:
        found.add(f"user:{peer.user}")
    if peer.gid is not None and peer.gid != NOBODY:
        found.add(f"gid:{peer.gid}")
    if peer.unit is not None:
        found.add(f"unit:{peer.unit}")
        found.add(f"unit:{template_of(peer.unit)}")
    if peer.user_unit is not None:
        found.add(f"user_unit:{peer.user_unit}")
    return frozenset(found)


def template_of(unit: str) -> str:
    """Return the template that the systemd unit *unit* is an instance of; *unit* itself if it is none."""
    name, at, instance = unit.partition("@")
    return f"{name}@.{instance.rpartition('.')[2]}" if at and "." in instance else unit


def _proofs(identity: Identity) -> list[str]:
    """Return the terms for what *identity* has proved to hold."""
    held = []
    if identity.token is not None:
        held.append(f"token:{identity.token}")
    if identity.key not in (None, MINTED):
        held.append(f"key:{identity.key}")
    name = identity.peer.certificate
    if name is not None:
        # Whoever signs certificates chooses the name in them. So only a SPIFFE id, which no other term looks like,
        # stands for itself.
        held.append(name if name.startswith(SPIFFE) else f"certificate:{name}")
    return held


def name_of(identity: Identity) -> str:
    """Return how refusals and the audit log call *identity*, such as `unit:billing.service (user deploy)`."""
    peer = identity.peer
    user = f"user {peer.user}" if _is_name(peer.user) else None if peer.uid is None else f"uid {peer.uid}"
    units = [f"unit:{peer.unit}"] if peer.unit else [f"user_unit:{peer.user_unit}"] if peer.user_unit else []
    names = "+".join([*_proofs(identity), *units])
    if not names:
        return _printable(user.replace(" ", ":") if user else _UNNAMED)
    return _printable(names if user is None else f"{names} ({user})")


def caller_facts(identity: Identity) -> CallerFacts:
    """Return *identity* as the audit log has it, for `AsyncSecrets.for_caller`.

    The fact `by` says what the identity rests on: `peer` (the kernel, at the other end of a Unix socket), `minted` (the
    kernel, when the key was minted), `manager` (the manager of the unit, which asks for a systemd credential), and the
    terms of what the caller has proved to hold, with `+` between them; `nothing` if that is all.
    """
    peer = identity.peer
    by = [] if peer.uid is None else [MINTED if identity.key == MINTED else "peer"]
    if peer.by_manager:
        by = ["manager"]
    given = (
        ("user", peer.user),
        ("uid", peer.uid),
        ("unit", peer.unit),
        ("user_unit", peer.user_unit),
        ("pid", peer.pid),
        ("address", peer.address),
        # Not `token` and `key`: the log masks what stands under such a name.
        ("by", "+".join([*by, *_proofs(identity)]) or "nothing"),
    )
    return CallerFacts(name_of(identity), tuple([(name, fact) for name, fact in given if fact is not None]))


def _is_name(name: str | None) -> bool:
    return name is not None and not name.isdecimal()


def _printable(text: str) -> str:
    """Return *text* as one that a label may be: the name of a user or a unit may hold any bytes."""
    return "".join([one if one.isprintable() else "?" for one in text])[:MAX_CALLER_LENGTH]


# --- the words of rules -----------------------------------------------------------------------------------------------

# What may stand behind each kind: as systemd, the kernel and our own settings have it. There is no `+` in any of them,
# because it parts the terms of a rule.
_UNIT: Final = r"[A-Za-z0-9:_.\\@-]{1,246}\.(?:service|scope|socket|mount|swap)"
_NUMBER: Final = r"0|[1-9][0-9]{0,9}"
_NAME: Final = r"(?![0-9]+$)[^\s+:/][^\s+:/]{0,63}"
KINDS: Final = {
    "unit": (_UNIT, "NAME.service"),
    "user_unit": (rf"(?:{_NUMBER})/{_UNIT}", "UID/NAME.service"),
    "user": (_NAME, "NAME"),
    "uid": (_NUMBER, "N"),
    "group": (_NAME, "NAME"),
    "gid": (_NUMBER, "N"),
    "token": (r"[A-Za-z0-9._@-]{1,64}", "NAME"),
    "key": (r"[A-Za-z0-9._@-]{1,64}", "NAME"),
    "certificate": (r"[^\s+]{1,255}", "NAME"),
    "spiffe": (r"//[^\s+]{1,2040}", "//DOMAIN/PATH"),
}
_ALLOWED: Final = ", ".join([f"{kind}:{shown}" for kind, (_, shown) in KINDS.items()])


def term_mistake(term: str) -> str | None:
    """Return what is wrong with *term*, a word of a rule; None if nothing is."""
    kind, _, name = term.partition(":")
    pattern, shown = KINDS.get(kind, ("", ""))
    if not pattern:
        return f"one of {_ALLOWED}; with + between them, all at once"
    if not re.fullmatch(pattern, name):
        numbers = {"user": "; a number is a uid", "group": "; a number is a gid"}
        return f"{kind}:{shown}{numbers.get(kind, '')}"
    if term in ("user:nobody", f"uid:{NOBODY}", f"gid:{NOBODY}", "group:nogroup", "group:nobody"):
        return "not nobody: the kernel says so of every caller whom the daemon's user namespace does not know"
    if term == f"key:{MINTED}":
        return "not a minted key: its caller is known by unit, user or token"
    return None


def identity_of(given: Iterable[str]) -> Identity:
    """Return a made-up caller of whom just the terms *given* are true, to try a policy with.

    Raises `InvalidParameter` for a text that is no term, and for two of a kind that one caller cannot have.
    """
    known: dict[str, Any] = {}
    groups: set[str] = set()
    for term in given:
        mistake = term_mistake(term)
        if mistake is not None:
            raise InvalidParameter("as", mistake)
        kind, _, name = term.partition(":")
        if kind == "group":
            groups.add(name)
            continue
        field = "certificate" if kind == "spiffe" else kind
        if field in known:
            raise InvalidParameter("as", f"one {kind} at most, as a caller has")
        known[field] = int(name) if kind in ("uid", "gid") else term if kind == "spiffe" else name
    token, key = known.pop("token", None), known.pop("key", None)
    return Identity(Peer(groups=frozenset(groups), **known), token, key)
