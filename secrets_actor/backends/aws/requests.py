"""Operations as calls: JSON 1.1 of Secrets Manager. PURE. Answers are told in `answers.py`, errors in `failures.py`.

Rule 1: a get always says which version it wants; a value is sent as text or as bytes, as it is.
Rule 2: what was not asked for is not sent: AWS's own defaults hold, but for the recovery window, which is configured.

Source of names and shapes: botocore's `secretsmanager/2017-10-17/service-2.json`.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any, Final

from secrets_actor.backends.aws.protocol import Call, json_call
from secrets_actor.domain.descriptions import ReplicaRegion
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    CancelRotation,
    Create,
    Delete,
    DeletePolicy,
    Describe,
    Get,
    GetPolicy,
    List,
    ListPage,
    ListVersions,
    MoveStage,
    PutPolicy,
    RandomPassword,
    RemoveRegions,
    Replicate,
    Request,
    Restore,
    Rotate,
    Set,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.domain.secret import SecretValue

_ORDER: Final = {None: None, False: "asc", True: "desc"}


def get_call(operation: Get) -> Call:
    """GetSecretValue: by stage (AWSCURRENT unless another is asked for), by version id, or by both."""
    version_id, stage = operation.version
    payload = {"SecretId": operation.secret_id, "VersionId": version_id, "VersionStage": stage}
    # Asked for by both, AWS refuses a pair that does not match with the same code as a deleted secret.
    told = _is_ours(operation.secret_id) and (version_id is None or stage is None)
    return json_call("GetSecretValue", payload, deleted_if_invalid=told)


def batch_call(secret_ids: Iterable[str], next_token: str | None = None) -> Call:
    """BatchGetSecretValue."""
    return json_call("BatchGetSecretValue", {"SecretIdList": [str(one) for one in secret_ids], "NextToken": next_token})


def create_call(operation: Set | Create, token: str) -> Call:
    """CreateSecret under the idempotency *token*."""
    replicas = operation.replicas if isinstance(operation, Create) else ()
    overwrite = isinstance(operation, Create) and operation.overwrite_replicas
    payload = {
        "Name": operation.secret_id,
        **_version(operation.value, token),
        "Description": operation.description,
        "KmsKeyId": operation.kms_key_id,
        "Tags": _tags(operation.tags) or None,
        "AddReplicaRegions": _regions(replicas) or None,
        "ForceOverwriteReplicaSecret": overwrite or None,
    }
    return json_call("CreateSecret", payload, deleted_if_invalid=True)


def update_call(operation: Set | Update, token: str) -> Call:
    """UpdateSecret under the same *token*: a new current version of a secret that is there, or other facts of it. The
    KMS key of a `Set` is for a secret that it creates."""
    payload = {
        "SecretId": operation.secret_id,
        **_version(operation.value, token),
        "Description": operation.description,
        "KmsKeyId": operation.kms_key_id if isinstance(operation, Update) else None,
    }
    return json_call("UpdateSecret", payload, deleted_if_invalid=_is_ours(operation.secret_id))


def put_call(secret_id: str, value: SecretValue, token: str, stages: tuple[str, ...] = ()) -> Call:
    """PutSecretValue under the idempotency *token*."""
    payload = {"SecretId": secret_id, **_version(value, token), "VersionStages": list(stages) or None}
    return json_call("PutSecretValue", payload, deleted_if_invalid=_is_ours(secret_id))


def delete_call(operation: Delete, recovery_window: int) -> Call:
    """DeleteSecret: by force, or with the operation's recovery window, or else with *recovery_window* days."""
    payload: dict[str, Any] = {"SecretId": operation.secret_id}
    if operation.force:
        payload["ForceDeleteWithoutRecovery"] = True
    else:
        window = operation.recovery_window
        payload["RecoveryWindowInDays"] = recovery_window if window is None else window
    return json_call("DeleteSecret", payload)


def restore_call(operation: Restore | Set) -> Call:
    """RestoreSecret."""
    return json_call("RestoreSecret", {"SecretId": operation.secret_id})


def list_call(operation: List, next_token: str | None) -> Call:
    """ListSecrets: the first page, or the one after *next_token*."""
    payload = {
        "MaxResults": operation.page_size,
        "IncludePlannedDeletion": operation.include_deleted or None,
        "NextToken": next_token,
    }
    return json_call("ListSecrets", payload)


def page_call(operation: ListPage) -> Call:
    """ListSecrets: one page, filtered and sorted."""
    payload = {
        "MaxResults": operation.page_size,
        "IncludePlannedDeletion": operation.include_deleted or None,
        "NextToken": operation.next_token,
        "Filters": [{"Key": one.key, "Values": list(one.values)} for one in operation.filters] or None,
        "SortBy": operation.sort_by,
        "SortOrder": _ORDER[operation.descending],
    }
    return json_call("ListSecrets", payload)


def describe_call(operation: Describe | Any) -> Call:
    """DescribeSecret of whatever secret *operation* is about."""
    return json_call("DescribeSecret", {"SecretId": operation.secret_id})


