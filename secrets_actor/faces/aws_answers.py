"""Turns the results of our operations into answers of the AWS API. PURE.

Rule 1: what a secret does not have is left out: no empty Tags, no RotationEnabled that is false. AWS does so, and tools
        compare what they get.
Rule 2: a moment has our full precision, a microsecond. AWS sends milliseconds. No tool minds, and our own client on the
        other side finds the same moments as with the store itself.
Rule 3: the order of versions and stages is that of the result.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec

from secrets_actor.aws_json import answers as shapes
from secrets_actor.aws_json.codec import encode_answer
from secrets_actor.aws_json.fields import MessageText, PolicyText, SecretBinary, SecretString, Shape
from secrets_actor.aws_json.fields import RandomPassword as RandomPasswordText
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    LinkedSecret,
    NamedReceipt,
    PolicyPage,
    PolicyVerdict,
    Replica,
    ReplicationReceipt,
    ResourcePolicy,
    SecretDescription,
    SecretPage,
    VersionPage,
    VersionReceipt,
)
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt

# What AWS says of a version that is encrypted with its own key.
_OWN_KEY: Final = ("DefaultEncryptionKey",)


def encoded(name: str, result: Any) -> bytes:
    """Return the body of the answer to AWS's operation *name*, whose *result* this is."""
    if isinstance(result, MaskedObject):  # the request went on to AWS as it came, and so does the answer
        return msgspec.json.encode(result.reveal())
    return encode_answer(_ANSWERS[name](result))


def encoded_batch(
    found: tuple[Secret, ...], errors: tuple[shapes.BatchError, ...], next_token: str | None = None
) -> bytes:
    """Return the body of BatchGetSecretValue's answer. AWS sends both lists even when they are empty."""
    values = tuple([shapes.SecretValueEntry(**_secret(one)) for one in found])
    return encode_answer(shapes.BatchGetSecretValueAnswer(SecretValues=values, Errors=errors, NextToken=next_token))


def name_in(result: Any) -> str | None:
    """Return the name of the secret that *result* is about; None if it names none."""
    if isinstance(result, MaskedObject):
        found = result.reveal().get("Name")
        return found if isinstance(found, str) else None
    name = getattr(result, "name", None)
    return name if isinstance(name, str) else None


# --- values -----------------------------------------------------------------------------------------------------------


def _get(secret: Secret) -> Shape:
    return shapes.GetSecretValueAnswer(**_secret(secret))


def _secret(secret: Secret) -> dict[str, Any]:
    value = secret.value
    kept = {"SecretString": SecretString(value)} if value.is_text else {"SecretBinary": SecretBinary(value)}
    return {
        "ARN": secret.arn,
        "Name": str.__str__(secret.name),
        "VersionId": secret.version_id,
        **kept,
        "VersionStages": secret.stages,
        "CreatedDate": _seconds(secret.created_at),
    }


def _create(receipt: SetReceipt | NamedReceipt) -> Shape:
    version_id = receipt.version_id if isinstance(receipt, SetReceipt) else None
    return shapes.CreateSecretAnswer(ARN=receipt.arn, Name=receipt.name, VersionId=version_id)


def _update(receipt: ChangeReceipt | SecretDescription) -> Shape:
    version_id = receipt.version_id if isinstance(receipt, ChangeReceipt) else None
    return shapes.UpdateSecretAnswer(ARN=receipt.arn, Name=receipt.name, VersionId=version_id)


def _put(receipt: VersionReceipt) -> Shape:
    return shapes.PutSecretValueAnswer(
        ARN=receipt.arn, Name=receipt.name, VersionId=receipt.version_id, VersionStages=receipt.stages
    )


def _password(password: SecretValue) -> Shape:
    return shapes.GetRandomPasswordAnswer(RandomPassword=RandomPasswordText(password))


# --- life of a secret -------------------------------------------------------------------------------------------------


