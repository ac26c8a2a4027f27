"""AWS's answers as domain types. PURE. Each raises `InvalidAnswer` for a body of another shape; see `shapes.py`.

Source of names and shapes: botocore's `secretsmanager/2017-10-17/service-2.json`.
"""

from collections.abc import Mapping

from secrets_actor.backends.aws.protocol import Json
from secrets_actor.backends.aws.shapes import (
    Misshapen,
    member,
    objects,
    read,
    strings,
    text,
    text_if_any,
    texts,
    time,
    time_if_any,
    value,
)
from secrets_actor.domain.descriptions import (
    NamedReceipt,
    PolicyFinding,
    PolicyVerdict,
    Replica,
    ReplicationReceipt,
    ResourcePolicy,
    RotationReceipt,
    RotationRules,
    SecretDescription,
    SecretPage,
    UpdateReceipt,
    VersionInfo,
    VersionPage,
    VersionReceipt,
)
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt, Secret, SecretInfo, SecretValue, SetReceipt
from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `next_token` is None on the last."""

    infos: tuple[SecretInfo, ...]
    next_token: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """One BatchGetSecretValue: what was found, (id, AWS's code) for what was not, and how to go on."""

    found: tuple[Secret, ...]
    refused: tuple[tuple[str, str], ...]
    next_token: str | None


# --- values -------------------------------------------------------------------------------------------------------


def secret(body: bytes, request_id: str | None = None) -> Secret:
    """GetSecretValue's answer."""
    return read(body, _secret, request_id)


def batch(body: bytes, request_id: str | None = None) -> Batch:
    """BatchGetSecretValue's answer."""
    return read(body, _batch, request_id)


def password(body: bytes, request_id: str | None = None) -> SecretValue:
    """GetRandomPassword's answer."""
    return read(body, lambda answer: SecretValue(text(answer, "RandomPassword")), request_id)


def masked(body: bytes, request_id: str | None = None) -> MaskedObject:
    """Any answer, as it is; an empty body is an answer without members."""
    return read(body or b"{}", MaskedObject, request_id)


def nothing(body: bytes, request_id: str | None = None) -> None:
    """An answer that says nothing but that it is done: TagResource, UntagResource."""
    return read(body or b"{}", lambda _answer: None, request_id)


# --- receipts -----------------------------------------------------------------------------------------------------


def set_receipt(body: bytes, *, created: bool, request_id: str | None = None) -> SetReceipt:
    """CreateSecret's (*created*) or UpdateSecret's answer."""
    return read(body, lambda a: SetReceipt(text(a, "Name"), text(a, "ARN"), text(a, "VersionId"), created), request_id)


def create_receipt(body: bytes, request_id: str | None = None) -> SetReceipt:
    """CreateSecret's answer."""
    return set_receipt(body, created=True, request_id=request_id)


def replace_receipt(body: bytes, request_id: str | None = None) -> SetReceipt:
    """UpdateSecret's answer, when it brought a value."""
    return set_receipt(body, created=False, request_id=request_id)


def version_receipt(body: bytes, request_id: str | None = None) -> VersionReceipt:
    """PutSecretValue's answer."""
    return read(
        body,
        lambda a: VersionReceipt(text(a, "Name"), text(a, "ARN"), text(a, "VersionId"), texts(a, "VersionStages")),
        request_id,
    )


def update_receipt(body: bytes, request_id: str | None = None) -> UpdateReceipt:
    """UpdateSecret's answer, whatever was changed."""
    return read(body, lambda a: UpdateReceipt(text(a, "Name"), text(a, "ARN"), text_if_any(a, "VersionId")), request_id)


def rotation_receipt(body: bytes, request_id: str | None = None) -> RotationReceipt:
    """RotateSecret's and CancelRotateSecret's answer."""
    return read(
        body, lambda a: RotationReceipt(text(a, "Name"), text(a, "ARN"), text_if_any(a, "VersionId")), request_id
    )


def delete_receipt(body: bytes, request_id: str | None = None) -> DeleteReceipt:
    """DeleteSecret's answer."""
    return read(body, lambda a: DeleteReceipt(text(a, "Name"), text(a, "ARN"), time(a, "DeletionDate")), request_id)


def restore_receipt(body: bytes, request_id: str | None = None) -> RestoreReceipt:
    """RestoreSecret's answer."""
    return read(body, lambda a: RestoreReceipt(text(a, "Name"), text(a, "ARN")), request_id)


def named_receipt(body: bytes, request_id: str | None = None) -> NamedReceipt:
    """The answer of UpdateSecretVersionStage and of what changes resource policies."""
    return read(body, lambda a: NamedReceipt(text(a, "Name"), text(a, "ARN")), request_id)


def replication_receipt(body: bytes, request_id: str | None = None) -> ReplicationReceipt:
    """The answer of the three calls about replicas."""
    return read(body, lambda a: ReplicationReceipt(text(a, "ARN"), _replicas(a)), request_id)


# --- what is known ------------------------------------------------------------------------------------------------


def page(body: bytes, request_id: str | None = None) -> Page:
    """ListSecrets' answer. AWS's `DeletedDate` is told as `deletion_date`."""
    return read(body, _page, request_id)


def described_page(body: bytes, request_id: str | None = None) -> SecretPage:
    """ListSecrets' answer, with all that it tells."""
    return read(body, _described_page, request_id)


def description(body: bytes, request_id: str | None = None) -> SecretDescription:
    """DescribeSecret's answer."""
    return read(body, _description, request_id)


def versions(body: bytes, request_id: str | None = None) -> VersionPage:
    """ListSecretVersionIds' answer."""
    return read(body, _versions, request_id)


def policy(body: bytes, request_id: str | None = None) -> ResourcePolicy:
    """GetResourcePolicy's answer."""
    return read(
        body, lambda a: ResourcePolicy(text(a, "Name"), text(a, "ARN"), text_if_any(a, "ResourcePolicy")), request_id
    )


def verdict(body: bytes, request_id: str | None = None) -> PolicyVerdict:
    """ValidateResourcePolicy's answer."""
    return read(body, _verdict, request_id)


# --- their parts --------------------------------------------------------------------------------------------------


def _secret(answer: Json) -> Secret:
    return Secret(
        name=text(answer, "Name"),
        arn=text(answer, "ARN"),
        value=SecretValue(value(answer)),
        version_id=text(answer, "VersionId"),
        stages=texts(answer, "VersionStages"),
        created_at=time(answer, "CreatedDate"),
    )


def _batch(answer: Json) -> Batch:
    return Batch(
        tuple(map(_secret, objects(answer, "SecretValues"))),
        tuple((text(one, "SecretId"), text(one, "ErrorCode")) for one in objects(answer, "Errors")),
        text_if_any(answer, "NextToken"),
    )


def _page(answer: Json) -> Page:
    return Page(tuple(map(_info, _secret_list(answer))), text_if_any(answer, "NextToken"))


def _described_page(answer: Json) -> SecretPage:
    return SecretPage(tuple(map(_description, _secret_list(answer))), text_if_any(answer, "NextToken"))


def _secret_list(answer: Json) -> list[Json]:
    if answer.get("SecretList") is None:
        raise Misshapen
    return objects(answer, "SecretList")


def _info(entry: Json) -> SecretInfo:
    return SecretInfo(
        name=text(entry, "Name"),
        arn=text(entry, "ARN"),
        description=text_if_any(entry, "Description"),
        created_at=time_if_any(entry, "CreatedDate"),
        changed_at=time_if_any(entry, "LastChangedDate"),
        deletion_date=time_if_any(entry, "DeletedDate"),
    )


def _description(entry: Json) -> SecretDescription:
    return SecretDescription(
        name=text(entry, "Name"),
        arn=text(entry, "ARN"),
        description=text_if_any(entry, "Description"),
        kms_key_id=text_if_any(entry, "KmsKeyId"),
        created_at=time_if_any(entry, "CreatedDate"),
        changed_at=time_if_any(entry, "LastChangedDate"),
        accessed_at=time_if_any(entry, "LastAccessedDate"),
        deletion_date=time_if_any(entry, "DeletedDate"),
        tags={text(tag, "Key"): member(tag, "Value", str, "") for tag in objects(entry, "Tags")},
        versions=_stages(entry),
        rotation_enabled=member(entry, "RotationEnabled", bool, False),
        rotation_lambda_arn=text_if_any(entry, "RotationLambdaARN"),
        rotation_rules=_rules(entry),
        rotated_at=time_if_any(entry, "LastRotatedDate"),
        next_rotation_at=time_if_any(entry, "NextRotationDate"),
        owning_service=text_if_any(entry, "OwningService"),
        primary_region=text_if_any(entry, "PrimaryRegion"),
        replicas=_replicas(entry),
    )


def _stages(entry: Json) -> Mapping[str, tuple[str, ...]]:
    """DescribeSecret and ListSecrets have two names for one map."""
    name = "VersionIdsToStages" if "VersionIdsToStages" in entry else "SecretVersionsToStages"
    found = strings(entry, name)
    return {version_id: texts(found, version_id) for version_id in found}


def _rules(entry: Json) -> RotationRules | None:
    rules = strings(entry, "RotationRules")
    days = member(rules, "AutomaticallyAfterDays", int, 0)
    found = RotationRules(days or None, text_if_any(rules, "ScheduleExpression"), text_if_any(rules, "Duration"))
    return None if found == RotationRules() else found


def _replicas(answer: Json) -> tuple[Replica, ...]:
    return tuple(
        Replica(
            text(one, "Region"),
            text_if_any(one, "Status"),
            text_if_any(one, "StatusMessage"),
            text_if_any(one, "KmsKeyId"),
            time_if_any(one, "LastAccessedDate"),
        )
        for one in objects(answer, "ReplicationStatus")
    )


def _versions(answer: Json) -> VersionPage:
    found = tuple(
        VersionInfo(
            text(one, "VersionId"),
            texts(one, "VersionStages"),
            time_if_any(one, "CreatedDate"),
            time_if_any(one, "LastAccessedDate"),
            texts(one, "KmsKeyIds"),
        )
        for one in objects(answer, "Versions")
    )
    return VersionPage(text(answer, "Name"), text(answer, "ARN"), found, text_if_any(answer, "NextToken"))


def _verdict(answer: Json) -> PolicyVerdict:
    findings = tuple(
        PolicyFinding(member(one, "CheckName", str, ""), member(one, "ErrorMessage", str, ""))
        for one in objects(answer, "ValidationErrors")
    )
    return PolicyVerdict(member(answer, "PolicyValidationPassed", bool, not findings), findings)
