"""A secret and its versions as a store of our own keeps them, without the values. Times are aware, in UTC. PURE."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field


class Version(Struct, frozen=True):
    """A version without its value. `made_secret`: whether the secret was created with this version."""

    id: str
    created_at: datetime
    made_secret: bool = False


class Entry(Struct, frozen=True):
    """A secret with all its versions, the oldest first. `stages` maps each stage to the id of the version that has it.

    `deletion_date` is set while the secret is scheduled for deletion: it is when the recovery window ends.
    `accessed_at` is the day on which a value was last read; the records maintain it (`Records.accessed`).
    """

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

    @property
    def deleted_at(self) -> datetime | None:
        """When the deletion was asked for; None if the secret is not scheduled for deletion.

        It is the last change: nothing else changes a secret that is scheduled, except the restore that cancels this.
        """
        return None if self.deletion_date is None else self.changed_at

    def version(self, version_id: str) -> Version | None:
        """Return the version with this id, or None."""
        return next((one for one in self.versions if one.id == version_id), None)

    def stages_of(self, version_id: str) -> tuple[str, ...]:
        """Return the stages of a version, sorted."""
        return tuple(sorted(stage for stage, at in self.stages.items() if at == version_id))
