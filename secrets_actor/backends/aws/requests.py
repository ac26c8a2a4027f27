"""Operations as calls, in the shapes of `aws_json`. PURE. Answers are told in `answers.py`, errors in `error_codes.py`.

Rule 1: a get always says which version it wants; a value is sent as text or as bytes, as it is.
Rule 2: what was not asked for is not sent: AWS's own defaults hold, but for the recovery window, which is configured.
Rule 3: no limit is looked at here: each operation has its own looked at where it is made.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from secrets_actor.aws_json import requests as shapes
from secrets_actor.aws_json.fields import PolicyText, SecretBinary, SecretString
from secrets_actor.backends.aws import protocol
from secrets_actor.backends.aws.protocol import Call, call_of
from secrets_actor.domain.names import SecretId, plain
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
from secrets_actor.domain.results import ReplicaRegion
from secrets_actor.domain.secret import SecretValue

_ORDER: Final[Mapping[bool | None, Literal["asc", "desc"] | None]] = {None: None, False: "asc", True: "desc"}


def get_call(operation: Get) -> Call:
    """GetSecretValue: by stage (AWSCURRENT unless another is asked for), by version id, or by both."""
    version_id, stage = operation.version
    # As a plain `str`: msgspec takes no other by itself, and the codec's hook would double the price of this one.
    secret_id = plain(operation.secret_id)
    request = shapes.GetSecretValueRequest(SecretId=secret_id, VersionId=version_id, VersionStage=stage)
    # Asked for by both, AWS refuses a pair that does not match with the same code as a deleted secret.
    told = _is_ours(operation.secret_id) and (version_id is None or stage is None)
    return call_of(request, deleted_if_invalid=told)


def batch_call(secret_ids: Iterable[str], next_token: str | None = None) -> Call:
    """BatchGetSecretValue."""
    return call_of(shapes.BatchGetSecretValueRequest(SecretIdList=tuple(secret_ids), NextToken=next_token))


def create_call(operation: Set | Create, token: str) -> Call:
    """CreateSecret under the idempotency *token*."""
    replicas = operation.replicas if isinstance(operation, Create) else ()
    overwrite = isinstance(operation, Create) and operation.overwrite_replicas
    request = shapes.CreateSecretRequest(
        Name=operation.secret_id,
        ClientRequestToken=token,
        SecretString=_text(operation.value),
        SecretBinary=_binary(operation.value),
        Description=operation.description,
        KmsKeyId=operation.kms_key_id,
        Tags=_tags(operation.tags) or None,
        AddReplicaRegions=_regions(replicas) or None,
        ForceOverwriteReplicaSecret=overwrite or None,
    )
    return call_of(request, deleted_if_invalid=True)


def update_call(operation: Set | Update, token: str) -> Call:
    """UpdateSecret under the same *token*: a new current version of a secret that is there, or other facts of it. The
    KMS key of a `Set` is for a secret that it creates."""
    request = shapes.UpdateSecretRequest(
        SecretId=operation.secret_id,
        ClientRequestToken=token,
        SecretString=_text(operation.value),
        SecretBinary=_binary(operation.value),
        Description=operation.description,
        KmsKeyId=operation.kms_key_id if isinstance(operation, Update) else None,
    )
    return call_of(request, deleted_if_invalid=_is_ours(operation.secret_id))


def put_call(secret_id: str, value: SecretValue, token: str, stages: tuple[str, ...] = ()) -> Call:
    """PutSecretValue under the idempotency *token*."""
    request = shapes.PutSecretValueRequest(
        SecretId=secret_id,
        ClientRequestToken=token,
        SecretString=_text(value),
        SecretBinary=_binary(value),
        VersionStages=stages or None,
    )
    return call_of(request, deleted_if_invalid=_is_ours(secret_id))


def delete_call(operation: Delete, recovery_window: int) -> Call:
    """DeleteSecret: by force, or with the operation's recovery window, or else with *recovery_window* days."""
    if operation.force:
        return call_of(shapes.DeleteSecretRequest(SecretId=operation.secret_id, ForceDeleteWithoutRecovery=True))
    window = recovery_window if operation.recovery_window is None else operation.recovery_window
    return call_of(shapes.DeleteSecretRequest(SecretId=operation.secret_id, RecoveryWindowInDays=window))


def restore_call(operation: Restore | Set) -> Call:
    """RestoreSecret."""
    return call_of(shapes.RestoreSecretRequest(SecretId=operation.secret_id))


def list_call(operation: List, next_token: str | None) -> Call:
    """ListSecrets: the first page, or the one after *next_token*."""
    request = shapes.ListSecretsRequest(
        MaxResults=operation.page_size,
        IncludePlannedDeletion=operation.include_deleted or None,
        NextToken=next_token,
    )
    return call_of(request)


def page_call(operation: ListPage) -> Call:
    """ListSecrets: one page, filtered and sorted."""
    filters = tuple(shapes.Filter(Key=one.key.value, Values=one.values) for one in operation.filters)
    request = shapes.ListSecretsRequest(
        MaxResults=operation.page_size,
        IncludePlannedDeletion=operation.include_deleted or None,
        NextToken=operation.next_token,
        Filters=filters or None,
        SortBy=None if operation.sort_by is None else operation.sort_by.value,
        SortOrder=_ORDER[operation.descending],
    )
    return call_of(request)