def versions_call(operation: ListVersions) -> Call:
    """ListSecretVersionIds."""
    payload = {
        "SecretId": operation.secret_id,
        "MaxResults": operation.page_size,
        "NextToken": operation.next_token,
        "IncludeDeprecated": operation.include_deprecated or None,
    }
    return json_call("ListSecretVersionIds", payload)


def move_stage_call(operation: MoveStage) -> Call:
    """UpdateSecretVersionStage."""
    payload = {
        "SecretId": operation.secret_id,
        "VersionStage": operation.stage,
        "MoveToVersionId": operation.to,
        "RemoveFromVersionId": operation.remove_from,
    }
    return json_call("UpdateSecretVersionStage", payload)


def tag_call(operation: Tag) -> Call:
    """TagResource."""
    return json_call("TagResource", {"SecretId": operation.secret_id, "Tags": _tags(operation.tags)})


def untag_call(operation: Untag) -> Call:
    """UntagResource."""
    return json_call("UntagResource", {"SecretId": operation.secret_id, "TagKeys": list(operation.keys)})


def rotate_call(operation: Rotate, token: str) -> Call:
    """RotateSecret under the idempotency *token*."""
    rules = operation.rules
    told = {} if rules is None else {
        "AutomaticallyAfterDays": rules.after_days,
        "ScheduleExpression": rules.schedule,
        "Duration": rules.duration,
    }  # fmt: skip
    payload = {
        "SecretId": operation.secret_id,
        "ClientRequestToken": token,
        "RotationLambdaARN": operation.lambda_arn,
        "RotationRules": {name: fact for name, fact in told.items() if fact is not None} or None,
        "RotateImmediately": operation.immediately,
    }
    return json_call("RotateSecret", payload)


def cancel_rotation_call(operation: CancelRotation) -> Call:
    """CancelRotateSecret."""
    return json_call("CancelRotateSecret", {"SecretId": operation.secret_id})


def password_call(operation: RandomPassword) -> Call:
    """GetRandomPassword. Which kinds are left out is said the other way round there."""
    payload = {
        "PasswordLength": operation.length,
        "ExcludeCharacters": operation.exclude or None,
        "ExcludeLowercase": not operation.lowercase,
        "ExcludeUppercase": not operation.uppercase,
        "ExcludeNumbers": not operation.numbers,
        "ExcludePunctuation": not operation.punctuation,
        "IncludeSpace": operation.space,
        "RequireEachIncludedType": operation.require_each,
    }
    return json_call("GetRandomPassword", payload)


def replicate_call(operation: Replicate) -> Call:
    """ReplicateSecretToRegions."""
    payload = {
        "SecretId": operation.secret_id,
        "AddReplicaRegions": _regions(operation.regions),
        "ForceOverwriteReplicaSecret": operation.overwrite or None,
    }
    return json_call("ReplicateSecretToRegions", payload)


def remove_regions_call(operation: RemoveRegions) -> Call:
    """RemoveRegionsFromReplication."""
    payload = {"SecretId": operation.secret_id, "RemoveReplicaRegions": list(operation.regions)}
    return json_call("RemoveRegionsFromReplication", payload)


def stop_replication_call(operation: StopReplication) -> Call:
    """StopReplicationToReplica."""
    return json_call("StopReplicationToReplica", {"SecretId": operation.secret_id})


def get_policy_call(operation: GetPolicy) -> Call:
    """GetResourcePolicy."""
    return json_call("GetResourcePolicy", {"SecretId": operation.secret_id})


def put_policy_call(operation: PutPolicy) -> Call:
    """PutResourcePolicy."""
    payload = {
        "SecretId": operation.secret_id,
        "ResourcePolicy": operation.policy,
        "BlockPublicPolicy": operation.block_public,
    }
    return json_call("PutResourcePolicy", payload)


def delete_policy_call(operation: DeletePolicy) -> Call:
    """DeleteResourcePolicy."""
    return json_call("DeleteResourcePolicy", {"SecretId": operation.secret_id})


def validate_policy_call(operation: ValidatePolicy) -> Call:
    """ValidateResourcePolicy."""
    return json_call("ValidateResourcePolicy", {"SecretId": operation.secret_id, "ResourcePolicy": operation.policy})


def raw_call(operation: Request) -> Call:
    """Whatever was asked for, null members included."""
    return json_call(operation.operation, operation.payload.reveal(), drop_null=False)


def _is_ours(secret_id: str) -> bool:
    """Whether no service manages the secret, which may be another reason to refuse."""
    return not SecretId(secret_id).is_managed


def _version(value: SecretValue | None, token: str) -> Mapping[str, str]:
    payload = {"ClientRequestToken": token}
    if value is not None:
        revealed = value.reveal()
        if isinstance(revealed, str):
            payload["SecretString"] = revealed
        else:
            payload["SecretBinary"] = base64.b64encode(revealed).decode()
    return payload


def _tags(tags: Mapping[str, str]) -> list[Mapping[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _regions(regions: tuple[ReplicaRegion, ...]) -> list[Mapping[str, str]]:
    return [
        {"Region": one.region} | ({} if one.kms_key_id is None else {"KmsKeyId": one.kms_key_id}) for one in regions
    ]
