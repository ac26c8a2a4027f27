"""The policy of the daemon: which caller may do what with which secret. PURE.

Rule 1: what no rule allows is refused. Rules add up: their order does not matter, and none takes anything away.
Rule 2: a rule is judged on the name of a secret, as the store knows it, and never on a text as a caller sent it
        (permission.py finds the name that an ARN means).
Rule 3: each `who` of a rule is enough. One with `+` in it asks for all its terms at once.
Rule 4: `*` is any run of characters without a slash, `**` is any run at all; each may be empty. Everything else stands
        for itself: letters in their case, and dots, which a name may have. AWS gives `..` and `//` no meaning, so there
        is none here: `a/../b` is the name of a secret in `a/`.
Rule 5: `get` does not imply `describe`, nor does any action imply another, but for `admin`, which is all of them.
Rule 6: no name costs more than about the square of its length, whatever the pattern: callers choose names. A part of a
        name that has matched is therefore not tried anew (`(?>...)`): the first place where it matches leaves the most
        to the rest of the pattern.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol, TypeVar

from msgspec import Struct

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.faces.identity import Identity, term_mistake, terms

# What a caller may be allowed. `list` is to see that there is a secret of this name; `tag` is to tag and untag; `admin`
# is everything, and what the control face does.
ACTIONS: Final = ("get", "describe", "list", "put", "create", "delete", "restore", "rotate", "tag", "admin")
# Words of a rule for several actions.
GROUPS: Final = {
    "read": ("get", "describe", "list"),
    "write": ("put", "create", "delete", "restore", "rotate", "tag"),
    "admin": ACTIONS,
}
# What each operation of the AWS API asks for. A random password is made to be put somewhere. Resource policies and
# replicas let other accounts and regions in, so to change them is for `admin`. To read a policy lets nobody in, and
# Terraform reads that of each secret that it manages.
ACTION_OF: Final = {
    "AssociateCrossAccountReplica": "admin",
    "BatchGetSecretValue": "get",
    "CancelRotateSecret": "rotate",
    "CreateSecret": "create",
    "DeleteResourcePolicy": "admin",
    "DeleteSecret": "delete",
    "DescribeSecret": "describe",
    "DisassociateCrossAccountReplica": "admin",
    "GetRandomPassword": "put",
    "GetResourcePolicy": "describe",
    "GetSecretValue": "get",
    "ListResourcePolicies": "describe",
    "ListSecretVersionIds": "describe",
    "ListSecrets": "list",
    "PutResourcePolicy": "admin",
    "PutSecretValue": "put",
    "RemoveRegionsFromReplication": "admin",
    "ReplicateSecretToRegions": "admin",
    "RestoreSecret": "restore",
    "RotateSecret": "rotate",
    "StopReplicationToReplica": "admin",
    "TagResource": "tag",
    "UntagResource": "tag",
    "UpdateSecret": "put",
    "UpdateSecretVersionStage": "put",
    "ValidateResourcePolicy": "admin",
}
# `admin` of no one secret, such as to look at the tree of the daemon, is for those who are it for all secrets.
EVERYTHING: Final = "**"
_WORDS: Final = (*ACTIONS[:-1], *GROUPS)
_PATTERN: Final = re.compile(r"[A-Za-z0-9/_+=.@!*-]{1,512}")
# How many callers are kept, and how many decisions for those who are granted the same. When they are more, all are
# dropped: to decide anew takes some microseconds.
_KEPT: Final = 1024
T = TypeVar("T")
U = TypeVar("U")


class Rule(Struct, frozen=True):
    """One rule: each of *who* may do all of *may* with each secret whose name matches one of *secrets*.

    *who* has terms of `identity.py`, *secrets* has patterns (rule 4), *may* has actions, or words for several.
    """

    who: tuple[str, ...]
    secrets: tuple[str, ...]
    may: tuple[str, ...]

    def actions(self) -> frozenset[str]:
        """Return the actions that it allows."""
        return frozenset([action for word in self.may for action in GROUPS.get(word, (word,))])


class Decision(Struct, frozen=True):
    """Whether something is allowed; if so, by which rule, the first of those that do, and its number from 0."""

    allowed: bool
    rule: Rule | None = None
    number: int | None = None


REFUSED: Final = Decision(False)


class NearMiss(Struct, frozen=True):
    """A rule that would allow it, but for one thing: *lacks* is the field `who`, `secrets` or `may` that does not
    fit."""

    number: int
    rule: Rule
    lacks: str


class Explanation(Struct, frozen=True):
    """Why something is allowed or not: the numbers of all rules that allow it, and those that nearly do."""

    allowed_by: tuple[int, ...]
    near: tuple[NearMiss, ...]


def mistakes_in(rule: Rule) -> Iterator[str]:
    """Yield what is wrong with *rule*, each as `FIELD: what is allowed` or `FIELD[NUMBER]: what is allowed`."""
    for field in ("who", "secrets", "may"):
        if not getattr(rule, field):
            yield f"{field}: one at least"
    for number, one in enumerate(rule.who):
        yield from [f"who[{number}]: {mistake}" for term in one.split("+") if (mistake := term_mistake(term))]
    for number, pattern in enumerate(rule.secrets):
        if pattern.startswith("arn:"):
            yield f"secrets[{number}]: the name of a secret, no ARN: a rule holds for both"
        elif not _PATTERN.fullmatch(pattern) or "***" in pattern:
            yield (
                f"secrets[{number}]: 1 to 512 of the characters of a name (letters, digits and /_+=.@-), "
                "* for any run of them but /, and ** for any run"
            )
    for number, word in enumerate(rule.may):
        if word not in _WORDS:
            yield f"may[{number}]: one of {', '.join(_WORDS)}"


def matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that tells whether a name matches *pattern* (rules 4 and 6): true if it does."""
    first, *rest = pattern.split("**")
    if not rest:
        return re.compile(_within(first, last=True)).fullmatch
    *middle, last = rest
    parts = [_within(first), *[f"(?>.*?{_within(part)})" for part in middle], f".*?{_within(last, last=True)}"]
    return re.compile("".join(parts)).fullmatch


