"""What whoever subscribed to a secret is told."""

from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True)
class NewVersion:
    """Another version of the secret *name* (as it was subscribed to) is the current one, AWSCURRENT. Never a value: get
    it. *old_version_id* is None if there was no such secret before."""

    name: str
    old_version_id: str | None
    new_version_id: str
