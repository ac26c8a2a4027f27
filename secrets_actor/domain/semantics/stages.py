"""Moves stages between the versions of a secret, and decides which versions are kept. PURE.

Rule 1: a stage is on one version at a time. AWSCURRENT is always on a version. Whenever it moves, AWSPREVIOUS goes to
        the version that it comes from (AWS's service model, UpdateSecretVersionStage and PutSecretValue).
Rule 2: a version that has a stage is kept.
Rule 3: when a new version becomes the current one, AWSPENDING is taken off the current version before it. AWSPENDING
        may stay on a version after its rotation. On a version that is not current it would mean that a rotation is
        under way, and would block the next one (AWS's service model, RotateSecret). Other stages stay where they are:
        they are the user's.
Rule 4: moving AWSCURRENT to a version that exists already leaves AWSPENDING where it is. AWS's documentation does not
        say this; it says nothing of taking it off, either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from secrets_actor.domain.semantics.entry import Entry

# AWS Secrets Manager keeps about 100 versions, and removes those without a stage first (user guide, "Quotas"). It
# spares versions younger than a day; we do not, so that a store stays small however often a program sets.
MAX_VERSIONS: Final = 100
# User guide, "Quotas": stages across all versions of a secret.
MAX_STAGES: Final = 20


def moved(stages: Mapping[str, str], new_stages: Iterable[str], to: str) -> dict[str, str]:
    """Return *stages* with *new_stages* moved to the version *to* (rule 1)."""
    former = stages.get(AWSCURRENT)
    after = {**stages, **dict.fromkeys(new_stages, to)}
    if former is not None and after[AWSCURRENT] != former:
        after[AWSPREVIOUS] = former
    return after


def moved_to_new(stages: Mapping[str, str], new_stages: Iterable[str], to: str) -> dict[str, str]:
    """Return *stages* with *new_stages* moved to the new version *to* (rules 1 and 3)."""
    former, after = stages.get(AWSCURRENT), moved(stages, new_stages, to)
    if former is not None and after[AWSCURRENT] != former == after.get(AWSPENDING):
        del after[AWSPENDING]
    return after


def pruned(entry: Entry) -> tuple[Entry, tuple[str, ...]]:
    """Return *entry* without its oldest versions beyond `MAX_VERSIONS`, except those with a stage; and the ids
    removed."""
    labelled = set(entry.stages.values())
    gone = tuple(one.id for one in entry.versions[:-MAX_VERSIONS] if one.id not in labelled)
    if not gone:
        return entry, gone
    return replace(entry, versions=tuple(one for one in entry.versions if one.id not in gone)), gone
