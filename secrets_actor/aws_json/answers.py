"""The shapes of the answers of the 26 operations, for success. PURE. Limits are in `fields.py`, errors in `errors.py`.

Rule 1: a member that AWS always sends is required here, although AWS's model requires only one of them. All other
        members may be absent: AWS leaves out what a secret does not have.
Rule 2: a member that AWS adds later is ignored. But an answer that has no members at all may have none: one with
        members belongs to another request.
Rule 3: three members are not AWS's, but those of emulators. A comment or docstring says so.

Each shape has the name of its operation, with `Answer` appended. Moments are seconds since 1970 (UTC).
"""

from typing import Annotated

from msgspec import Meta

from secrets_actor.aws_json import fields
from secrets_actor.aws_json.fields import Shape


class Named(Shape, frozen=True, kw_only=True):
    """An answer that names the secret that it is about."""

    ARN: fields.AnsweredArn
    Name: fields.AnsweredName


class _Done(Shape, frozen=True, forbid_unknown_fields=True):
    """An answer without members."""


# --- values -----------------------------------------------------------------------------------------------------------


class SecretValueEntry(Named, frozen=True, kw_only=True):
    """A version with its value, which is in one of the two members SecretString and SecretBinary."""

    VersionId: fields.AnsweredVersionId
    SecretBinary: fields.SecretBinary | None = None
    SecretString: fields.SecretString | None = None
    VersionStages: fields.AnsweredStages | None = None
    CreatedDate: fields.Moment


class GetSecretValueAnswer(SecretValueEntry, frozen=True, kw_only=True):
    """GetSecretValue."""


class BatchError(Shape, frozen=True, kw_only=True):
    """The error for one secret of a batch."""

    SecretId: str
    ErrorCode: str
    Message: fields.MessageText | None = None


class BatchGetSecretValueAnswer(Shape, frozen=True, kw_only=True):
    """BatchGetSecretValue."""

    SecretValues: tuple[SecretValueEntry, ...] | None = None
    NextToken: str | None = None
    Errors: tuple[BatchError, ...] | None = None


class ReplicaEntry(Shape, frozen=True, kw_only=True):
    """A copy in another region."""

    Region: str
    KmsKeyId: str | None = None
    Status: str | None = None
    StatusMessage: str | None = None
    LastAccessedDate: fields.Moment | None = None


Replicas = tuple[ReplicaEntry, ...]


class CreateSecretAnswer(Named, frozen=True, kw_only=True):
    """CreateSecret. If the request has no value, the answer has no version."""

    VersionId: fields.VersionIdIfAny | None = None
    ReplicationStatus: Replicas | None = None


class UpdateSecretAnswer(Named, frozen=True, kw_only=True):
    """UpdateSecret. If the request has no value, the answer has no version."""

    VersionId: fields.VersionIdIfAny | None = None


class PutSecretValueAnswer(Named, frozen=True, kw_only=True):
    """PutSecretValue."""

    VersionId: fields.AnsweredVersionId
    VersionStages: fields.AnsweredStages | None = None


class GetRandomPasswordAnswer(Shape, frozen=True, kw_only=True):
    """GetRandomPassword."""

    RandomPassword: fields.RandomPassword


# --- life of a secret -------------------------------------------------------------------------------------------------


class DeleteSecretAnswer(Named, frozen=True, kw_only=True):
    """DeleteSecret. `DeletionDate` is when the recovery window ends."""

    DeletionDate: fields.Moment


class RestoreSecretAnswer(Named, frozen=True, kw_only=True):
    """RestoreSecret."""


class AnsweredTag(Shape, frozen=True, kw_only=True):
    """A tag; or one key and value that AWS needs to rotate a partner's secret."""

    Key: str
    Value: str | None = None


class AnsweredRotationRules(Shape, frozen=True, kw_only=True):
    """When a secret is rotated."""

    AutomaticallyAfterDays: fields.AnsweredDays | None = None
    Duration: str | None = None
    ScheduleExpression: str | None = None


class Described(Named, frozen=True, kw_only=True):
    """The description of a secret, without its value. `DeletedDate` is when its deletion was asked for."""

    Type: str | None = None
    Description: str | None = None
    KmsKeyId: str | None = None
    RotationEnabled: bool | None = None
    RotationLambdaARN: str | None = None
    RotationRules: AnsweredRotationRules | None = None
    ExternalSecretRotationMetadata: tuple[AnsweredTag, ...] | None = None
    ExternalSecretRotationRoleArn: str | None = None
    LastRotatedDate: fields.Moment | None = None
    LastChangedDate: fields.Moment | None = None
    LastAccessedDate: fields.Moment | None = None
    DeletedDate: fields.Moment | None = None
    NextRotationDate: fields.Moment | None = None
    Tags: tuple[AnsweredTag, ...] | None = None
    OwningService: str | None = None
    CreatedDate: fields.Moment | None = None
    PrimaryRegion: str | None = None
    # AWS sends the first of these in a description and the second in a list; emulators send either in both. AWS sends
    # ReplicationStatus in a description only; emulators send it in a list, too.
    VersionIdsToStages: dict[fields.AnsweredVersionId, fields.AnsweredStages] | None = None
    SecretVersionsToStages: dict[fields.AnsweredVersionId, fields.AnsweredStages] | None = None
    ReplicationStatus: Replicas | None = None