def describe_call(operation: Describe | Any) -> Call:
    """DescribeSecret of whatever secret *operation* is about."""
    return call_of(shapes.DescribeSecretRequest(SecretId=operation.secret_id))


def versions_call(operation: ListVersions) -> Call:
    """ListSecretVersionIds."""
    request = shapes.ListSecretVersionIdsRequest(
        SecretId=operation.secret_id,
        MaxResults=operation.page_size,
        NextToken=operation.next_token,
        IncludeDeprecated=operation.include_deprecated or None,
    )
    return call_of(request)


def move_stage_call(operation: MoveStage) -> Call:
    """UpdateSecretVersionStage."""
    request = shapes.UpdateSecretVersionStageRequest(
        SecretId=operation.secret_id,
        VersionStage=operation.stage,
        MoveToVersionId=operation.to,
        RemoveFromVersionId=operation.remove_from,
    )
    return call_of(request)


def tag_call(operation: Tag) -> Call:
    """TagResource."""
    return call_of(shapes.TagResourceRequest(SecretId=operation.secret_id, Tags=_tags(operation.tags)))


def untag_call(operation: Untag) -> Call:
    """UntagResource."""
    return call_of(shapes.UntagResourceRequest(SecretId=operation.secret_id, TagKeys=tuple(operation.keys)))


def rotate_call(operation: Rotate, token: str) -> Call:
    """RotateSecret under the idempotency *token*."""
    rules = operation.rules
    told = None if rules is None else shapes.Rules(
        AutomaticallyAfterDays=rules.after_days,
        ScheduleExpression=rules.schedule,
        Duration=rules.duration,
    )  # fmt: skip
    request = shapes.RotateSecretRequest(
        SecretId=operation.secret_id,
        ClientRequestToken=token,
        RotationLambdaARN=operation.lambda_arn,
        RotationRules=None if told == shapes.Rules() else told,
        RotateImmediately=operation.immediately,
    )
    return call_of(request)


def cancel_rotation_call(operation: CancelRotation) -> Call:
    """CancelRotateSecret."""
    return call_of(shapes.CancelRotateSecretRequest(SecretId=operation.secret_id))


def password_call(operation: RandomPassword) -> Call:
    """GetRandomPassword. Which kinds are left out is said the other way round there."""
    request = shapes.GetRandomPasswordRequest(
        PasswordLength=operation.length,
        ExcludeCharacters=operation.exclude or None,
        ExcludeLowercase=not operation.lowercase,
        ExcludeUppercase=not operation.uppercase,
        ExcludeNumbers=not operation.numbers,
        ExcludePunctuation=not operation.punctuation,
        IncludeSpace=operation.space,
        RequireEachIncludedType=operation.require_each,
    )
    return call_of(request)


def replicate_call(operation: Replicate) -> Call:
    """ReplicateSecretToRegions."""
    request = shapes.ReplicateSecretToRegionsRequest(
        SecretId=operation.secret_id,
        AddReplicaRegions=_regions(operation.regions),
        ForceOverwriteReplicaSecret=operation.overwrite or None,
    )
    return call_of(request)


def remove_regions_call(operation: RemoveRegions) -> Call:
    """RemoveRegionsFromReplication."""
    regions = tuple(operation.regions)
    return call_of(
        shapes.RemoveRegionsFromReplicationRequest(SecretId=operation.secret_id, RemoveReplicaRegions=regions)
    )


def stop_replication_call(operation: StopReplication) -> Call:
    """StopReplicationToReplica."""
    return call_of(shapes.StopReplicationToReplicaRequest(SecretId=operation.secret_id))


def get_policy_call(operation: GetPolicy) -> Call:
    """GetResourcePolicy."""
    return call_of(shapes.GetResourcePolicyRequest(SecretId=operation.secret_id))


def put_policy_call(operation: PutPolicy) -> Call:
    """PutResourcePolicy."""
    request = shapes.PutResourcePolicyRequest(
        SecretId=operation.secret_id,
        ResourcePolicy=PolicyText(operation.policy),
        BlockPublicPolicy=operation.block_public,
    )
    return call_of(request)


def delete_policy_call(operation: DeletePolicy) -> Call:
    """DeleteResourcePolicy."""
    return call_of(shapes.DeleteResourcePolicyRequest(SecretId=operation.secret_id))


def validate_policy_call(operation: ValidatePolicy) -> Call:
    """ValidateResourcePolicy."""
    policy = PolicyText(operation.policy)
    return call_of(shapes.ValidateResourcePolicyRequest(SecretId=operation.secret_id, ResourcePolicy=policy))


def raw_call(operation: Request) -> Call:
    """Whatever was asked for, null members included."""
    return protocol.raw_call(operation.operation, operation.payload.reveal())


def _is_ours(secret_id: str) -> bool:
    """Whether no service manages the secret, which may be another reason to refuse."""
    return not SecretId(secret_id).is_managed


def _text(value: SecretValue | None) -> SecretString | None:
    return SecretString(value) if value is not None and value.is_text else None


def _binary(value: SecretValue | None) -> SecretBinary | None:
    return SecretBinary(value) if value is not None and not value.is_text else None


def _tags(tags: Mapping[str, str]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(Key=key, Value=value) for key, value in tags.items())


def _regions(regions: tuple[ReplicaRegion, ...]) -> tuple[shapes.ReplicaRegion, ...]:
    return tuple(shapes.ReplicaRegion(Region=one.region, KmsKeyId=one.kms_key_id) for one in regions)
