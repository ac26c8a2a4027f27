"""What has to be done so that a secret at the target is as it is at the source. PURE.

Rule 1: what is there is compared by value. Ids are kept where the target lets us: they are the tokens of the writes.
Rule 2: a copy can be cut off between any two steps, and what is there then is planned anew and completed: the version
        before comes first, as the current one, and the present one after it.
Rule 3: what is missing is added; what is there and is another is a conflict, and then nothing is done at all, unless
        it is to be overwritten.
Rule 4: what the target has more than the source stays: tags, and a version before where the source has none.
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

# API reference, TagResource: keys that begin so are AWS's own, and nobody else can set them.
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
    """A secret as it was seen in a store. `current` is None for one that was made without a value."""

    current: Held | None
    previous: Held | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Outcome(StrEnum):
    """How it ends, or would end, with one secret. `GONE`: it was deleted at the source meanwhile."""

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
    """How it went, or in a dry run would go, with one secret. *differs*: what a conflict is about. *error* and *side*:
    what failed, and where."""

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
    """Take *stage* off the version of this id: who puts it on another must not leave it on two."""

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
    """The steps, and what they come to. *differs*: what is another at the target than at the source."""

    outcome: Outcome
    actions: tuple[Action, ...] = ()
    differs: tuple[str, ...] = ()


def plan(current: Held, wanted: Snapshot, there: Snapshot | None, *, overwrite: bool = False) -> CopyPlan:
    """The way from what is *there* (None: nothing) to what is *wanted*, whose *current* version there is."""
    previous, tags = wanted.previous, _portable(wanted.tags)
    if there is None:
        first, *rest = (current,) if previous is None else (previous, current)
        made = Make(first, wanted.description or None, tags)
        return CopyPlan(Outcome.COPIED, (made, *map(Write, rest)))
    actions, differs = _values(current, previous, there)
    more_steps, more_differs = _facts(wanted.description or None, tags, there)
    actions, differs = actions + more_steps, differs + more_differs
    if differs and not overwrite:
        return CopyPlan(Outcome.CONFLICT, (), differs)
    if differs:
        return CopyPlan(Outcome.OVERWRITTEN, actions, differs)
    return CopyPlan(Outcome.COMPLETED if actions else Outcome.THERE, actions)


def _values(current: Held, previous: Held | None, there: Snapshot) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """The steps for the versions, and which of them are others."""
    both = (Write(current),) if previous is None else (Write(previous), Write(current))
    if there.current is None and there.previous is None:
        return both, ()
    ahead = _same(there.current, current)
    if ahead and (previous is None or _same(there.previous, previous)):
        return (), ()
    if _same(there.current, previous) and not (ahead and there.previous):  # rule 2: cut off in the middle
        return (Write(current),), () if there.previous is None else (CURRENT,)
    if not ahead or previous is None:
        return both, (CURRENT,)
    write = Write(previous, AWSPREVIOUS)
    if there.previous is None:
        return (write,), ()
    return (RemoveStage(there.previous.id, AWSPREVIOUS), write), (PREVIOUS,)


def _same(one: Held | None, other: Held | None) -> bool:
    return one is not None and other is not None and one.value == other.value


def _facts(
    description: str | None, tags: Mapping[str, str], there: Snapshot
) -> tuple[tuple[Action, ...], tuple[str, ...]]:
    """The steps for description and tags, and which of them are others."""
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
    """The token to write *version* with: its id, or, where the target has a version of that id (of which a write with
    its token would change nothing), one made of it."""
    token = version.id
    while token in taken:
        token = hashlib.sha256(token.encode()).hexdigest()[:32]
    return token
