"""Plans the writes that make a secret at the target equal to the one at the source. PURE.

Rule 1: versions are compared by value. Their ids are kept where the target allows it: an id becomes the token of a
        write.
Rule 2: a copy can be cut off between any two steps, and a new plan completes it. So the previous version is written
        first, as the current one, and the current version after it: each state in between can be recognised.
Rule 3: what is missing at the target is added. What differs is a conflict, and then nothing is written at all, unless
        the user wants it overwritten.
Rule 4: a target that computes its stages, as a KV mount of Vault does, has them on its two latest versions and nowhere
        else. There another previous version takes two writes.
Rule 5: what only the target has stays there: tags, and a previous version where the source has none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct, field

from secrets_actor.domain.errors import SecretsError
from secrets_actor.domain.operations import AWSPREVIOUS
from secrets_actor.domain.secret import SecretValue

# Only AWS can set tags whose keys begin so, and it refuses a request with one. Source: API reference, TagResource.
_RESERVED: Final = "aws:"
CURRENT: Final = "current version"
PREVIOUS: Final = "previous version"
DESCRIPTION: Final = "description"
TAGS: Final = "tags"


class Held(Struct, frozen=True):
    """A version with its value."""

    id: str
    value: SecretValue


class Snapshot(Struct, frozen=True):
    """A secret as it was read from a store. `current` is None for a secret that was made without a value."""

    current: Held | None
    previous: Held | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """How the copy of one secret ended, or in a dry run would end. `GONE`: it was deleted at the source meanwhile."""

    COPIED = "copied"
    THERE = "already_there"
    COMPLETED = "completed"
    OVERWRITTEN = "overwritten"
    CONFLICT = "conflict"
    FAILED = "failed"
    GONE = "gone"


class Side(StrEnum):
    """One of the two stores."""

    SOURCE = "source"
    TARGET = "target"


class Result(Struct, frozen=True):
    """The result for one secret, or in a dry run the expected one.

    *differs* names the parts that are in conflict. *error* is what failed, on this *side*.
    """

    name: str
    outcome: Outcome
    differs: tuple[str, ...] = ()
    error: SecretsError | None = None
    side: Side | None = None


class Make(Struct, frozen=True):
    """Make the secret, with this version."""

    version: Held
    description: str | None
    tags: Mapping[str, str]


class Write(Struct, frozen=True):
    """Add this version: as the current one, or, with a *stage*, as the one that has it."""

    version: Held
    stage: str | None = None


class RemoveStage(Struct, frozen=True):
    """Take *stage* off the version of this id, so that the next write, which gives it to another, leaves it on one."""

    version_id: str
    stage: str


class SetDescription(Struct, frozen=True):
    """Set the description."""

    description: str


class SetTags(Struct, frozen=True):
    """Set these tags."""

    tags: Mapping[str, str]


Action = Make | Write | RemoveStage | SetDescription | SetTags


class CopyPlan(Struct, frozen=True):
    """The actions, and the outcome that they lead to. *differs* names the parts that differ from the source."""

    outcome: Outcome
    actions: tuple[Action, ...] = ()
    differs: tuple[str, ...] = ()


def plan(
    current: Held, wanted: Snapshot, there: Snapshot | None, *, overwrite: bool = False, puts_stages: bool = True
) -> CopyPlan:
    """Return the plan that leads from *there*, the secret at the target (None: no secret), to *wanted*.

    *current* is the current version of *wanted*, which must have one. *puts_stages*: whether the target can put a stage
    on any version (rule 4).
    """
    previous, tags = wanted.previous, _portable(wanted.tags)
    if there is None:
        first, *rest = (current,) if previous is None else (previous, current)
        made = Make(first, wanted.description or None, tags)
        return CopyPlan(Outcome.COPIED, (made, *map(Write, rest)))
    actions, differs = _values(current, previous, there, puts_stages)
    more_steps, more_differs = _facts(wanted.description or None, tags, there)
    actions, differs = actions + more_steps, differs + more_differs
    if differs and not overwrite:
        return CopyPlan(Outcome.CONFLICT, (), differs)
    if differs:
        return CopyPlan(Outcome.OVERWRITTEN, actions, differs)
    return CopyPlan(Outcome.COMPLETED if actions else Outcome.THERE, actions)


def _values(
    current: Held, previous: Held | None, there: Snapshot, puts_stages: bool
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Return the actions for the versions, and the names of those that differ."""
    both = (Write(current),) if previous is None else (Write(previous), Write(current))
    if there.current is None and there.previous is None:
        return both, ()
    ahead = _same(there.current, current)
    if ahead and (previous is None or _same(there.previous, previous)):
        return (), ()
    # Rule 2: an earlier copy was cut off after it had written the previous version.
    if _same(there.current, previous) and not (ahead and there.previous):
        return (Write(current),), () if there.previous is None else (CURRENT,)
    if not ahead or previous is None:
        return both, (CURRENT,)
    if not puts_stages:
        return both, () if there.previous is None else (PREVIOUS,)
    write = Write(previous, AWSPREVIOUS)
    if there.previous is None:
        return (write,), ()
    return (RemoveStage(there.previous.id, AWSPREVIOUS), write), (PREVIOUS,)


def _same(one: Held | None, other: Held | None) -> bool:
    return one is not None and other is not None and one.value == other.value


def _facts(
    description: str | None, tags: Mapping[str, str], there: Snapshot
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """Return the actions for description and tags, and the names of those that differ."""
    actions: tuple[Action, ...] = ()
    differs: tuple[str, ...] = ()
    if description is not None and description != there.description:
        actions += (SetDescription(description),)
        differs += (DESCRIPTION,) if there.description else ()
    missing = {key: value for key, value in tags.items() if there.tags.get(key) != value}
    if missing:
        actions += (SetTags(missing),)
        differs += (TAGS,) if missing.keys() & there.tags.keys() else ()
    return actions, differs


def _portable(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if not key.lower().startswith(_RESERVED)}


def token_for(version: Held, taken: Collection[str]) -> str:
    """Return the token to write *version* with: its id, or, if the target has a version of that id, a hash of it.

    A write with the token of an existing version would change nothing. A hash, and not a random token, so that a
    repeated write has the same token.
    """
    token = version.id
    while token in taken:
        token = hashlib.sha256(token.encode()).hexdigest()[:32]
    return token
