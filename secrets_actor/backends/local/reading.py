"""What the local store reads."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from secrets_actor.backends.local import records
from secrets_actor.domain.descriptions import SecretBatch
from secrets_actor.domain.errors import InvalidRequest, SecretDeleted, SecretNotFound, SecretsError, StoreError
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import AWSCURRENT, Get, GetMany, List
from secrets_actor.domain.secret import Secret, SecretInfo

if TYPE_CHECKING:
    from secrets_actor.backends.local.opening import Opened
    from secrets_actor.backends.local.store import Rows


def get(rows: Rows, opened: Opened, operation: Get, now: datetime) -> Secret:
    """One version of a secret."""
    secret = live(rows, operation.secret_id, now)
    version_id, stage = operation.version_id, operation.stage
    if version_id is not None:
        version = records.version_by_id(rows, secret, version_id)
        sought = f"version {version_id}"
    else:
        version = records.version_by_stage(rows, secret, stage or AWSCURRENT)
        sought = f"version with stage {stage or AWSCURRENT}"
    if version is None:
        raise SecretNotFound(f"secret {secret.name} has no {sought} in the local store")
    stages = records.stages(rows, version)
    if stage is not None and stage not in stages:
        raise InvalidRequest(f"version {version_id} of secret {secret.name} does not have stage {stage}; give only one")
    value = opened.envelope.open(version.sealed, name=secret.name, version_id=version.version_id, kind=version.kind)
    return Secret(secret.name, secret.arn, value, version.version_id, stages, version.created_at)


def get_many(rows: Rows, opened: Opened, operation: GetMany, now: datetime) -> SecretBatch:
    """Many secrets, each as a get of it would answer."""
    found: dict[str, Secret] = {}
    errors: dict[str, SecretsError] = {}
    for secret_id in operation.secret_ids:
        try:
            found[secret_id] = get(rows, opened, Get(secret_id), now)
        except StoreError as error:
            errors[secret_id] = error.clone()
    return SecretBatch(found, errors)


def list_all(rows: Rows, operation: List, now: datetime) -> tuple[SecretInfo, ...]:
    """All secrets by name."""
    return tuple(
        SecretInfo(row.name, row.arn, row.description, row.created_at, row.changed_at, row.deletion_date)
        for row in records.every(rows, now, include_deleted=operation.include_deleted)
    )


def there(rows: Rows, secret_id: str, now: datetime) -> records.SecretRow:
    """The secret, deleted or not. Raises `SecretNotFound`."""
    secret = records.find(rows, SecretId(secret_id), now)
    if secret is None:
        raise SecretNotFound(f"there is no secret {secret_id} in the local store; list shows those there are")
    return secret


def live(rows: Rows, secret_id: str, now: datetime) -> records.SecretRow:
    """The secret, if it is not scheduled for deletion. Raises `SecretNotFound` and `SecretDeleted`."""
    secret = there(rows, secret_id, now)
    if secret.deletion_date is not None:
        raise SecretDeleted(
            f"secret {secret.name} is scheduled for deletion on {secret.deletion_date:%Y-%m-%d %H:%M} UTC; "
            "restore it first"
        )
    return secret