def _delete(receipt: DeleteReceipt) -> Shape:
    return shapes.DeleteSecretAnswer(ARN=receipt.arn, Name=receipt.name, DeletionDate=_seconds(receipt.deletion_date))


def _restore(receipt: NamedReceipt) -> Shape:
    return shapes.RestoreSecretAnswer(ARN=receipt.arn, Name=receipt.name)


def _done(_nothing: None) -> Shape:
    return shapes.TagResourceAnswer()


def _facts(known: SecretDescription) -> dict[str, Any]:
    """Return the members that a description and an entry of a list have in common."""
    rules = known.rotation_rules
    return {
        "ARN": known.arn,
        "Name": known.name,
        "Type": known.type,
        "Description": known.description or None,
        "KmsKeyId": known.kms_key_id,
        "RotationEnabled": known.rotation_enabled or None,
        "RotationLambdaARN": known.rotation_lambda_arn,
        "RotationRules": None
        if rules is None
        else shapes.AnsweredRotationRules(
            AutomaticallyAfterDays=rules.after_days, Duration=rules.duration, ScheduleExpression=rules.schedule
        ),
        "ExternalSecretRotationMetadata": _pairs(known.external_rotation_metadata),
        "ExternalSecretRotationRoleArn": known.external_rotation_role_arn,
        "LastRotatedDate": _seconds_if_any(known.rotated_at),
        "LastChangedDate": _seconds_if_any(known.changed_at),
        "LastAccessedDate": _seconds_if_any(known.accessed_at),
        "DeletedDate": _seconds_if_any(known.deleted_at),
        "NextRotationDate": _seconds_if_any(known.next_rotation_at),
        "Tags": _pairs(known.tags),
        "OwningService": known.owning_service,
        "CreatedDate": _seconds_if_any(known.created_at),
        "PrimaryRegion": known.primary_region,
    }


def _describe(known: SecretDescription) -> Shape:
    primary = known.account_primary
    return shapes.DescribeSecretAnswer(
        **_facts(known),
        VersionIdsToStages=dict(known.versions) or None,
        ReplicationStatus=_replicas(known.replicas) or None,
        CrossAccountPrimary=None
        if primary is None
        else shapes.PrimarySecret(
            PrimarySecretARN=primary.arn, ReplicationStatus=primary.status, StatusMessage=primary.message
        ),
        CrossAccountReplicas=tuple(map(_linked, known.account_replicas)) or None,
    )


def _linked(one: LinkedSecret) -> shapes.ReplicaSecret:
    return shapes.ReplicaSecret(
        ReplicaSecretARN=one.arn,
        ReplicationRoleARN=one.role_arn,
        ReplicationStatus=one.status,
        StatusMessage=one.message,
    )


def _list(page: SecretPage) -> Shape:
    # AWS's name of the map differs from that in a description.
    entries = tuple(
        [
            shapes.SecretListEntry(**_facts(one), SecretVersionsToStages=dict(one.versions) or None)
            for one in page.secrets
        ]
    )
    return shapes.ListSecretsAnswer(SecretList=entries, NextToken=page.next_token)


# --- versions and rotation --------------------------------------------------------------------------------------------


def _versions(page: VersionPage) -> Shape:
    entries = tuple(
        [
            shapes.VersionEntry(
                VersionId=one.version_id,
                VersionStages=one.stages or None,
                LastAccessedDate=_seconds_if_any(one.accessed_at),
                CreatedDate=_seconds_if_any(one.created_at),
                KmsKeyIds=one.kms_key_ids or _OWN_KEY,
            )
            for one in page.versions
        ]
    )
    return shapes.ListSecretVersionIdsAnswer(ARN=page.arn, Name=page.name, Versions=entries, NextToken=page.next_token)


def _named(receipt: NamedReceipt) -> Shape:
    return shapes.UpdateSecretVersionStageAnswer(ARN=receipt.arn, Name=receipt.name)


def _rotate(receipt: ChangeReceipt) -> Shape:
    return shapes.RotateSecretAnswer(ARN=receipt.arn, Name=receipt.name, VersionId=receipt.version_id)


