"""The shapes of the requests of the 26 operations. PURE. Limits are in `fields.py`.

Each shape has the name of its operation, with `Request` appended; a part that several requests share has its own name.
"""

from typing import Annotated

from msgspec import Meta

from secrets_actor.aws_json import fields
from secrets_actor.aws_json.fields import Shape

# --- parts ------------------------------------------------------------------------------------------------------------


class Tag(Shape, frozen=True, kw_only=True):
    """A tag."""

    Key: fields.TagKey | None = None
    Value: fields.TagValue | None = None


class Filter(Shape, frozen=True, kw_only=True):
    """A filter of a list, for secrets that match one of the values. `!` before a value negates it."""

    Key: fields.FilterKey | None = None
    Values: Annotated[tuple[fields.FilterValue, ...], Meta(min_length=1, max_length=10)] | None = None


class ReplicaRegion(Shape, frozen=True, kw_only=True):
    """A region that a copy goes to, and the KMS key of the copy."""

    Region: fields.Region | None = None
    KmsKeyId: fields.KmsKeyId | None = None


class Rules(Shape, frozen=True, kw_only=True):
    """When a secret is rotated."""

    AutomaticallyAfterDays: fields.RotationDays | None = None
    Duration: fields.RotationDuration | None = None
    ScheduleExpression: fields.RotationSchedule | None = None


class RotationMetadata(Shape, frozen=True, kw_only=True):
    """One key and value that AWS needs to rotate a partner's secret."""

    Key: fields.MetadataKey | None = None
    Value: fields.MetadataValue | None = None


TagList = tuple[Tag, ...]
FilterList = Annotated[tuple[Filter, ...], Meta(max_length=10)]
ReplicaRegionList = Annotated[tuple[ReplicaRegion, ...], Meta(min_length=1)]


class _OfSecret(Shape, frozen=True, kw_only=True):
    """A request about one secret, by its name or ARN."""

    SecretId: fields.SecretId


# --- values -----------------------------------------------------------------------------------------------------------


class GetSecretValueRequest(_OfSecret, frozen=True, kw_only=True):
    """GetSecretValue."""

    VersionId: fields.VersionId | None = None
    VersionStage: fields.Stage | None = None


class BatchGetSecretValueRequest(Shape, frozen=True, kw_only=True):
    """BatchGetSecretValue, by ids or by filters."""

    SecretIdList: Annotated[tuple[fields.SecretId, ...], Meta(min_length=1, max_length=20)] | None = None
    Filters: FilterList | None = None
    MaxResults: fields.BatchSize | None = None
    NextToken: fields.PageToken | None = None


class CreateSecretRequest(Shape, frozen=True, kw_only=True):
    """CreateSecret."""

    Name: fields.NewName
    ClientRequestToken: fields.Token | None = None
    Description: fields.Description | None = None
    KmsKeyId: fields.KmsKeyId | None = None
    SecretBinary: fields.SecretBinary | None = None
    SecretString: fields.SecretString | None = None
    Tags: TagList | None = None
    AddReplicaRegions: ReplicaRegionList | None = None
    ForceOverwriteReplicaSecret: bool | None = None
    Type: fields.SecretType | None = None
    CrossAccountPrimaryARN: fields.SecretArn | None = None


class UpdateSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """UpdateSecret."""

    ClientRequestToken: fields.Token | None = None
    Description: fields.Description | None = None
    KmsKeyId: fields.KmsKeyId | None = None
    SecretBinary: fields.SecretBinary | None = None
    SecretString: fields.SecretString | None = None
    Type: fields.SecretType | None = None


class PutSecretValueRequest(_OfSecret, frozen=True, kw_only=True):
    """PutSecretValue."""

    ClientRequestToken: fields.Token | None = None
    SecretBinary: fields.SecretBinary | None = None
    SecretString: fields.SecretString | None = None
    VersionStages: fields.Stages | None = None
    RotationToken: fields.RotationToken | None = None


class GetRandomPasswordRequest(Shape, frozen=True, kw_only=True):
    """GetRandomPassword."""

    PasswordLength: fields.PasswordLength | None = None
    ExcludeCharacters: fields.ExcludedCharacters | None = None
    ExcludeNumbers: bool | None = None
    ExcludePunctuation: bool | None = None
    ExcludeUppercase: bool | None = None
    ExcludeLowercase: bool | None = None
    IncludeSpace: bool | None = None
    RequireEachIncludedType: bool | None = None


# --- life of a secret -------------------------------------------------------------------------------------------------


class DeleteSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """DeleteSecret."""

    RecoveryWindowInDays: fields.RecoveryWindow | None = None
    ForceDeleteWithoutRecovery: bool | None = None


class RestoreSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """RestoreSecret."""


class DescribeSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """DescribeSecret."""


class ListSecretsRequest(Shape, frozen=True, kw_only=True):
    """ListSecrets."""

    IncludePlannedDeletion: bool | None = None
    MaxResults: fields.PageSize | None = None
    NextToken: fields.PageToken | None = None
    Filters: FilterList | None = None
    SortOrder: fields.SortOrder | None = None
    SortBy: fields.SortBy | None = None


class TagResourceRequest(_OfSecret, frozen=True, kw_only=True):
    """TagResource."""

    Tags: TagList


class UntagResourceRequest(_OfSecret, frozen=True, kw_only=True):
    """UntagResource."""

    TagKeys: tuple[fields.TagKey, ...]


# --- versions and rotation --------------------------------------------------------------------------------------------


class ListSecretVersionIdsRequest(_OfSecret, frozen=True, kw_only=True):
    """ListSecretVersionIds."""

    MaxResults: fields.PageSize | None = None
    NextToken: fields.PageToken | None = None
    IncludeDeprecated: bool | None = None


class UpdateSecretVersionStageRequest(_OfSecret, frozen=True, kw_only=True):
    """UpdateSecretVersionStage."""

    VersionStage: fields.Stage
    RemoveFromVersionId: fields.VersionId | None = None
    MoveToVersionId: fields.VersionId | None = None


class RotateSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """RotateSecret."""

    ClientRequestToken: fields.Token | None = None
    RotationLambdaARN: fields.LambdaArn | None = None
    RotationRules: Rules | None = None
    ExternalSecretRotationMetadata: tuple[RotationMetadata, ...] | None = None
    ExternalSecretRotationRoleArn: fields.RoleArn | None = None
    RotateImmediately: bool | None = None


class CancelRotateSecretRequest(_OfSecret, frozen=True, kw_only=True):
    """CancelRotateSecret."""


# --- replicas ---------------------------------------------------------------------------------------------------------


class ReplicateSecretToRegionsRequest(_OfSecret, frozen=True, kw_only=True):
    """ReplicateSecretToRegions."""

    AddReplicaRegions: ReplicaRegionList
    ForceOverwriteReplicaSecret: bool | None = None


class RemoveRegionsFromReplicationRequest(_OfSecret, frozen=True, kw_only=True):
    """RemoveRegionsFromReplication."""

    RemoveReplicaRegions: Annotated[tuple[fields.Region, ...], Meta(min_length=1)]


class StopReplicationToReplicaRequest(_OfSecret, frozen=True, kw_only=True):
    """StopReplicationToReplica."""


class AssociateCrossAccountReplicaRequest(_OfSecret, frozen=True, kw_only=True):
    """AssociateCrossAccountReplica."""

    CrossAccountReplicaARN: fields.SecretArn
    ReplicaRestriction: fields.ReplicaRestriction | None = None
    ReplicationRoleARN: fields.RoleArn | None = None


class DisassociateCrossAccountReplicaRequest(_OfSecret, frozen=True, kw_only=True):
    """DisassociateCrossAccountReplica."""

    CrossAccountReplicaARN: fields.SecretArn


# --- resource policies ------------------------------------------------------------------------------------------------


class GetResourcePolicyRequest(_OfSecret, frozen=True, kw_only=True):
    """GetResourcePolicy."""

    PolicyName: fields.PolicyName | None = None


class PutResourcePolicyRequest(_OfSecret, frozen=True, kw_only=True):
    """PutResourcePolicy."""

    ResourcePolicy: fields.PolicyText
    PolicyName: fields.PolicyName | None = None
    BlockPublicPolicy: bool | None = None


class DeleteResourcePolicyRequest(_OfSecret, frozen=True, kw_only=True):
    """DeleteResourcePolicy."""

    PolicyName: fields.PolicyName | None = None


class ListResourcePoliciesRequest(_OfSecret, frozen=True, kw_only=True):
    """ListResourcePolicies."""

    MaxResults: fields.PageSize | None = None
    NextToken: fields.PageToken | None = None


class ValidateResourcePolicyRequest(Shape, frozen=True, kw_only=True):
    """ValidateResourcePolicy, for a secret that exists, or for none yet."""

    SecretId: fields.SecretId | None = None
    ResourcePolicy: fields.PolicyText