class PrimarySecret(Shape, frozen=True, kw_only=True):
    """The secret in another account of which this one is a copy."""

    PrimarySecretARN: str | None = None
    ReplicationStatus: str | None = None
    StatusMessage: str | None = None


class ReplicaSecret(Shape, frozen=True, kw_only=True):
    """A copy in another account."""

    ReplicaSecretARN: str | None = None
    ReplicationRoleARN: str | None = None
    ReplicationStatus: str | None = None
    StatusMessage: str | None = None


class DescribeSecretAnswer(Described, frozen=True, kw_only=True):
    """DescribeSecret."""

    CrossAccountPrimary: PrimarySecret | None = None
    CrossAccountReplicas: tuple[ReplicaSecret, ...] | None = None


class SecretListEntry(Described, frozen=True, kw_only=True):
    """One secret of a list."""


class ListSecretsAnswer(Shape, frozen=True, kw_only=True):
    """ListSecrets. `NextToken` is absent, or empty, on the last page."""

    SecretList: tuple[SecretListEntry, ...]
    NextToken: str | None = None


class TagResourceAnswer(_Done, frozen=True):
    """TagResource."""


class UntagResourceAnswer(_Done, frozen=True):
    """UntagResource."""


# --- versions and rotation --------------------------------------------------------------------------------------------


class VersionEntry(Shape, frozen=True, kw_only=True):
    """A version without its value. A version without stages is deprecated."""

    VersionId: fields.AnsweredVersionId
    VersionStages: fields.AnsweredStages | None = None
    LastAccessedDate: fields.Moment | None = None
    CreatedDate: fields.Moment | None = None
    KmsKeyIds: tuple[str, ...] | None = None


class ListSecretVersionIdsAnswer(Named, frozen=True, kw_only=True):
    """ListSecretVersionIds."""

    Versions: tuple[VersionEntry, ...] | None = None
    NextToken: str | None = None


class UpdateSecretVersionStageAnswer(Named, frozen=True, kw_only=True):
    """UpdateSecretVersionStage."""


class RotateSecretAnswer(Named, frozen=True, kw_only=True):
    """RotateSecret."""

    VersionId: fields.VersionIdIfAny | None = None


class CancelRotateSecretAnswer(Named, frozen=True, kw_only=True):
    """CancelRotateSecret."""

    VersionId: fields.VersionIdIfAny | None = None


# --- replicas ---------------------------------------------------------------------------------------------------------


class ReplicateSecretToRegionsAnswer(Shape, frozen=True, kw_only=True):
    """ReplicateSecretToRegions."""

    ARN: fields.AnsweredArn
    ReplicationStatus: Replicas | None = None


class RemoveRegionsFromReplicationAnswer(Shape, frozen=True, kw_only=True):
    """RemoveRegionsFromReplication."""

    ARN: fields.AnsweredArn
    ReplicationStatus: Replicas | None = None


class StopReplicationToReplicaAnswer(Shape, frozen=True, kw_only=True):
    """StopReplicationToReplica. AWS sends no ReplicationStatus here, emulators do."""

    ARN: fields.AnsweredArn
    ReplicationStatus: Replicas | None = None


class AssociateCrossAccountReplicaAnswer(Shape, frozen=True, kw_only=True):
    """AssociateCrossAccountReplica."""

    ARN: fields.AnsweredArn
    CrossAccountReplicaARN: fields.AnsweredArn
    ReplicationStatus: str | None = None


class DisassociateCrossAccountReplicaAnswer(Shape, frozen=True, kw_only=True):
    """DisassociateCrossAccountReplica."""

    ARN: fields.AnsweredArn
    CrossAccountReplicaARN: fields.AnsweredArn


# --- resource policies ------------------------------------------------------------------------------------------------


class GetResourcePolicyAnswer(Named, frozen=True, kw_only=True):
    """GetResourcePolicy. `ResourcePolicy` is absent when the secret has no policy."""

    ResourcePolicy: fields.PolicyText | None = None
    PolicyName: str | None = None


class PutResourcePolicyAnswer(Named, frozen=True, kw_only=True):
    """PutResourcePolicy."""

    PolicyName: str | None = None


class DeleteResourcePolicyAnswer(Named, frozen=True, kw_only=True):
    """DeleteResourcePolicy."""

    PolicyName: str | None = None


class ResourcePolicySummary(Shape, frozen=True, kw_only=True):
    """The name of one policy."""

    PolicyName: str | None = None


class ListResourcePoliciesAnswer(Shape, frozen=True, kw_only=True):
    """ListResourcePolicies."""

    ResourcePolicies: Annotated[tuple[ResourcePolicySummary, ...], Meta(max_length=100)]
    NextToken: str | None = None


class PolicyFinding(Shape, frozen=True, kw_only=True):
    """One objection of AWS to a policy. The message is masked, for it may quote the policy."""

    CheckName: str | None = None
    ErrorMessage: fields.MessageText | None = None


class ValidateResourcePolicyAnswer(Shape, frozen=True, kw_only=True):
    """ValidateResourcePolicy."""

    PolicyValidationPassed: bool
    ValidationErrors: tuple[PolicyFinding, ...] | None = None