# --- replicas and policies --------------------------------------------------------------------------------------------


def _replicas(replicas: tuple[Replica, ...]) -> tuple[shapes.ReplicaEntry, ...]:
    return tuple(
        [
            shapes.ReplicaEntry(
                Region=one.region,
                KmsKeyId=one.kms_key_id,
                Status=one.status,
                StatusMessage=one.message,
                LastAccessedDate=_seconds_if_any(one.accessed_at),
            )
            for one in replicas
        ]
    )


def _replication(receipt: ReplicationReceipt) -> Shape:
    return shapes.ReplicateSecretToRegionsAnswer(ARN=receipt.arn, ReplicationStatus=_replicas(receipt.replicas))


def _stopped(receipt: ReplicationReceipt) -> Shape:
    return shapes.StopReplicationToReplicaAnswer(ARN=receipt.arn)


def _associated(receipt: AccountReplicaReceipt) -> Shape:
    return shapes.AssociateCrossAccountReplicaAnswer(
        ARN=receipt.arn, CrossAccountReplicaARN=receipt.replica_arn, ReplicationStatus=receipt.status
    )


def _disassociated(receipt: AccountReplicaReceipt) -> Shape:
    return shapes.DisassociateCrossAccountReplicaAnswer(ARN=receipt.arn, CrossAccountReplicaARN=receipt.replica_arn)


def _policy(found: ResourcePolicy) -> Shape:
    text = None if found.policy is None else PolicyText(found.policy)
    return shapes.GetResourcePolicyAnswer(ARN=found.arn, Name=found.name, ResourcePolicy=text)


def _policies(page: PolicyPage) -> Shape:
    names = tuple([shapes.ResourcePolicySummary(PolicyName=name) for name in page.names])
    return shapes.ListResourcePoliciesAnswer(ResourcePolicies=names, NextToken=page.next_token)


def _verdict(verdict: PolicyVerdict) -> Shape:
    findings = tuple(
        [shapes.PolicyFinding(CheckName=one.check, ErrorMessage=MessageText(one.reason)) for one in verdict.findings]
    )
    return shapes.ValidateResourcePolicyAnswer(PolicyValidationPassed=verdict.passed, ValidationErrors=findings)


_ANSWERS: Final[Mapping[str, Callable[[Any], Shape]]] = {
    "AssociateCrossAccountReplica": _associated,
    "CancelRotateSecret": _rotate,
    "CreateSecret": _create,
    "DeleteResourcePolicy": _named,
    "DeleteSecret": _delete,
    "DescribeSecret": _describe,
    "DisassociateCrossAccountReplica": _disassociated,
    "GetRandomPassword": _password,
    "GetResourcePolicy": _policy,
    "GetSecretValue": _get,
    "ListResourcePolicies": _policies,
    "ListSecretVersionIds": _versions,
    "ListSecrets": _list,
    "PutResourcePolicy": _named,
    "PutSecretValue": _put,
    "RemoveRegionsFromReplication": _replication,
    "ReplicateSecretToRegions": _replication,
    "RestoreSecret": _restore,
    "RotateSecret": _rotate,
    "StopReplicationToReplica": _stopped,
    "TagResource": _done,
    "UntagResource": _done,
    "UpdateSecret": _update,
    "UpdateSecretVersionStage": _named,
    "ValidateResourcePolicy": _verdict,
}

# --- parts ------------------------------------------------------------------------------------------------------------


def _seconds(moment: datetime) -> float:
    # Rounded, because the number would end in digits that mean nothing: a double is more precise than a microsecond.
    return round(moment.timestamp(), 6)


def _seconds_if_any(moment: datetime | None) -> float | None:
    return None if moment is None else _seconds(moment)


def _pairs(pairs: Mapping[str, str]) -> tuple[shapes.AnsweredTag, ...] | None:
    return tuple([shapes.AnsweredTag(Key=key, Value=value) for key, value in pairs.items()]) or None
