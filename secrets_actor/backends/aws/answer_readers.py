"""Turns AWS's answers into domain types. PURE.

Rule 1: an answer that differs from the API reference, or that belongs to another question (`question.py`), raises one
        typed error, `InvalidAnswer`. The error quotes nothing from the answer.
Rule 2: no exception leaves this file with a body in its cause or context: a decoder's own error may hold the document.
Rule 3: no answer can crash a worker: an answer that fails in a way that nobody foresaw raises `InvalidAnswer`, too.

Each public reader takes the *body* of an answer with status 200, AWS's *request_id* for the error, and the
*question* that it answers. Each raises `InvalidAnswer`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.aws_json import answers as shapes
from secrets_actor.aws_json import codec
from secrets_actor.aws_json.fields import Shape
from secrets_actor.aws_json.operations import OPERATIONS
from secrets_actor.backends.aws.question import ANYTHING, Json, Question, name_in
from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.operations import AWSCURRENT
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    LinkedSecret,
    NamedReceipt,
    PolicyFinding,
    PolicyPage,
    PolicyVerdict,
    Replica,
    ReplicationReceipt,
    ResourcePolicy,
    RotationRules,
    SecretDescription,
    SecretPage,
    VersionInfo,
    VersionPage,
    VersionReceipt,
)
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt

T = TypeVar("T")
S = TypeVar("S", bound=Shape)
_CURRENT: Final = (AWSCURRENT,)


class Misshapen(Exception):
    """Raised when an answer contradicts itself, such as a name that differs from the name in the ARN.

    It carries nothing, and never leaves this file: `_read` and `_batch` catch it.
    """


class Batch(Struct, frozen=True):
    """One answer of BatchGetSecretValue: the secrets `found`, and (id, AWS's code) for each one `refused`.

    `next_token` asks for the next page; it is None on the last page.
    """

    found: tuple[Secret, ...]
    refused: tuple[tuple[str, str], ...]
    next_token: str | None


# --- values -------------------------------------------------------------------------------------------------------


def secret(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> Secret:
    """Read GetSecretValue's answer."""
    return _read(body, request_id, question, shapes.GetSecretValueAnswer, _secret)


def batch(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> Batch:
    """Read BatchGetSecretValue's answer. An entry that cannot be read is left out."""
    return _members(body, request_id, question, _batch)


def password(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> SecretValue:
    """Read GetRandomPassword's answer."""
    return _read(body, request_id, question, shapes.GetRandomPasswordAnswer, lambda a: SecretValue(a.RandomPassword))


def masked(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> MaskedObject:
    """Read any answer as a masked JSON object. An empty body counts as an object without members."""
    return _members(body or b"{}", request_id, question, MaskedObject)


def nothing(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> None:
    """Read the answer of TagResource or UntagResource, which has no members.

    An answer with members belongs to another call, and is refused.
    """
    return _read(body, request_id, question, shapes.TagResourceAnswer, lambda _: None)


# --- receipts -----------------------------------------------------------------------------------------------------


def create_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> SetReceipt:
    """Read CreateSecret's answer."""
    return _read(body, request_id, question, shapes.CreateSecretAnswer, lambda a: _set_receipt(a, created=True))


def replace_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> SetReceipt:
    """Read UpdateSecret's answer to a request that brought a value, and so made a version."""
    return _read(body, request_id, question, shapes.UpdateSecretAnswer, lambda a: _set_receipt(a, created=False))


def version_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> VersionReceipt:
    """Read PutSecretValue's answer."""

    def receipt(answer: shapes.PutSecretValueAnswer) -> VersionReceipt:
        return VersionReceipt(answer.Name, _arn(answer), answer.VersionId, answer.VersionStages or ())

    return _read(body, request_id, question, shapes.PutSecretValueAnswer, receipt)


def update_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> ChangeReceipt:
    """Read UpdateSecret's answer. `version_id` is None when the request brought no value."""

    def receipt(answer: shapes.UpdateSecretAnswer) -> ChangeReceipt:
        return ChangeReceipt(answer.Name, _arn(answer), answer.VersionId or None)

    return _read(body, request_id, question, shapes.UpdateSecretAnswer, receipt)


def rotation_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> ChangeReceipt:
    """Read the answer of RotateSecret or CancelRotateSecret."""

    def receipt(answer: shapes.RotateSecretAnswer) -> ChangeReceipt:
        return ChangeReceipt(answer.Name, _arn(answer), answer.VersionId or None)

    return _read(body, request_id, question, shapes.RotateSecretAnswer, receipt)


def delete_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> DeleteReceipt:
    """Read DeleteSecret's answer."""

    def receipt(answer: shapes.DeleteSecretAnswer) -> DeleteReceipt:
        return DeleteReceipt(answer.Name, _arn(answer), _time(answer.DeletionDate))

    return _read(body, request_id, question, shapes.DeleteSecretAnswer, receipt)


def restore_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> NamedReceipt:
    """Read RestoreSecret's answer."""
    return _read(body, request_id, question, shapes.RestoreSecretAnswer, lambda a: NamedReceipt(a.Name, _arn(a)))


def named_receipt(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> NamedReceipt:
    """Read the answer of UpdateSecretVersionStage, PutResourcePolicy or DeleteResourcePolicy."""
    return _read(
        body, request_id, question, shapes.UpdateSecretVersionStageAnswer, lambda a: NamedReceipt(a.Name, _arn(a))
    )


def replication_receipt(
    body: bytes, request_id: str | None = None, question: Question = ANYTHING
) -> ReplicationReceipt:
    """Read the answer of ReplicateSecretToRegions, RemoveRegionsFromReplication or StopReplicationToReplica."""

    def receipt(answer: shapes.ReplicateSecretToRegionsAnswer) -> ReplicationReceipt:
        return ReplicationReceipt(answer.ARN, _replicas(answer.ReplicationStatus))

    return _read(body, request_id, question, shapes.ReplicateSecretToRegionsAnswer, receipt)


def associated(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> AccountReplicaReceipt:
    """Read AssociateCrossAccountReplica's answer."""

    def receipt(answer: shapes.AssociateCrossAccountReplicaAnswer) -> AccountReplicaReceipt:
        return AccountReplicaReceipt(answer.ARN, answer.CrossAccountReplicaARN, answer.ReplicationStatus or None)

    return _read(body, request_id, question, shapes.AssociateCrossAccountReplicaAnswer, receipt)


def disassociated(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> AccountReplicaReceipt:
    """Read DisassociateCrossAccountReplica's answer."""

    def receipt(answer: shapes.DisassociateCrossAccountReplicaAnswer) -> AccountReplicaReceipt:
        return AccountReplicaReceipt(answer.ARN, answer.CrossAccountReplicaARN)

    return _read(body, request_id, question, shapes.DisassociateCrossAccountReplicaAnswer, receipt)


# --- descriptions, lists and policies -----------------------------------------------------------------------------


def page(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> SecretPage:
    """Read ListSecrets' answer.

    AWS's `DeletedDate` is when the delete was asked for, not when the secret is gone.
    """

    def build(answer: shapes.ListSecretsAnswer) -> SecretPage:
        return SecretPage(tuple(map(_description, answer.SecretList)), answer.NextToken or None)

    return _read(body, request_id, question, shapes.ListSecretsAnswer, build)


def description(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> SecretDescription:
    """Read DescribeSecret's answer."""

    def build(answer: shapes.DescribeSecretAnswer) -> SecretDescription:
        primary = answer.CrossAccountPrimary
        linked = tuple(
            LinkedSecret(
                one.ReplicaSecretARN,
                one.ReplicationStatus or None,
                one.StatusMessage or None,
                one.ReplicationRoleARN or None,
            )
            for one in answer.CrossAccountReplicas or ()
            if one.ReplicaSecretARN
        )
        origin = None
        if primary is not None and primary.PrimarySecretARN:
            origin = LinkedSecret(
                primary.PrimarySecretARN, primary.ReplicationStatus or None, primary.StatusMessage or None
            )
        return replace(_description(answer), account_replicas=linked, account_primary=origin)

    return _read(body, request_id, question, shapes.DescribeSecretAnswer, build)


def versions(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> VersionPage:
    """Read ListSecretVersionIds' answer."""
    return _read(body, request_id, question, shapes.ListSecretVersionIdsAnswer, _versions)


def policy(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> ResourcePolicy:
    """Read GetResourcePolicy's answer. The policy is None when the secret has none."""

    def build(answer: shapes.GetResourcePolicyAnswer) -> ResourcePolicy:
        text = None if answer.ResourcePolicy is None else answer.ResourcePolicy.reveal()
        return ResourcePolicy(answer.Name, _arn(answer), text)

    return _read(body, request_id, question, shapes.GetResourcePolicyAnswer, build)


def policy_names(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> PolicyPage:
    """Read ListResourcePolicies' answer. An entry without a name, which AWS's model allows, is passed over."""

    def build(answer: shapes.ListResourcePoliciesAnswer) -> PolicyPage:
        names = tuple(one.PolicyName for one in answer.ResourcePolicies if one.PolicyName)
        return PolicyPage(names, answer.NextToken or None)

    return _read(body, request_id, question, shapes.ListResourcePoliciesAnswer, build)


def verdict(body: bytes, request_id: str | None = None, question: Question = ANYTHING) -> PolicyVerdict:
    """Read ValidateResourcePolicy's answer."""
    return _read(body, request_id, question, shapes.ValidateResourcePolicyAnswer, _verdict)


# --- reading ------------------------------------------------------------------------------------------------------


def _read(body: bytes, request_id: str | None, question: Question, shape: type[S], build: Callable[[S], T]) -> T:
    """Decode *body* as an answer of this *shape* to *question*, and return what *build* makes of it."""
    # Operations whose answers have the same members share a reader, so *shape* may be that of a sister operation. The
    # question names the true one; *shape* is for tests, which ask nothing.
    operation = question.operation or _OPERATION_OF[shape]
    try:
        answer: Any = codec.decode_answer(operation, body, alone=question is not ANYTHING)
        stray = not question.fits(answer)
        if not stray:
            return build(answer)
    except Exception:  # noqa: BLE001  rule 3; `AnswerUnreadable` and the errors of domain types are among them
        stray = question is not ANYTHING and codec.is_foreign(operation, body)
    # Raised outside the handler, so that the error has no context (rule 2).
    raise _invalid(request_id, stray=stray)


def _members(body: bytes, request_id: str | None, question: Question, build: Callable[[Json], T]) -> T:
    """Decode *body* as a JSON object that answers *question*, and return what *build* makes of its members."""
    answer = codec.members_in(body)
    stray = answer is not None and not question.is_answered_by(answer)
    if answer is not None and not stray:
        with suppress(Exception):  # rule 3
            return build(answer)
    raise _invalid(request_id, stray=stray)


def _invalid(request_id: str | None, *, stray: bool) -> InvalidAnswer:
    text = (
        "Secrets Manager's answer is one to another question, such as about another secret: try again, and if it stays "
        "so, see what stands between you and aws.endpoint_url, for it mixes answers up"
        if stray
        else "Secrets Manager answered with success but not as its API reference says; try again, and if it stays so, "
        "see what stands between you and aws.endpoint_url"
    )
    return InvalidAnswer(text, status=200, request_id=request_id)


_OPERATION_OF: Final = {shapes_of.answer: name for name, shapes_of in OPERATIONS.items()}

# --- parts of answers ---------------------------------------------------------------------------------------------


def _arn(answer: shapes.Named) -> str:
    """Return the whole ARN of the secret. Raises `Misshapen` when the name in it is not the answer's Name."""
    if name_in(answer.ARN) != answer.Name:
        raise Misshapen
    return answer.ARN


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_if_any(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _secret(answer: shapes.SecretValueEntry) -> Secret:
    value = answer.SecretString or answer.SecretBinary
    if value is None:
        raise Misshapen
    return Secret(
        answer.Name, _arn(answer), value, answer.VersionId, answer.VersionStages or (), _time(answer.CreatedDate)
    )


def _set_receipt(answer: shapes.CreateSecretAnswer | shapes.UpdateSecretAnswer, *, created: bool) -> SetReceipt:
    if not answer.VersionId:
        raise Misshapen
    return SetReceipt(answer.Name, _arn(answer), answer.VersionId, created)


def _batch(members: Json) -> Batch:
    """Read a batch. An entry that cannot be read does not spoil the others: it counts as left out."""
    answer, found = codec.read_batch(members), []
    for entry in answer.SecretValues or ():
        with suppress(Exception):  # rule 3
            secret = _secret(entry)
            if AWSCURRENT in secret.stages:  # a batch can only ask for current versions
                found.append(secret)
    refused = tuple((one.SecretId, one.ErrorCode) for one in answer.Errors or ())
    return Batch(tuple(found), refused, answer.NextToken or None)


def _description(entry: shapes.Described) -> SecretDescription:
    versions = entry.SecretVersionsToStages if entry.VersionIdsToStages is None else entry.VersionIdsToStages
    return SecretDescription(
        name=entry.Name,
        arn=_arn(entry),
        description=entry.Description or None,
        kms_key_id=entry.KmsKeyId or None,
        created_at=_time_if_any(entry.CreatedDate),
        changed_at=_time_if_any(entry.LastChangedDate),
        accessed_at=_time_if_any(entry.LastAccessedDate),
        deleted_at=_time_if_any(entry.DeletedDate),
        tags=_pairs(entry.Tags),
        versions=versions or {},
        rotation_enabled=entry.RotationEnabled or False,
        rotation_lambda_arn=entry.RotationLambdaARN or None,
        rotation_rules=_rules(entry.RotationRules),
        rotated_at=_time_if_any(entry.LastRotatedDate),
        next_rotation_at=_time_if_any(entry.NextRotationDate),
        owning_service=entry.OwningService or None,
        primary_region=entry.PrimaryRegion or None,
        replicas=_replicas(entry.ReplicationStatus),
        type=entry.Type or None,
        external_rotation_role_arn=entry.ExternalSecretRotationRoleArn or None,
        external_rotation_metadata=_pairs(entry.ExternalSecretRotationMetadata),
    )


def _pairs(pairs: tuple[shapes.AnsweredTag, ...] | None) -> Mapping[str, str]:
    return {one.Key: one.Value or "" for one in pairs or ()}


def _rules(rules: shapes.AnsweredRotationRules | None) -> RotationRules | None:
    if rules is None:
        return None
    found = RotationRules(
        rules.AutomaticallyAfterDays or None, rules.ScheduleExpression or None, rules.Duration or None
    )
    return None if found == RotationRules() else found


def _replicas(replicas: tuple[shapes.ReplicaEntry, ...] | None) -> tuple[Replica, ...]:
    return tuple(
        Replica(
            one.Region,
            one.Status or None,
            one.StatusMessage or None,
            one.KmsKeyId or None,
            _time_if_any(one.LastAccessedDate),
        )
        for one in replicas or ()
    )


def _versions(answer: shapes.ListSecretVersionIdsAnswer) -> VersionPage:
    found = tuple(
        VersionInfo(
            one.VersionId,
            one.VersionStages or (),
            _time_if_any(one.CreatedDate),
            _time_if_any(one.LastAccessedDate),
            one.KmsKeyIds or (),
        )
        for one in answer.Versions or ()
    )
    return VersionPage(answer.Name, answer.ARN, found, answer.NextToken or None)


def _verdict(answer: shapes.ValidateResourcePolicyAnswer) -> PolicyVerdict:
    findings = tuple(
        PolicyFinding(one.CheckName or "", "" if one.ErrorMessage is None else one.ErrorMessage.reveal())
        for one in answer.ValidationErrors or ()
    )
    return PolicyVerdict(answer.PolicyValidationPassed, findings)
