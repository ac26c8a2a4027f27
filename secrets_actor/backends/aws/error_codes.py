"""Turns AWS's error answers into our errors. PURE.

Rule 1: AWS's code and the HTTP status decide, never AWS's text. The text is dropped: it may quote what was sent.
Rule 2: the code is kept as a fact only when it looks like a code; a request id likewise.
Rule 3: an answer that is not an error of the API at all (a proxy's HTML, half a JSON) is judged by its status alone,
        and is worth another attempt only where the status says so.

InvalidRequestException has three causes in the API reference: the secret is scheduled for deletion, it is rotated
without a function, or another service manages it. Managed secrets have a `!` in their names. So for any other secret
the exception means `SecretDeleted` on a get, create, put and update. It means `InvalidRequest`, the base class, on all
other calls, and on a get by version id and stage together, which may not match.
"""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from secrets_actor.aws_json.errors import bare_code, decode_error
from secrets_actor.backends.aws.protocol import Call
from secrets_actor.backends.aws.retry import THROTTLING_CODES, TRANSIENT_CODES
from secrets_actor.domain.errors import (
    AccessDenied,
    DecryptionFailed,
    ExpiredToken,
    InvalidAnswer,
    InvalidRequest,
    InvalidSignature,
    LimitExceeded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    StoreError,
    StoreFailure,
    Throttled,
    UnrecognizedClient,
)


class _Meaning(Struct, frozen=True):
    error: type[StoreError]
    text: str


_SIGNATURE: Final = _Meaning(
    InvalidSignature,
    "AWS does not accept the signature: check the secret key against the access key id, and this machine's clock",
)
_CLIENT: Final = _Meaning(
    UnrecognizedClient,
    "AWS does not know these credentials: check the access key id, that it is active, and the session token if there "
    "is one",
)
_EXPIRED: Final = _Meaning(ExpiredToken, "the session token has expired: get new temporary credentials")
_DENIED: Final = _Meaning(
    AccessDenied,
    "the credentials are good but may not do this: allow secretsmanager:{action} on this secret in their policy{kms}; "
    "see also the policies of the secret, of the endpoint and of the organisation",
)
_TOO_LARGE: Final = _Meaning(InvalidRequest, "the request for {action} is too large for Secrets Manager: send less")
_MALFORMED: Final = _Meaning(
    InvalidRequest, "Secrets Manager cannot read the request for {action}: see its members, and what stands between"
)
_NO_ACTION: Final = _Meaning(InvalidRequest, "Secrets Manager does not know {action}: check its name and the region")
_FAILURE: Final = _Meaning(StoreFailure, "Secrets Manager failed on its side (HTTP {status}): try again")
# Not Implemented, HTTP Version Not Supported: the server will never do this (RFC 9110, 15.6.2, 15.6.6).
_NEVER: Final = frozenset((501, 505))
_UNABLE: Final = _Meaning(
    StoreFailure,
    "{action} is not to be had where the answer comes from (HTTP {status}): check aws.endpoint_url, and what stands "
    "between",
)
_THROTTLED: Final = _Meaning(Throttled, "Secrets Manager gets too many requests from this account: ask less often")
_REFUSED: Final = _Meaning(InvalidRequest, "Secrets Manager refuses the parameters of {action}")
_DELETED: Final = _Meaning(
    SecretDeleted, "the secret is scheduled for deletion: restore it first (a replica is written in its primary region)"
)
_MEANINGS: Final[Mapping[str, _Meaning]] = {
    "ResourceNotFoundException": _Meaning(
        SecretNotFound, "no such secret, or no such version of it, in this account and region: check name and region"
    ),
    "ResourceExistsException": _Meaning(
        SecretExists, "this token was used before with another value, or another write came first: set with a new token"
    ),
    "InvalidRequestException": _Meaning(
        InvalidRequest, "Secrets Manager cannot do {action} with the secret as it stands: {state}"
    ),
    "InvalidParameterException": _REFUSED,
    "MalformedPolicyDocumentException": _Meaning(
        InvalidRequest, "Secrets Manager cannot read this resource policy: have it validated"
    ),
    "PublicPolicyException": _Meaning(
        InvalidRequest, "this resource policy lets everybody in: narrow its principals, or do not block public ones"
    ),
    "PreconditionNotMetException": _Meaning(
        InvalidRequest, "Secrets Manager cannot do {action} yet: see whether other writes are under way"
    ),
    "ValidationException": _REFUSED,
    "InvalidNextTokenException": _Meaning(InvalidRequest, "Secrets Manager lost the place in the list: list again"),
    "EncryptionFailure": _Meaning(
        InvalidRequest,
        "Secrets Manager cannot encrypt: see that the KMS key is there, enabled and allowed to these credentials",
    ),
    "DecryptionFailure": _Meaning(
        DecryptionFailed,
        "Secrets Manager cannot decrypt: see that the KMS key is there, enabled and allowed to these credentials",
    ),
    "LimitExceededException": _Meaning(
        LimitExceeded, "a quota of Secrets Manager is used up: delete what is not needed, or ask AWS to raise it"
    ),
    "AccessDeniedException": _DENIED,
    "AccessDenied": _DENIED,
    # AWS's API reference, "Common Error Types": what is answered before the service itself has a look.
    "NotAuthorized": _DENIED,
    "OptInRequired": _Meaning(
        AccessDenied, "this account has not signed up for Secrets Manager in this region: enable the region, or ask AWS"
    ),
    "RequestEntityTooLarge": _TOO_LARGE,
    "RequestEntityTooLargeException": _TOO_LARGE,
    "ValidationError": _REFUSED,
    "MalformedHttpRequestException": _MALFORMED,
    "SerializationException": _MALFORMED,
    "InvalidAction": _NO_ACTION,
    "UnknownOperationException": _NO_ACTION,
    "InvalidSignatureException": _SIGNATURE,
    "SignatureDoesNotMatch": _SIGNATURE,
    "IncompleteSignature": _SIGNATURE,
    "IncompleteSignatureException": _SIGNATURE,
    "RequestExpired": _SIGNATURE,
    "RequestInTheFuture": _SIGNATURE,
    "RequestTimeTooSkewed": _SIGNATURE,
    "UnrecognizedClientException": _CLIENT,
    "InvalidClientTokenId": _CLIENT,
    "MissingAuthenticationToken": _CLIENT,
    "MissingAuthenticationTokenException": _CLIENT,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InternalServiceError": _FAILURE,
    "InternalServiceErrorException": _FAILURE,
    "InternalFailure": _FAILURE,
    "ServiceUnavailable": _FAILURE,
    "ServiceUnavailableException": _FAILURE,
    **dict.fromkeys(TRANSIENT_CODES, _FAILURE),
    **dict.fromkeys(THROTTLING_CODES, _THROTTLED),
}
# Where to look when the state of a secret forbids an action, by action.
_STATES: Final[Mapping[str, str]] = {
    "GetSecretValue": "see whether version id and stage belong together, and whether it is deleted",
    "DeleteSecret": "see whether it is deleted already, or has replicas",
    "RestoreSecret": "see whether it is deleted at all",
    "RotateSecret": "see whether it has a rotation function, is rotated already, or is deleted",
    "CancelRotateSecret": "see whether it is rotated at all, or is deleted",
    "ReplicateSecretToRegions": "see whether it is there already in these regions, or is itself a replica",
    "RemoveRegionsFromReplication": "see whether it is replicated to these regions, and asked in its own",
    "StopReplicationToReplica": "see whether it is a replica, and asked in the replica's region",
    "AssociateCrossAccountReplica": "see whether the replica was created for it, or it has another replica already",
    "DisassociateCrossAccountReplica": "see whether it has this replica",
}
# Further permissions that may be missing, by action: AWS uses the secret's KMS key with the credentials of the caller.
_ON_ITS_KEY: Final[Mapping[str, str]] = {
    "GetSecretValue": " (and kms:Decrypt on its KMS key, if it has one of its own)",
    **dict.fromkeys(
        ("CreateSecret", "UpdateSecret", "PutSecretValue", "ReplicateSecretToRegions"),
        " (and kms:GenerateDataKey and kms:Decrypt on its KMS key, if it has one of its own)",
    ),
}
_UNKNOWN: Final = _Meaning(StoreError, "Secrets Manager refuses {action} with HTTP {status} and a code unknown to us")
_ALIEN: Final = _Meaning(
    InvalidAnswer,
    "the answer to {action} (HTTP {status}) is none of Secrets Manager's: check aws.endpoint_url, and "
    "what stands between",
)
# A code outside the table is kept only when it ends like a code: any other text could be anything, even a secret.
_CODE_SHAPE: Final = re.compile(r"[A-Z][A-Za-z0-9]{2,80}(Exception|Error|Failure|Fault)")
_REQUEST_ID_SHAPE: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


