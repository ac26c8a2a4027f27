"""Turns operations into calls, in the shapes of `aws_json`. PURE.

Rule 1: a get always says which version it wants; a text is sent as SecretString, bytes as SecretBinary.
Rule 2: a member that the operation does not set is not sent, so AWS's own defaults hold. The one exception is the
        recovery window, which is configured.
Rule 3: no limit is checked here: each operation has checked its own when it was made.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from secrets_actor.aws_json import requests as shapes
from secrets_actor.aws_json.fields import PolicyText, SecretBinary, SecretString
from secrets_actor.backends.aws import protocol
from secrets_actor.backends.aws.protocol import Call, call_of
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.operations import (
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    Delete,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Get,
    GetPolicy,
    List,
    ListPage,
    ListPolicies,
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
    version_key,
)
from secrets_actor.domain.results import ReplicaRegion
from secrets_actor.domain.secret import SecretValue

_ORDER: Final[Mapping[bool | None, Literal["asc", "desc"] | None]] = {None: None, False: "asc", True: "desc"}


def get_call(operation: Get) -> Call:
    """Return the call GetSecretValue: by stage (AWSCURRENT by default), by version id, or by both."""
    version_id, stage = version_key(operation)
    # As a plain `str`: msgspec encodes no subclass of it by itself, and the codec's hook would double the time that
    # this call takes.
    secret_id = plain(operation.secret_id)
    request = shapes.GetSecretValueRequest(SecretId=secret_id, VersionId=version_id, VersionStage=stage)
    # AWS refuses a version id and a stage that do not match with the same code as a deleted secret.
    told = _is_ours(operation.secret_id) and (version_id is None or stage is None)
    return call_of(request, deleted_if_invalid=told)


def batch_call(secret_ids: Iterable[str], next_token: str | None = None) -> Call:
    """Return the call BatchGetSecretValue."""
    return call_of(shapes.BatchGetSecretValueRequest(SecretIdList=tuple(secret_ids), NextToken=next_token))


def create_call(operation: Set | Create, token: str) -> Call:
    """Return the call CreateSecret with the idempotency *token*."""
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


def create_empty_call(operation: CreateEmpty, token: str) -> Call:
    """Return the call CreateSecret without a value, with the idempotency *token*."""
    request = shapes.CreateSecretRequest(
        Name=operation.secret_id,
        ClientRequestToken=token,
        Description=operation.description,
        KmsKeyId=operation.kms_key_id,
        Tags=_tags(operation.tags) or None,
        AddReplicaRegions=_regions(operation.replicas) or None,
        ForceOverwriteReplicaSecret=operation.overwrite_replicas or None,
    )
    return call_of(request, deleted_if_invalid=True)


def update_call(operation: Set | Update, token: str) -> Call:
    """Return the call UpdateSecret with the idempotency *token*.

    It gives a secret that exists a new current version, another description or another KMS key. The KMS key of a `Set`
    is left out: it is meant for a secret that the `Set` creates.
    """
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
    """Return the call PutSecretValue with the idempotency *token*."""
    request = shapes.PutSecretValueRequest(
        SecretId=secret_id,
        ClientRequestToken=token,
        SecretString=_text(value),
        SecretBinary=_binary(value),
        VersionStages=stages or None,
    )
    return call_of(request, deleted_if_invalid=_is_ours(secret_id))


def delete_call(operation: Delete, recovery_window: int | None) -> Call:
    """Return the call DeleteSecret: by force, or with the operation's recovery window, or else *recovery_window* days
    (None: without one, so that the server decides).

    AWS refuses a request that has both force and a window.
    """
    if operation.force:
        return call_of(shapes.DeleteSecretRequest(SecretId=operation.secret_id, ForceDeleteWithoutRecovery=True))
    window = recovery_window if operation.recovery_window is None else operation.recovery_window
    return call_of(shapes.DeleteSecretRequest(SecretId=operation.secret_id, RecoveryWindowInDays=window))


def restore_call(operation: Restore | Set) -> Call:
    """Return the call RestoreSecret."""
    return call_of(shapes.RestoreSecretRequest(SecretId=operation.secret_id))


def list_call(operation: List, next_token: str | None) -> Call:
    """Return the call ListSecrets: for the first page, or for the page that *next_token* names."""
    request = shapes.ListSecretsRequest(
        MaxResults=operation.page_size,
        IncludePlannedDeletion=operation.include_deleted or None,
        NextToken=next_token,
    )
    return call_of(request)


def page_call(operation: ListPage) -> Call:
    """Return the call ListSecrets: for one page, filtered and sorted."""
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
    """Return the call DescribeSecret, for the secret that *operation*, of any kind, is about."""
    return call_of(shapes.DescribeSecretRequest(SecretId=operation.secret_id))


def versions_call(operation: ListVersions) -> Call:
    """Return the call ListSecretVersionIds."""
    request = shapes.ListSecretVersionIdsRequest(
        SecretId=operation.secret_id,
        MaxResults=operation.page_size,
        NextToken=operation.next_token,
        IncludeDeprecated=operation.include_deprecated or None,
    )
    return call_of(request)


def move_stage_call(operation: MoveStage) -> Call:
    """Return the call UpdateSecretVersionStage."""
    request = shapes.UpdateSecretVersionStageRequest(
        SecretId=operation.secret_id,
        VersionStage=operation.stage,
        MoveToVersionId=operation.to,
        RemoveFromVersionId=operation.remove_from,
    )
    return call_of(request)


def tag_call(operation: Tag) -> Call:
    """Return the call TagResource."""
    return call_of(shapes.TagResourceRequest(SecretId=operation.secret_id, Tags=_tags(operation.tags)))


def untag_call(operation: Untag) -> Call:
    """Return the call UntagResource."""
    return call_of(shapes.UntagResourceRequest(SecretId=operation.secret_id, TagKeys=tuple(operation.keys)))


def rotate_call(operation: Rotate, token: str) -> Call:
    """Return the call RotateSecret with the idempotency *token*."""
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
    """Return the call CancelRotateSecret."""
    return call_of(shapes.CancelRotateSecretRequest(SecretId=operation.secret_id))


def password_call(operation: RandomPassword) -> Call:
    """Return the call GetRandomPassword.

    The operation says which kinds of characters the password has; AWS wants to know which ones it has not.
    """
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
    """Return the call ReplicateSecretToRegions."""
    request = shapes.ReplicateSecretToRegionsRequest(
        SecretId=operation.secret_id,
        AddReplicaRegions=_regions(operation.regions),
        ForceOverwriteReplicaSecret=operation.overwrite or None,
    )
    return call_of(request)


def remove_regions_call(operation: RemoveRegions) -> Call:
    """Return the call RemoveRegionsFromReplication."""
    regions = tuple(operation.regions)
    return call_of(
        shapes.RemoveRegionsFromReplicationRequest(SecretId=operation.secret_id, RemoveReplicaRegions=regions)
    )


def stop_replication_call(operation: StopReplication) -> Call:
    """Return the call StopReplicationToReplica."""
    return call_of(shapes.StopReplicationToReplicaRequest(SecretId=operation.secret_id))


def associate_call(operation: AssociateReplica) -> Call:
    """Return the call AssociateCrossAccountReplica."""
    request = shapes.AssociateCrossAccountReplicaRequest(
        SecretId=operation.secret_id,
        CrossAccountReplicaARN=operation.replica_arn,
        ReplicaRestriction="NoRestriction" if operation.any_organization else None,
        ReplicationRoleARN=operation.role_arn,
    )
    return call_of(request)


def disassociate_call(operation: DisassociateReplica) -> Call:
    """Return the call DisassociateCrossAccountReplica."""
    return call_of(
        shapes.DisassociateCrossAccountReplicaRequest(
            SecretId=operation.secret_id, CrossAccountReplicaARN=operation.replica_arn
        )
    )


def policies_call(operation: ListPolicies) -> Call:
    """Return the call ListResourcePolicies."""
    request = shapes.ListResourcePoliciesRequest(
        SecretId=operation.secret_id, MaxResults=operation.page_size, NextToken=operation.next_token
    )
    return call_of(request)


def get_policy_call(operation: GetPolicy) -> Call:
    """Return the call GetResourcePolicy."""
    return call_of(shapes.GetResourcePolicyRequest(SecretId=operation.secret_id, PolicyName=operation.name))


def put_policy_call(operation: PutPolicy) -> Call:
    """Return the call PutResourcePolicy."""
    request = shapes.PutResourcePolicyRequest(
        SecretId=operation.secret_id,
        ResourcePolicy=PolicyText(operation.policy),
        BlockPublicPolicy=operation.block_public,
    )
    return call_of(request)


def delete_policy_call(operation: DeletePolicy) -> Call:
    """Return the call DeleteResourcePolicy."""
    return call_of(shapes.DeleteResourcePolicyRequest(SecretId=operation.secret_id))


def validate_policy_call(operation: ValidatePolicy) -> Call:
    """Return the call ValidateResourcePolicy."""
    policy = PolicyText(operation.policy)
    return call_of(shapes.ValidateResourcePolicyRequest(SecretId=operation.secret_id, ResourcePolicy=policy))


def raw_call(operation: Request) -> Call:
    """Return the call of the operation that a `Request` names, with its payload as it is, null members included."""
    return protocol.raw_call(operation.operation, operation.payload.reveal())


def _is_ours(secret_id: str) -> bool:
    """Whether no AWS service manages the secret. For a managed one, AWS has another reason to refuse a request."""
    return not SecretId(secret_id).is_managed


def _text(value: SecretValue | None) -> SecretString | None:
    return SecretString(value) if value is not None and value.is_text else None


def _binary(value: SecretValue | None) -> SecretBinary | None:
    return SecretBinary(value) if value is not None and not value.is_text else None


def _tags(tags: Mapping[str, str]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(Key=key, Value=value) for key, value in tags.items())


def _regions(regions: tuple[ReplicaRegion, ...]) -> tuple[shapes.ReplicaRegion, ...]:
    return tuple(shapes.ReplicaRegion(Region=one.region, KmsKeyId=one.kms_key_id) for one in regions)
