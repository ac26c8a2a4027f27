"""Words our errors as AWS does: the code, the text, and the HTTP status. PURE.

Rule 1: a client acts on the code, people and tests read the text: both are AWS's own where AWS has an error for it.
Rule 2: an error that AWS itself has given keeps AWS's code. One for *our* credentials does not: the caller, whose own
        are good, would look for the mistake in them.
Rule 3: what is worth another attempt has a code or a status that SDKs try again: 500 and 503 soon, ThrottlingException
        after a longer pause. What is not, such as a damaged store, has one all the same: an SDK tries it three times at
        most, and AWS has no other code for a failure of its own.
Rule 4: no text quotes a value. A failure within the daemon is told by our word for it, without its text, which may name
        files of this machine: the log and the audit log have it.

Sources of the texts: AWS's answers as recorded in public issues, and in test suites that their authors ran against AWS.
"""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.aws_json.errors import encode_error, encode_own, status_of
from secrets_actor.aws_json.fields import Shape
from secrets_actor.domain.errors import (
    AccessDenied,
    CircuitOpen,
    CredentialsError,
    DecryptionFailed,
    InvalidInput,
    InvalidRequest,
    InvalidSecretName,
    LimitExceeded,
    Overloaded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    ServerDown,
    StoreError,
    Throttled,
    UnknownMessage,
    Unreachable,
)

NOT_FOUND: Final = "ResourceNotFoundException"
EXISTS: Final = "ResourceExistsException"
REQUEST: Final = "InvalidRequestException"
PARAMETER: Final = "InvalidParameterException"
VALIDATION: Final = "ValidationException"
LOST_PLACE: Final = "InvalidNextTokenException"
INTERNAL: Final = "InternalServiceError"
UNAVAILABLE: Final = "ServiceUnavailable"
THROTTLED: Final = "ThrottlingException"
DENIED: Final = "AccessDeniedException"
UNKNOWN_OPERATION: Final = "UnknownOperationException"

INVALID_NAME: Final = (
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!"
)
MISSING: Final = "Secrets Manager can't find the specified secret."
DELETED: Final = "You can't perform this operation on the secret because it was marked for deletion."
_NO_VALUE: Final = "Secrets Manager can't find the specified secret value for {}: {}"
_DELETED_TEXTS: Final = {
    "CreateSecret": "You can't create this secret because a secret with this name is already scheduled for deletion.",
    "DeleteSecret": ("You can't perform this operation on the secret because it was already scheduled for deletion."),
}
_NO_FUNCTION: Final = "No Lambda rotation function ARN is associated with this secret."
_NO_LAMBDA: Final = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the "
    "principal secretsmanager.amazonaws.com."
)
_HELD: Final = (
    "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version "
    "{holder}, so you must explicitly reference that version in RemoveFromVersionId."
)
_NOT_ASSOCIATED: Final = "You provided a VersionStage that is not associated to the provided VersionId."
_CANNOT_ENCRYPT: Final = (
    "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the KMS key is "
    "available, enabled, and not in an invalid state."
)
_CANNOT_DECRYPT: Final = "Secrets Manager can't decrypt the protected secret text using the provided KMS key."
_NOT_HERE: Final = (
    "{name} is not supported here: this secrets store is not AWS's, and has no other regions or accounts, no "
    "resource policies, no KMS keys and no Lambda functions."
)
_TOO_SHORT: Final = "Password length is too short based on the required types."
_RATE: Final = "Rate exceeded"
# The KMS keys that mean AWS's own one, which every store has.
_NO_KEY: Final = frozenset({None, "", "alias/aws/secretsmanager"})