def error_for(call: Call, status: int, headers: Mapping[str, str], body: bytes) -> StoreError:
    """Return the error for AWS's answer to *call*, an answer whose *status* is not 200."""
    code = _code(headers, body)
    if code == "InvalidRequestException" and call.deleted_if_invalid:
        meaning = _DELETED
    elif code is not None:
        meaning = _MEANINGS.get(code, _FAILURE if status >= 500 else _UNKNOWN)
    else:
        meaning = _FAILURE if status >= 500 else _THROTTLED if status == 429 else _ALIEN
    if meaning is _FAILURE and status in _NEVER:
        meaning = _UNABLE
    error = _error(meaning, call.action, status, code, request_id(headers))
    if meaning is _UNABLE:
        error.retryable = False
    return error


def refusal(action: str, code: str, request_id: str | None, *, deleted_if_invalid: bool) -> StoreError:
    """Return the error for one secret of a batch, for which AWS gave *code* in an answer with status 200."""
    bare = bare_code(code)
    known = bare if _is_code(bare) else None
    deleted = deleted_if_invalid and known == "InvalidRequestException"
    meaning = _DELETED if deleted else _MEANINGS.get(known or "", _UNKNOWN)
    return _error(meaning, action, 200, known, request_id)


def _error(meaning: _Meaning, action: str, status: int, code: str | None, request_id: str | None) -> StoreError:
    state = _STATES.get(action, "see whether it is deleted")
    text = meaning.text.format(action=action, status=status, state=state, kms=_ON_ITS_KEY.get(action, ""))
    return meaning.error(text, aws_code=code, status=status, request_id=request_id)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return AWS's request id in *headers* (names in lower case), or None if there is nothing that looks like one."""
    found = headers.get("x-amzn-requestid", "")
    return found if _REQUEST_ID_SHAPE.fullmatch(found) else None


def _code(headers: Mapping[str, str], body: bytes) -> str | None:
    """Return AWS's code: the first that the answer tells and that looks like a code."""
    codes = decode_error(body, headers.get("x-amzn-errortype")).codes
    return next((code for code in codes if _is_code(code)), None)


def _is_code(code: str) -> bool:
    return code in _MEANINGS or _CODE_SHAPE.fullmatch(code) is not None
