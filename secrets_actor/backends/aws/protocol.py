"""Operations to requests, answers to domain types: JSON 1.1 of Secrets Manager. PURE. Errors are told in `failures.py`.

Rule 1: an answer that is not what the API reference says is one typed error, `InvalidAnswer`, and quotes nothing.
Rule 2: no exception leaves here with a body in its cause or context: a decoder's own error holds the document.
Rule 3: a get always says which version it wants; a value is sent and read as text or as bytes, as it is.

Source of names and shapes: botocore's `secretsmanager/2017-10-17/service-2.json`.
"""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from secrets_actor.domain.errors import InvalidAnswer, InvalidSecretValue
from secrets_actor.domain.operations import Delete, Get, List, Restore, Set
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt, Secret, SecretInfo, SecretValue, SetReceipt

TARGET_PREFIX: Final = "secretsmanager."
T = TypeVar("T")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One API call: its action, such as `GetSecretValue`, and its JSON body."""

    action: str
    body: bytes = field(repr=False)
    # Whether InvalidRequestException can only mean that the secret is scheduled for deletion; see `failures.py`.
    deleted_if_invalid: bool = False

    @property
    def target(self) -> str:
        """The X-Amz-Target header."""
        return TARGET_PREFIX + self.action


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list. `next_token` is None on the last."""

    infos: tuple[SecretInfo, ...]
    next_token: str | None


# --- requests -----------------------------------------------------------------------------------------------------


def get_call(operation: Get) -> Call:
    """GetSecretValue: by stage (AWSCURRENT unless another is asked for), by version id, or by both."""
    version_id, stage = operation.version
    payload: dict[str, Any] = {"SecretId": operation.secret_id}
    if version_id is not None:
        payload["VersionId"] = version_id
    if stage is not None:
        payload["VersionStage"] = stage
    # Asked for by both, AWS refuses a pair that does not match with the same code as a deleted secret.
    return _call("GetSecretValue", payload, deleted_if_invalid=version_id is None or stage is None)


def create_call(operation: Set, token: str) -> Call:
    """CreateSecret under the idempotency *token*."""
    return _call("CreateSecret", {"Name": operation.secret_id, **_version(operation, token)}, deleted_if_invalid=True)


def update_call(operation: Set, token: str) -> Call:
    """UpdateSecret under the same *token*: a new current version of a secret that is there."""
    return _call(
        "UpdateSecret", {"SecretId": operation.secret_id, **_version(operation, token)}, deleted_if_invalid=True
    )


def delete_call(operation: Delete, recovery_window: int) -> Call:
    """DeleteSecret: by force, or with the operation's recovery window, or else with *recovery_window* days."""
    payload: dict[str, Any] = {"SecretId": operation.secret_id}
    if operation.force:
        payload["ForceDeleteWithoutRecovery"] = True
    else:
        window = operation.recovery_window
        payload["RecoveryWindowInDays"] = recovery_window if window is None else window
    return _call("DeleteSecret", payload)


def restore_call(operation: Restore) -> Call:
    """RestoreSecret."""
    return _call("RestoreSecret", {"SecretId": operation.secret_id})


def list_call(operation: List, next_token: str | None) -> Call:
    """ListSecrets: the first page, or the one after *next_token*."""
    payload: dict[str, Any] = {"MaxResults": operation.page_size}
    if operation.include_deleted:
        payload["IncludePlannedDeletion"] = True
    if next_token is not None:
        payload["NextToken"] = next_token
    return _call("ListSecrets", payload)


def _call(action: str, payload: Json, *, deleted_if_invalid: bool = False) -> Call:
    body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
    return Call(action, body, deleted_if_invalid)


def _version(operation: Set, token: str) -> Json:
    value = operation.value.reveal()
    payload = {"ClientRequestToken": token}
    if isinstance(value, str):
        payload["SecretString"] = value
    else:
        payload["SecretBinary"] = base64.b64encode(value).decode()
    if operation.description is not None:
        payload["Description"] = operation.description
    return payload


