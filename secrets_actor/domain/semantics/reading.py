"""Reading values. PURE."""

from __future__ import annotations

from secrets_actor.domain.descriptions import SecretBatch
from secrets_actor.domain.errors import InvalidRequest, SecretNotFound, SecretsError, StoreError
from secrets_actor.domain.operations import AWSCURRENT, Get, GetMany
from secrets_actor.domain.secret import Secret
from secrets_actor.domain.semantics.case import Case


def get(case: Case, operation: Get) -> Secret:
    """One version of a secret."""
    entry = case.live(operation.secret_id)
    version_id, stage = operation.version_id, operation.stage
    if version_id is None:
        stage = stage or AWSCURRENT
        version, sought = entry.version(entry.stages.get(stage, "")), f"version with stage {stage}"
    else:
        version, sought = entry.version(version_id), f"version {version_id}"
    if version is None:
        raise SecretNotFound(f"secret {entry.name} has no {sought} in {case.shelf.label}")
    stages = entry.stages_of(version.id)
    if stage is not None and stage not in stages:
        raise InvalidRequest(f"{sought} of secret {entry.name} does not have stage {stage}; give only one")
    value = case.shelf.value(entry, version.id)
    if entry.accessed_at is None or entry.accessed_at.date() < case.now.date():
        case.shelf.accessed(entry, case.now)
    return Secret(entry.name, entry.arn, value, version.id, stages, version.created_at)


def get_many(case: Case, operation: GetMany) -> SecretBatch:
    """Many secrets, each as a get of it would answer."""
    found: dict[str, Secret] = {}
    errors: dict[str, SecretsError] = {}
    for secret_id in operation.secret_ids:
        try:
            found[secret_id] = get(case, Get(secret_id))
        except StoreError as error:
            errors[secret_id] = error.clone()
    return SecretBatch(found, errors)
