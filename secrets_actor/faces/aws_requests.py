"""Turns requests of the AWS API into operations of ours, and says what a caller must be allowed for each. PURE.

Rule 1: every member of a request counts: it is in the operation, or it is refused, or the request goes on to the store
        as it came (`Request`), which only AWS itself can carry out.
Rule 2: what AWS refuses before it looks at any secret is refused here, with AWS's code and words. `codec.py` has
        refused what AWS's model forbids; here is what AWS documents beside its model.
Rule 3: a version that AWS would give by default is asked for as such, so that the cache knows it.

Sources: AWS's API reference of Secrets Manager, and its answers as recorded in public test suites that their authors
ran against AWS.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from secrets_actor.aws_json import requests as shapes
from secrets_actor.aws_json.codec import RequestRefused, members_in
from secrets_actor.aws_json.fields import Shape
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.operations import (
    AWSCURRENT,
    MAX_RECOVERY_WINDOW,
    MIN_RECOVERY_WINDOW,
    AssociateReplica,
    CancelRotation,
    Create,
    CreateEmpty,
    Delete,
    DeletePolicy,
    Describe,
    DisassociateReplica,
    Filter,
    Get,
    GetMany,
    GetPolicy,
    ListPage,
    ListPolicies,
    ListVersions,
    MoveStage,
    Operation,
    Put,
    PutPolicy,
    RandomPassword,
    RemoveRegions,
    Replicate,
    Request,
    Restore,
    Rotate,
    SortBy,
    StopReplication,
    Tag,
    Untag,
    Update,
    ValidatePolicy,
)
from secrets_actor.domain.results import ReplicaRegion, RotationRules
from secrets_actor.domain.secret import SecretValue
from secrets_actor.faces.policy import ACTION_OF


class Need(Struct, frozen=True):
    """What a caller must be allowed: *action*, a word of policy.py, with the secret *secret_id*; None: with any secret
    at all."""

    action: str
    secret_id: str | None


# The secrets that a batch with filters reads if it does not say how many: as many as AWS lets it.
BATCH_PAGE: Final = 20


def need_of(name: str, request: Shape) -> Need:
    """Return what the caller of the operation *name* must be allowed."""
    members: Any = request
    if name == "CreateSecret":
        # API reference, CreateSecret: replicas need the permission to replicate, too. One that is a replica of another
        # account's secret brings what somebody else wrote.
        elsewhere = members.AddReplicaRegions or members.CrossAccountPrimaryARN
        return Need(ACTION_OF["ReplicateSecretToRegions" if elsewhere else name], members.Name)
    if name == "RotateSecret" and members.ExternalSecretRotationRoleArn is not None:
        # At AWS, whoever hands a role on needs a permission for that (iam:PassRole). Here the daemon would hand it on.
        return Need("admin", members.SecretId)
    return Need(ACTION_OF[name], getattr(members, "SecretId", None))


def operation_of(name: str, request: Shape, body: bytes) -> Operation[Any]:
    """Return the operation that *request* asks for, the request of AWS's operation *name*. *body* is its JSON.

    BatchGetSecretValue with filters is a `ListPage` of the secrets to get. Raises `RequestRefused`, and `InvalidInput`
    for what our operations refuse.
    """
    return _OPERATIONS[name](request, body)


def version_of(request: shapes.GetSecretValueRequest) -> tuple[str | None, str | None]:
    """Return the version id and the stage that a get asks for. Naming the default stage is as naming none (rule 3)."""
    stage = request.VersionStage
    return request.VersionId, None if request.VersionId is None and stage == AWSCURRENT else stage


def refused(code: str, text: str) -> RequestRefused:
    """Return the refusal with AWS's *code* and *text*."""
    return RequestRefused(code, text)


# --- values -----------------------------------------------------------------------------------------------------------


def _get(request: shapes.GetSecretValueRequest, _body: bytes) -> Get:
    return Get(request.SecretId, *version_of(request))