def _within(part: str, last: bool = False) -> str:
    """Return the expression for a *part* of a pattern that has no `**` in it. The *last* part reaches to the end of the
    name, so its last `*` takes whatever is needed for that."""
    first, *rest = map(re.escape, part.split("*"))
    steps = [f"(?>[^/]*?{literal})" for literal in rest]
    if last and rest:
        steps[-1] = f"[^/]*{rest[-1]}"
    return first + "".join(steps)


class _Compiled(Struct, frozen=True):
    """A rule, ready to decide with."""

    number: int
    rule: Rule
    decision: Decision
    who: tuple[frozenset[str], ...]
    names: tuple[Callable[[str], object], ...]
    actions: frozenset[str]

    def is_for(self, held: frozenset[str]) -> bool:
        """Whether it is for a caller with the terms *held*."""
        return any(needed <= held for needed in self.who)

    def covers(self, action: str, name: str | None) -> bool:
        """Whether it is about the secret *name*. None: about any secret; for `admin`, about all (EVERYTHING)."""
        if name is None:
            return action != "admin" or EVERYTHING in self.rule.secrets
        return any(matches(name) for matches in self.names)


def _compiled(number: int, rule: Rule) -> _Compiled:
    who = tuple([frozenset(one.split("+")) for one in rule.who])
    return _Compiled(number, rule, Decision(True, rule, number), who, tuple(map(matcher, rule.secrets)), rule.actions())


class _Granted:
    """What callers may do for whom the same *rules* are. Many callers share one: each process is a caller of its own,
    and most come with a new pid."""

    __slots__ = ("_kept", "_rules")

    def __init__(self, rules: tuple[_Compiled, ...]) -> None:
        self._rules = rules
        self._kept: dict[tuple[str, str | None], Decision] = {}

    def decide(self, action: str, name: str | None) -> Decision:
        """As `Policy.decide`."""
        asked = action, name
        known = self._kept.get(asked)
        if known is None:
            rules = self._rules
            known = next((one.decision for one in rules if action in one.actions and one.covers(action, name)), REFUSED)
            _keep(self._kept, asked, known)
        return known


class Policy:
    """All rules together. Any thread may ask it; it never changes.

    Raises `ConfigurationError`, with all mistakes in all rules.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = tuple(rules)
        mistakes = [
            f"allow[{number}].{mistake}" for number, rule in enumerate(self.rules) for mistake in mistakes_in(rule)
        ]
        if mistakes:
            raise ConfigurationError(tuple(mistakes))
        self._compiled = tuple([_compiled(number, rule) for number, rule in enumerate(self.rules)])
        self._callers: dict[Identity, _Granted] = {}
        self._granted: dict[tuple[int, ...], _Granted] = {}  # by the numbers of the rules

    def decide(self, identity: Identity, action: str, name: str | None) -> Decision:
        """Return whether *identity* may do *action*, one of ACTIONS, with the secret *name*.

        *name* None: whether there is any secret that it may do that with; for `admin`, whether it is that for all
        secrets (EVERYTHING).
        """
        return (self._callers.get(identity) or self._granted_to(identity)).decide(action, name)

    def _granted_to(self, identity: Identity) -> _Granted:
        held = terms(identity)
        rules = tuple([one for one in self._compiled if one.is_for(held)])
        numbers = tuple([one.number for one in rules])
        granted = self._granted.get(numbers)
        if granted is None:
            granted = _Granted(rules)
            _keep(self._granted, numbers, granted)
        _keep(self._callers, identity, granted)
        return granted

    def explain(self, identity: Identity, action: str, name: str | None) -> Explanation:
        """Return which rules allow *identity* to do *action* with the secret *name*, as in `decide`, and which would
        but for one thing."""
        held, allowed_by, near = terms(identity), [], []
        for one in self._compiled:
            fits = {"who": one.is_for(held), "secrets": one.covers(action, name), "may": action in one.actions}
            lacks = [field for field, good in fits.items() if not good]
            if not lacks:
                allowed_by.append(one.number)
            elif len(lacks) == 1:
                near.append(NearMiss(one.number, one.rule, lacks[0]))
        return Explanation(tuple(allowed_by), tuple(near))


class Decides(Protocol):
    """What decides, such as a `Policy`."""

    def decide(self, identity: Identity, action: str, name: str | None) -> Decision:
        """As `Policy.decide`."""


class Both:
    """What each of two policies allows. It is in force while a daemon changes from one store to another: nobody may
    read in the new store what only the rules of the old one allow, or the other way round."""

    def __init__(self, before: Decides, after: Decides) -> None:
        self._before, self._after = before, after

    def decide(self, identity: Identity, action: str, name: str | None) -> Decision:
        """As `Policy.decide`."""
        first = self._before.decide(identity, action, name)
        return self._after.decide(identity, action, name) if first.allowed else first


def _keep(kept: dict[T, U], key: T, found: U) -> None:
    if len(kept) >= _KEPT:
        kept.clear()
    kept[key] = found
