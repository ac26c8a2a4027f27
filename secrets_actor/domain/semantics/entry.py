"""A secret and its versions as a store of our own keeps them, without the values. Times are aware, in UTC. PURE.

Rule 1: a store keeps ten thousand entries in memory, and a list tells of all of them. So these records are not tracked
        by the garbage collector (`gc=False`), which would look through them again and again: a list would take a
        quarter longer. They can be in no cycle.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from secrets_actor.domain.results import SecretDescription
from secrets_actor.structs import SelectiveStruct


class Version(Struct, frozen=True, gc=False):
    """A version without its value. `made_secret`: whether the secret was created with this version."""

    id: str
    created_at: datetime
    made_secret: bool = False


class Entry(SelectiveStruct, frozen=True, gc=False):
    """A secret with all its versions, the oldest first. `stages` maps each stage to the id of the version that has it.

    `deletion_date` is set while the secret is scheduled for deletion: it is when the recovery window ends.
    `accessed_at` is the day on which a value was last read; the records maintain it (`Records.accessed`).
    """

    HIDDEN: ClassVar = frozenset({"_description"})
    UNCOMPARED: ClassVar = frozenset({"_description"})

    name: str
    arn: str
    created_at: datetime
    changed_at: datetime
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    deletion_date: datetime | None = None
    accessed_at: datetime | None = None
    versions: tuple[Version, ...] = ()
    stages: Mapping[str, str] = field(default_factory=dict)
    _description: SecretDescription | None = None  # what `described` has made; nobody else sets it

    def __post_init__(self) -> None:
        if self._description is not None:  # this is a copy with other facts
            force_setattr(self, "_description", None)

    @property
    def deleted_at(self) -> datetime | None:
        """When the deletion was asked for; None if the secret is not scheduled for deletion.

        It is the last change: nothing else changes a secret that is scheduled, except the restore that cancels this.
        """
        return None if self.deletion_date is None else self.changed_at

    @property
    def described(self) -> SecretDescription:
        """What `Describe`, `List` and `ListPage` tell of the secret. It is made once: without that, a list of ten
        thousand secrets whose entries are in memory would take five times as long."""
        found = self._description
        if found is None:
            found = self._described()
            force_setattr(self, "_description", found)
        return found

    def _described(self) -> SecretDescription:
        versions: dict[str, tuple[str, ...]] = {}
        for stage in sorted(self.stages):
            version_id = self.stages[stage]
            versions[version_id] = (*versions[version_id], stage) if version_id in versions else (stage,)
        return SecretDescription(
            name=self.name,
            arn=self.arn,
            description=self.description,
            created_at=self.created_at,
            changed_at=self.changed_at,
            accessed_at=self.accessed_at,
            deleted_at=self.deleted_at,
            tags=dict(self.tags),
            versions=versions,
        )

    def version(self, version_id: str) -> Version | None:
        """Return the version with this id, or None."""
        return next((one for one in self.versions if one.id == version_id), None)

    def stages_of(self, version_id: str) -> tuple[str, ...]:
        """Return the stages of a version, sorted."""
        return tuple(sorted(stage for stage, at in self.stages.items() if at == version_id))