class Words(Struct, frozen=True):
    """An error in AWS's words. *message* is None where AWS says none. *retry_after*: seconds, where it is known when
    another attempt makes sense. *own* is the error as our own clients are told it (`encode_own`), if it is one of
    ours."""

    code: str
    message: str | None = None
    retry_after: float | None = None
    own: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status."""
        return status_of(self.code)

    @property
    def body(self) -> bytes:
        """The body of the answer: JSON."""
        return encode_error(self.code, self.message)


def worded(error: SecretsError, name: str, request: Shape | None = None) -> Words:
    """Return *error*, which AWS's operation *name* has ended with, in AWS's words. *request* is what was asked."""
    words = next((words for kind, words in _WORDS if isinstance(error, kind)), _failed)(error, name, request)
    return replace(words, own=encode_own(error, with_text=isinstance(error, _TOLD)))


def failure(code: str) -> Words:
    """Return a failure of the daemon. *code* is our word for it."""
    return Words(INTERNAL, f"An error occurred on the server side: {code}.")


# --- refusals ---------------------------------------------------------------------------------------------------------


def _not_found(error: SecretNotFound, _name: str, _request: Shape | None) -> Words:
    if error.version_id is not None:
        return Words(NOT_FOUND, _NO_VALUE.format("VersionId", error.version_id))
    if error.stage is not None:
        return Words(NOT_FOUND, _NO_VALUE.format("staging label", error.stage))
    return Words(NOT_FOUND, MISSING)


def _exists(error: SecretExists, name: str, request: Any) -> Words:
    if name == "CreateSecret" and error.token_used_in is None:
        return Words(EXISTS, f"The operation failed because the secret {request.Name} already exists.")
    token, place = request.ClientRequestToken, error.token_used_in or getattr(request, "SecretId", "")
    return Words(
        EXISTS,
        f"You can't use ClientRequestToken {token} because that value is already in use for a version of secret "
        f"{place}.",
    )


def _deleted(_error: SecretDeleted, name: str, _request: Shape | None) -> Words:
    return Words(REQUEST, _DELETED_TEXTS.get(name, DELETED))


def _invalid(error: InvalidRequest, name: str, request: Any) -> Words:
    code = error.aws_code or REQUEST
    if code != REQUEST:
        return Words(code, str(error))
    if getattr(request, "KmsKeyId", None) not in _NO_KEY and error.aws_code is None:
        return Words("EncryptionFailure", _CANNOT_ENCRYPT)
    if getattr(request, "NextToken", None) is not None:  # only a page can be lost
        return Words(LOST_PLACE, "The NextToken value is invalid.")
    special = _INVALID.get(name)
    return Words(code, str(error)) if special is None else special(error, request)


def _no_such_stage(error: InvalidRequest, request: Any) -> Words:
    both = request.VersionId is not None and request.VersionStage is not None
    return Words(REQUEST, _NOT_ASSOCIATED if both else str(error))


def _not_moved(error: InvalidRequest, request: Any) -> Words:
    if error.stage_holder is None:
        return Words(PARAMETER, str(error))
    return Words(PARAMETER, _HELD.format(stage=request.VersionStage, holder=error.stage_holder))


def _not_rotated(error: InvalidRequest, request: Any) -> Words:
    if error.aws_code is not None:  # AWS has other reasons, too
        return Words(REQUEST, str(error))
    # With a function named, the store refuses because it runs none: AWS says so of one that it may not call.
    return Words(DENIED, _NO_LAMBDA) if getattr(request, "RotationLambdaARN", None) else Words(REQUEST, _NO_FUNCTION)


_INVALID: Final[dict[str, Callable[[InvalidRequest, Any], Words]]] = {
    "CancelRotateSecret": _not_rotated,
    "GetRandomPassword": lambda error, _request: Words(PARAMETER, str(error)),
    "GetSecretValue": _no_such_stage,
    "RotateSecret": _not_rotated,
    "UpdateSecretVersionStage": _not_moved,
}


def _bad_input(error: InvalidInput, name: str, request: Any) -> Words:
    if isinstance(error, InvalidSecretName):
        return Words(VALIDATION, INVALID_NAME)
    if name == "GetRandomPassword":
        return Words(PARAMETER, _TOO_SHORT if request.PasswordLength is not None else str(error))
    return Words(PARAMETER, str(error))


def _unknown(_error: UnknownMessage, name: str, _request: Shape | None) -> Words:
    return Words(REQUEST, _NOT_HERE.format(name=name))


def _denied(error: AccessDenied, _name: str, _request: Shape | None) -> Words:
    return Words(DENIED, str(error))


def _limited(error: LimitExceeded, _name: str, _request: Shape | None) -> Words:
    return Words("LimitExceededException", str(error))


def _not_decrypted(_error: DecryptionFailed, _name: str, _request: Shape | None) -> Words:
    return Words("DecryptionFailure", _CANNOT_DECRYPT)


def _throttled(_error: SecretsError, _name: str, _request: Shape | None) -> Words:
    return Words(THROTTLED, _RATE)


# --- failures ---------------------------------------------------------------------------------------------------------


def _unavailable(error: SecretsError, _name: str, _request: Shape | None) -> Words:
    pause = error.retry_after if isinstance(error, CircuitOpen) else None
    return Words(UNAVAILABLE, f"Service is unable to handle request: {error.code}.", pause)


def _failed(error: SecretsError, _name: str, _request: Shape | None) -> Words:
    # A refusal by AWS that we have no error for, and that is no failure of AWS: its code is all that is known.
    if type(error) is StoreError and error.aws_code is not None and status_of(error.aws_code) < 500:
        return Words(error.aws_code, str(error))
    return failure(error.code)


# The errors whose texts are about what the caller has asked for, and not about this machine (rule 4).
_TOLD: Final = (SecretNotFound, SecretExists, InvalidRequest, AccessDenied, LimitExceeded, UnknownMessage)

# The first kind that fits counts: each stands before its bases.
_WORDS: Final[tuple[tuple[type[SecretsError], Callable[[Any, str, Any], Words]], ...]] = (
    (InvalidInput, _bad_input),
    (SecretNotFound, _not_found),
    (SecretExists, _exists),
    (SecretDeleted, _deleted),
    (InvalidRequest, _invalid),
    (AccessDenied, _denied),
    (LimitExceeded, _limited),
    (DecryptionFailed, _not_decrypted),
    (UnknownMessage, _unknown),
    # The daemon has too much to do: an SDK pauses longer after this than after a 503, and goes slower from then on.
    (Throttled, _throttled),
    (Overloaded, _throttled),
    (CredentialsError, _failed),  # rule 2
    (Unreachable, _unavailable),
    (ServerDown, _unavailable),
)
