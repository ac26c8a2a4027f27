"""The stages of the versions of a secret, and which versions are kept. PURE.

Rule 1: a stage is on one version at a time. AWSCURRENT is on one always; whenever it moves, AWSPREVIOUS goes to the
        version that it comes from (AWS's service model, UpdateSecretVersionStage and PutSecretValue).
Rule 2: what has a stage is kept.
Rule 3: a new version that becomes the current one takes AWSPENDING off the version before it. That stage may stay there
        after a rotation; on a version that is not current it would mean a rotation under way, and be in the way of the
        next one (AWS's service model, RotateSecret). Other stages stay where they are: they are the user's.

What we read out of AWS's silence: moving AWSCURRENT to a version that is there already leaves AWSPENDING where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from secrets_actor.domain.operations import AWSCURRENT, AWSPENDING, AWSPREVIOUS
from secrets_actor.domain.semantics.entry import Entry

# AWS Secrets Manager keeps about 100 versions and removes unlabelled ones first (user guide, "Quotas"). It spares those
# younger than a day; we do not, so that a store stays small however often a program sets.
MAX_VERSIONS: Final = 100
# User guide, "Quotas": stages across all versions of a secret.
MAX_STAGES: Final = 20


def moved(stages: Mapping[str, str], new_stages: Iterable[str], to: str) -> dict[str, str]:
    """*stages* with *new_stages* on the version *to*."""
    former = stages.get(AWSCURRENT)
    after = {**stages, **dict.fromkeys(new_stages, to)}
    if former is not None and after[AWSCURRENT] != former:
        after[AWSPREVIOUS] = former
    return after


def moved_to_new(stages: Mapping[str, str], new_stages: Iterable[str], to: str) -> dict[str, str]:
    """*stages* with *new_stages* on the new version *to*."""
    former, after = stages.get(AWSCURRENT), moved(stages, new_stages, to)
    if former is not None and after[AWSCURRENT] != former == after.get(AWSPENDING):
        del after[AWSPENDING]
    return after


def pruned(entry: Entry) -> tuple[Entry, tuple[str, ...]]:
    """*entry* without the oldest versions past `MAX_VERSIONS`, except those with a stage; and which went."""
    labelled = set(entry.stages.values())
    gone = tuple(one.id for one in entry.versions[:-MAX_VERSIONS] if one.id not in labelled)
    if not gone:
        return entry, gone
    return replace(entry, versions=tuple(one for one in entry.versions if one.id not in gone)), gone