# --- answers: each raises InvalidAnswer for a body of another shape -------------------------------------------------


def secret(body: bytes, request_id: str | None = None) -> Secret:
    """GetSecretValue's answer."""
    return _read(body, _secret, request_id)


def set_receipt(body: bytes, *, created: bool, request_id: str | None = None) -> SetReceipt:
    """CreateSecret's (*created*) or UpdateSecret's answer."""
    return _read(
        body, lambda a: SetReceipt(_text(a, "Name"), _text(a, "ARN"), _text(a, "VersionId"), created), request_id
    )


def delete_receipt(body: bytes, request_id: str | None = None) -> DeleteReceipt:
    """DeleteSecret's answer."""
    return _read(body, lambda a: DeleteReceipt(_text(a, "Name"), _text(a, "ARN"), _time(a, "DeletionDate")), request_id)


def restore_receipt(body: bytes, request_id: str | None = None) -> RestoreReceipt:
    """RestoreSecret's answer."""
    return _read(body, lambda a: RestoreReceipt(_text(a, "Name"), _text(a, "ARN")), request_id)


def page(body: bytes, request_id: str | None = None) -> Page:
    """ListSecrets' answer. AWS's `DeletedDate` is told as `deletion_date`."""
    return _read(body, _page, request_id)


def parse_object(body: bytes) -> Json | None:
    """*body* as a JSON object, or None when it is none."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


class _Misshapen(Exception):
    """A member is missing or of another type. Carries nothing; never leaves this file."""


def _read(body: bytes, build: Callable[[Json], T], request_id: str | None) -> T:
    answer = parse_object(body)
    if answer is not None:
        try:
            return build(answer)
        except (_Misshapen, InvalidSecretValue):
            pass
    raise InvalidAnswer(
        "Secrets Manager answered with success but not as its API reference says; try again, and if it stays so, see "
        "what stands between you and aws.endpoint_url",
        status=200,
        request_id=request_id,
    )


def _secret(answer: Json) -> Secret:
    stages = _member(answer, "VersionStages", list, [])
    if not all(isinstance(stage, str) for stage in stages):
        raise _Misshapen
    return Secret(
        name=_text(answer, "Name"),
        arn=_text(answer, "ARN"),
        value=SecretValue(_value(answer)),
        version_id=_text(answer, "VersionId"),
        stages=tuple(stages),
        created_at=_time(answer, "CreatedDate"),
    )


def _value(answer: Json) -> str | bytes:
    if answer.get("SecretString") is not None:
        return _text(answer, "SecretString")
    encoded = _text(answer, "SecretBinary")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _Misshapen from None


def _page(answer: Json) -> Page:
    infos = tuple(_info(entry) for entry in _member(answer, "SecretList", list, None))
    return Page(infos, _member(answer, "NextToken", str, "") or None)


def _info(entry: object) -> SecretInfo:
    if not isinstance(entry, dict):
        raise _Misshapen
    return SecretInfo(
        name=_text(entry, "Name"),
        arn=_text(entry, "ARN"),
        description=_member(entry, "Description", str, "") or None,
        created_at=_time_if_any(entry, "CreatedDate"),
        changed_at=_time_if_any(entry, "LastChangedDate"),
        deletion_date=_time_if_any(entry, "DeletedDate"),
    )


def _member(answer: Json, name: str, kind: type[T], default: T | None) -> T:
    found = answer.get(name)
    if found is None:
        found = default
    if not isinstance(found, kind):
        raise _Misshapen
    return found


def _text(answer: Json, name: str) -> str:
    return _member(answer, name, str, None)


def _time_if_any(answer: Json, name: str) -> datetime | None:
    return None if answer.get(name) is None else _time(answer, name)


def _time(answer: Json, name: str) -> datetime:
    seconds = answer.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _Misshapen
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise _Misshapen from None