def _batch(request: shapes.BatchGetSecretValueRequest, _body: bytes) -> GetMany | ListPage:
    ids, filters = request.SecretIdList, request.Filters
    if bool(ids) is bool(filters):
        raise refused(_PARAMETER, "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
    if ids:
        if request.MaxResults is not None or request.NextToken is not None:
            raise refused(
                _PARAMETER,
                "'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.",
            )
        return GetMany(ids)
    return ListPage(
        _filters(filters),
        page_size=BATCH_PAGE if request.MaxResults is None else request.MaxResults,
        next_token=request.NextToken,
    )


def _create(request: shapes.CreateSecretRequest, body: bytes) -> Operation[Any]:
    token, value = _token(request.ClientRequestToken), _value(request)
    if request.Type is not None or request.CrossAccountPrimaryARN is not None:
        return _as_it_came("CreateSecret", body)
    facts = (
        token,
        request.Description,
        _tags(request.Tags),
        request.KmsKeyId,
        _regions(request.AddReplicaRegions),
        bool(request.ForceOverwriteReplicaSecret),
    )
    return CreateEmpty(request.Name, *facts) if value is None else Create(request.Name, value, *facts)


def _update(request: shapes.UpdateSecretRequest, body: bytes) -> Operation[Any]:
    token, value = _token(request.ClientRequestToken), _value(request)
    if request.Type is not None:
        return _as_it_came("UpdateSecret", body)
    if value is None and request.Description is None and request.KmsKeyId is None:
        # AWS takes an update that changes nothing. There is nothing to write; the answer says which secret it is.
        return Describe(request.SecretId)
    return Update(request.SecretId, value, request.Description, request.KmsKeyId, token)


def _put(request: shapes.PutSecretValueRequest, body: bytes) -> Operation[Any]:
    token, value = _token(request.ClientRequestToken), _value(request)
    if value is None:
        raise refused(_REQUEST, "You must provide either SecretString or SecretBinary.")
    if request.RotationToken is not None:
        return _as_it_came("PutSecretValue", body)
    return Put(request.SecretId, value, request.VersionStages, token)


def _password(request: shapes.GetRandomPasswordRequest, _body: bytes) -> RandomPassword:
    return RandomPassword(
        32 if request.PasswordLength is None else request.PasswordLength,
        request.ExcludeCharacters or "",
        lowercase=not request.ExcludeLowercase,
        uppercase=not request.ExcludeUppercase,
        numbers=not request.ExcludeNumbers,
        punctuation=not request.ExcludePunctuation,
        space=bool(request.IncludeSpace),
        require_each=request.RequireEachIncludedType is not False,
    )


# --- life of a secret -------------------------------------------------------------------------------------------------


def _delete(request: shapes.DeleteSecretRequest, _body: bytes) -> Delete:
    window, force = request.RecoveryWindowInDays, bool(request.ForceDeleteWithoutRecovery)
    if window is not None and not MIN_RECOVERY_WINDOW <= window <= MAX_RECOVERY_WINDOW:
        raise refused(_PARAMETER, "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
    if window is not None and force:
        raise refused(_PARAMETER, "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
    return Delete(request.SecretId, window, force)


def _restore(request: shapes.RestoreSecretRequest, _body: bytes) -> Restore:
    return Restore(request.SecretId)


def _describe(request: shapes.DescribeSecretRequest, _body: bytes) -> Describe:
    return Describe(request.SecretId)


def _list(request: shapes.ListSecretsRequest, _body: bytes) -> ListPage:
    return ListPage(
        _filters(request.Filters),
        None if request.SortBy is None else SortBy(request.SortBy),
        None if request.SortOrder is None else request.SortOrder == "desc",
        bool(request.IncludePlannedDeletion),
        100 if request.MaxResults is None else request.MaxResults,
        request.NextToken,
    )


def _tag(request: shapes.TagResourceRequest, _body: bytes) -> Tag:
    return Tag(request.SecretId, _tags(request.Tags))


def _untag(request: shapes.UntagResourceRequest, _body: bytes) -> Untag:
    return Untag(request.SecretId, request.TagKeys)


# --- versions and rotation --------------------------------------------------------------------------------------------


def _versions(request: shapes.ListSecretVersionIdsRequest, _body: bytes) -> ListVersions:
    size = 100 if request.MaxResults is None else request.MaxResults
    return ListVersions(request.SecretId, bool(request.IncludeDeprecated), size, request.NextToken)


def _move_stage(request: shapes.UpdateSecretVersionStageRequest, _body: bytes) -> MoveStage:
    return MoveStage(request.SecretId, request.VersionStage, request.MoveToVersionId, request.RemoveFromVersionId)


def _rotate(request: shapes.RotateSecretRequest, body: bytes) -> Operation[Any]:
    token = _token(request.ClientRequestToken)
    if request.ExternalSecretRotationMetadata is not None or request.ExternalSecretRotationRoleArn is not None:
        return _as_it_came("RotateSecret", body)
    told = request.RotationRules
    rules = None if told is None else RotationRules(told.AutomaticallyAfterDays, told.ScheduleExpression, told.Duration)
    return Rotate(
        request.SecretId, request.RotationLambdaARN or None, rules, request.RotateImmediately is not False, token
    )


def _cancel_rotation(request: shapes.CancelRotateSecretRequest, _body: bytes) -> CancelRotation:
    return CancelRotation(request.SecretId)


# --- replicas and policies --------------------------------------------------------------------------------------------


def _replicate(request: shapes.ReplicateSecretToRegionsRequest, _body: bytes) -> Replicate:
    return Replicate(request.SecretId, _regions(request.AddReplicaRegions), bool(request.ForceOverwriteReplicaSecret))


def _remove_regions(request: shapes.RemoveRegionsFromReplicationRequest, _body: bytes) -> RemoveRegions:
    return RemoveRegions(request.SecretId, request.RemoveReplicaRegions)


def _stop_replication(request: shapes.StopReplicationToReplicaRequest, _body: bytes) -> StopReplication:
    return StopReplication(request.SecretId)


def _associate(request: shapes.AssociateCrossAccountReplicaRequest, _body: bytes) -> AssociateReplica:
    anyone = request.ReplicaRestriction == "NoRestriction"
    return AssociateReplica(request.SecretId, request.CrossAccountReplicaARN, anyone, request.ReplicationRoleARN)


def _disassociate(request: shapes.DisassociateCrossAccountReplicaRequest, _body: bytes) -> DisassociateReplica:
    return DisassociateReplica(request.SecretId, request.CrossAccountReplicaARN)


def _get_policy(request: shapes.GetResourcePolicyRequest, _body: bytes) -> GetPolicy:
    return GetPolicy(request.SecretId, request.PolicyName)


def _policies(request: shapes.ListResourcePoliciesRequest, _body: bytes) -> ListPolicies:
    size = 100 if request.MaxResults is None else request.MaxResults
    return ListPolicies(request.SecretId, size, request.NextToken)


def _put_policy(request: shapes.PutResourcePolicyRequest, body: bytes) -> Operation[Any]:
    if request.PolicyName is not None:
        return _as_it_came("PutResourcePolicy", body)
    return PutPolicy(request.SecretId, request.ResourcePolicy.reveal(), request.BlockPublicPolicy)


def _delete_policy(request: shapes.DeleteResourcePolicyRequest, body: bytes) -> Operation[Any]:
    if request.PolicyName is not None:
        return _as_it_came("DeleteResourcePolicy", body)
    return DeletePolicy(request.SecretId)


def _validate_policy(request: shapes.ValidateResourcePolicyRequest, _body: bytes) -> ValidatePolicy:
    return ValidatePolicy(request.ResourcePolicy.reveal(), request.SecretId)


_OPERATIONS: Final[Mapping[str, Callable[[Any, bytes], Operation[Any]]]] = {
    "AssociateCrossAccountReplica": _associate,
    "BatchGetSecretValue": _batch,
    "CancelRotateSecret": _cancel_rotation,
    "CreateSecret": _create,
    "DeleteResourcePolicy": _delete_policy,
    "DeleteSecret": _delete,
    "DescribeSecret": _describe,
    "DisassociateCrossAccountReplica": _disassociate,
    "GetRandomPassword": _password,
    "GetResourcePolicy": _get_policy,
    "GetSecretValue": _get,
    "ListResourcePolicies": _policies,
    "ListSecretVersionIds": _versions,
    "ListSecrets": _list,
    "PutResourcePolicy": _put_policy,
    "PutSecretValue": _put,
    "RemoveRegionsFromReplication": _remove_regions,
    "ReplicateSecretToRegions": _replicate,
    "RestoreSecret": _restore,
    "RotateSecret": _rotate,
    "StopReplicationToReplica": _stop_replication,
    "TagResource": _tag,
    "UntagResource": _untag,
    "UpdateSecret": _update,
    "UpdateSecretVersionStage": _move_stage,
    "ValidateResourcePolicy": _validate_policy,
}

# --- parts ------------------------------------------------------------------------------------------------------------

_PARAMETER: Final = "InvalidParameterException"
_REQUEST: Final = "InvalidRequestException"


def _as_it_came(name: str, body: bytes) -> Request:
    """Return the operation that hands the request on to AWS whole (rule 1)."""
    return Request(name, MaskedObject(members_in(body) or {}))


def _token(given: str | None) -> str:
    """Return the token of a write. SDKs make one; whoever speaks HTTP must give one."""
    if given is None:
        raise refused(_REQUEST, "You must provide a ClientRequestToken value. We recommend a UUID-type value.")
    return given


def _value(
    request: shapes.CreateSecretRequest | shapes.UpdateSecretRequest | shapes.PutSecretValueRequest,
) -> SecretValue | None:
    if request.SecretString is not None and request.SecretBinary is not None:
        raise refused(
            _PARAMETER, "You can't specify both a binary secret value and a string secret value in the same secret."
        )
    found: SecretValue | None = request.SecretString or request.SecretBinary
    # As the plain type: our operations and stores know no other.
    return None if found is None else SecretValue(found)


def _tags(tags: tuple[shapes.Tag, ...] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in tags or ():
        if one.Key is None or one.Key in found:
            raise refused(_PARAMETER, "Each tag must have a key of its own.")
        found[one.Key] = one.Value or ""
    return found


def _filters(filters: tuple[shapes.Filter, ...] | None) -> tuple[Filter, ...]:
    found = []
    for one in filters or ():
        if one.Key is None:
            raise refused(_PARAMETER, "Invalid filter key")
        if one.Values is None:
            raise refused(_PARAMETER, f"Invalid filter values for key: {one.Key}")
        found.append(Filter(one.Key, one.Values))
    return tuple(found)


def _regions(regions: tuple[shapes.ReplicaRegion, ...] | None) -> tuple[ReplicaRegion, ...]:
    found = []
    for one in regions or ():
        if one.Region is None:
            raise refused(_PARAMETER, "Invalid replica region.")
        found.append(ReplicaRegion(one.Region, one.KmsKeyId))
    return tuple(found)
