"""Reads a secret from a store, never from a cache, with all its parts from one moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from secrets_actor.cli.migration.plan import Held, Snapshot
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import CopyUnverified, SecretDeleted, SecretNotFound
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS

# Seconds before each further look at a secret that has changed, or whose change is not visible yet: AWS is eventually
# consistent.
PATIENCE: Final = (0.1, 0.5, 2.0)
# Seconds for each call: long, for nobody waits for a single secret, and the backend's own attempts have room in it.
CALL_SECONDS: Final = 60.0


def read_snapshot(secrets: Secrets, name: str, pause: Callable[[float], bool]) -> Snapshot | None:
    """Read the secret called *name*. Returns None when there is no such secret.

    *pause* waits for the given seconds, and returns whether to end now. Raises `SecretDeleted` for a secret that is
    scheduled for deletion, `CopyUnverified` for one that keeps changing while it is read.
    """
    for seconds in (*PATIENCE, None):
        try:
            return _read_once(secrets, name)
        except SecretNotFound:
            return None
        except _Changed:
            if seconds is None or pause(seconds):
                break
    raise CopyUnverified(f"secret {name} changes while it is read, time and again; run the migration again")


class _Changed(Exception):
    """Raised when the versions are not those of the description: the secret was changed between two reads."""


def _read_once(secrets: Secrets, name: str) -> Snapshot | None:
    described = secrets.describe(name, timeout=CALL_SECONDS)
    if described.deleted_at is not None:
        raise SecretDeleted(f"secret {name} is scheduled for deletion; restore it first, or delete it with force")
    ids = {stage: version for version, stages in described.versions.items() for stage in stages}
    current, previous = (_held(secrets, name, stage, ids.get(stage)) for stage in (AWSCURRENT, AWSPREVIOUS))
    return Snapshot(current, previous, described.description, described.tags)


def _held(secrets: Secrets, name: str, stage: str, version_id: str | None) -> Held | None:
    if version_id is None:
        return None
    try:
        secret = secrets.get(name, stage=stage, refresh=True, timeout=CALL_SECONDS)
    except SecretNotFound:
        raise _Changed from None
    if secret.version_id != version_id:
        raise _Changed
    return Held(version_id, secret.value)
