"""AWS's answers as domain types. PURE. Each raises `InvalidAnswer` for a body of another shape; see `shapes.py`.

Source of names and shapes: botocore's `secretsmanager/2017-10-17/service-2.json`.
"""

from collections.abc import Mapping
from contextlib import suppress

from secrets_actor.backends.aws.asked import ANYTHING, Asked, Json
from secrets_actor.backends.aws.shapes import (
    Misshapen,
    arn_of,
    member,
    name_of,
    number,
    objects,
    read,
    stages,
    strings,
    text,
    text_if_any,
    texts,
    time,
    time_if_any,
    value,
    version_id,
    version_id_if_any,
    version_id_in,
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
from secrets_actor.domain.operations import AWSCURRENT
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


def secret(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> Secret:
    """GetSecretValue's answer."""
    return read(body, _secret, request_id, asked)


def batch(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> Batch:
    """BatchGetSecretValue's answer."""
    return read(body, _batch, request_id, asked)


def password(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> SecretValue:
    """GetRandomPassword's answer."""
    return read(body, lambda answer: SecretValue(text(answer, "RandomPassword")), request_id, asked)


def masked(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> MaskedObject:
    """Any answer, as it is; an empty body is an answer without members."""
    return read(body or b"{}", MaskedObject, request_id, asked)


def nothing(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> None:
    """An answer that says nothing but that it is done: TagResource, UntagResource. With members it is one to another
    call."""
    return read(body or b"{}", _nothing, request_id, asked)


# --- receipts -----------------------------------------------------------------------------------------------------


def set_receipt(body: bytes, *, created: bool, request_id: str | None = None, asked: Asked = ANYTHING) -> SetReceipt:
    """CreateSecret's (*created*) or UpdateSecret's answer."""
    return read(body, lambda a: SetReceipt(name_of(a), arn_of(a), version_id(a), created), request_id, asked)


def create_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> SetReceipt:
    """CreateSecret's answer."""
    return set_receipt(body, created=True, request_id=request_id, asked=asked)


def replace_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> SetReceipt:
    """UpdateSecret's answer, when it brought a value."""
    return set_receipt(body, created=False, request_id=request_id, asked=asked)


def version_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> VersionReceipt:
    """PutSecretValue's answer."""
    return read(
        body,
        lambda a: VersionReceipt(name_of(a), arn_of(a), version_id(a), stages(a, "VersionStages")),
        request_id,
        asked,
    )


def update_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> UpdateReceipt:
    """UpdateSecret's answer, whatever was changed."""
    return read(body, lambda a: UpdateReceipt(name_of(a), arn_of(a), version_id_if_any(a)), request_id, asked)


def rotation_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> RotationReceipt:
    """RotateSecret's and CancelRotateSecret's answer."""
    return read(body, lambda a: RotationReceipt(name_of(a), arn_of(a), version_id_if_any(a)), request_id, asked)


def delete_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> DeleteReceipt:
    """DeleteSecret's answer."""
    return read(body, lambda a: DeleteReceipt(name_of(a), arn_of(a), time(a, "DeletionDate")), request_id, asked)


def restore_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> RestoreReceipt:
    """RestoreSecret's answer."""
    return read(body, lambda a: RestoreReceipt(name_of(a), arn_of(a)), request_id, asked)


def named_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> NamedReceipt:
    """The answer of UpdateSecretVersionStage and of what changes resource policies."""
    return read(body, lambda a: NamedReceipt(name_of(a), arn_of(a)), request_id, asked)


def replication_receipt(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> ReplicationReceipt:
    """The answer of the three calls about replicas."""
    return read(body, lambda a: ReplicationReceipt(text(a, "ARN"), _replicas(a)), request_id, asked)


# --- what is known ------------------------------------------------------------------------------------------------


def page(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> Page:
    """ListSecrets' answer. AWS's `DeletedDate` is when the delete was asked for, not when the secret is gone."""
    return read(body, _page, request_id, asked)


def described_page(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> SecretPage:
    """ListSecrets' answer, with all that it tells."""
    return read(body, _described_page, request_id, asked)


def description(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> SecretDescription:
    """DescribeSecret's answer."""
    return read(body, _description, request_id, asked)


def versions(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> VersionPage:
    """ListSecretVersionIds' answer."""
    return read(body, _versions, request_id, asked)


def policy(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> ResourcePolicy:
    """GetResourcePolicy's answer."""
    return read(
        body, lambda a: ResourcePolicy(name_of(a), arn_of(a), text_if_any(a, "ResourcePolicy")), request_id, asked
    )


def verdict(body: bytes, request_id: str | None = None, asked: Asked = ANYTHING) -> PolicyVerdict:
    """ValidateResourcePolicy's answer."""
    return read(body, _verdict, request_id, asked)


# --- their parts --------------------------------------------------------------------------------------------------


def _nothing(answer: Json) -> None:
    if answer:
        raise Misshapen


def _secret(answer: Json) -> Secret:
    return Secret(
        name=name_of(answer),
        arn=arn_of(answer),
        value=SecretValue(value(answer)),
        version_id=version_id(answer),
        stages=stages(answer, "VersionStages"),
        created_at=time(answer, "CreatedDate"),
    )


def _batch(answer: Json) -> Batch:
    """An entry that cannot be read does not spoil the others: it is as if it had been left out."""
    if answer.keys().isdisjoint(("SecretValues", "Errors", "NextToken")):
        raise Misshapen
    found, refused = [], []
    for entry in member(answer, "SecretValues", list, []):
        with suppress(Exception):  # as `read` has it
            secret = _secret(entry)
            if AWSCURRENT in secret.stages:  # a batch is asked for no others
                found.append(secret)
    for entry in member(answer, "Errors", list, []):
        with suppress(Exception):
            refused.append((text(entry, "SecretId"), text(entry, "ErrorCode")))
    return Batch(tuple(found), tuple(refused), text_if_any(answer, "NextToken"))


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
        name=name_of(entry),
        arn=arn_of(entry),
        description=text_if_any(entry, "Description"),
        created_at=time_if_any(entry, "CreatedDate"),
        changed_at=time_if_any(entry, "LastChangedDate"),
        deleted_at=time_if_any(entry, "DeletedDate"),
    )


def _description(entry: Json) -> SecretDescription:
    return SecretDescription(
        name=name_of(entry),
        arn=arn_of(entry),
        description=text_if_any(entry, "Description"),
        kms_key_id=text_if_any(entry, "KmsKeyId"),
        created_at=time_if_any(entry, "CreatedDate"),
        changed_at=time_if_any(entry, "LastChangedDate"),
        accessed_at=time_if_any(entry, "LastAccessedDate"),
        deleted_at=time_if_any(entry, "DeletedDate"),
        tags=_pairs(entry, "Tags"),
        versions=_stages(entry),
        rotation_enabled=member(entry, "RotationEnabled", bool, False),
        rotation_lambda_arn=text_if_any(entry, "RotationLambdaARN"),
        rotation_rules=_rules(entry),
        rotated_at=time_if_any(entry, "LastRotatedDate"),
        next_rotation_at=time_if_any(entry, "NextRotationDate"),
        owning_service=text_if_any(entry, "OwningService"),
        primary_region=text_if_any(entry, "PrimaryRegion"),
        replicas=_replicas(entry),
        type=text_if_any(entry, "Type"),
        external_rotation_role_arn=text_if_any(entry, "ExternalSecretRotationRoleArn"),
        external_rotation_metadata=_pairs(entry, "ExternalSecretRotationMetadata"),
    )


def _pairs(entry: Json, name: str) -> Mapping[str, str]:
    """A list of keys and values as a map."""
    return {text(one, "Key"): text_if_any(one, "Value") or "" for one in objects(entry, name)}


def _stages(entry: Json) -> Mapping[str, tuple[str, ...]]:
    """DescribeSecret and ListSecrets have two names for one map."""
    name = "VersionIdsToStages" if "VersionIdsToStages" in entry else "SecretVersionsToStages"
    found = strings(entry, name)
    return {version_id_in(one): stages(found, one) for one in found}


def _rules(entry: Json) -> RotationRules | None:
    rules = strings(entry, "RotationRules")
    found = RotationRules(
        number(rules, "AutomaticallyAfterDays") or None,
        text_if_any(rules, "ScheduleExpression"),
        text_if_any(rules, "Duration"),
    )
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
            version_id(one),
            stages(one, "VersionStages"),
            time_if_any(one, "CreatedDate"),
            time_if_any(one, "LastAccessedDate"),
            texts(one, "KmsKeyIds"),
        )
        for one in objects(answer, "Versions")
    )
    return VersionPage(name_of(answer), text(answer, "ARN"), found, text_if_any(answer, "NextToken"))


def _verdict(answer: Json) -> PolicyVerdict:
    findings = tuple(
        PolicyFinding(text_if_any(one, "CheckName") or "", text_if_any(one, "ErrorMessage") or "")
        for one in objects(answer, "ValidationErrors")
    )
    return PolicyVerdict(member(answer, "PolicyValidationPassed", bool, None), findings)
