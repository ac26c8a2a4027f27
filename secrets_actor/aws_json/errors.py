"""Encodes and decodes AWS's error answers. PURE.

Rule 1: the code is in the body's `__type`: bare, after `prefix#`, or before `:suffix`. A client also reads `code` and
        the header x-amzn-errortype, as AWS's own clients do.
Rule 2: errors of the service's model have a `Message`, those of AWS's gateway in front of it a `message`. Both are
        read.
Rule 3: all mistakes of a client have status 400, AccessDeniedException among them.
Rule 4: our face adds a header for our own client, so that an error comes through as what it is. No text in it has a
        value: no error's text has.
"""

import json
from typing import Final

import msgspec
from msgspec import Struct, field

from secrets_actor.aws_json.codec import encode_answer, members_in
from secrets_actor.aws_json.fields import MessageText, Shape
from secrets_actor.domain.errors import SecretsError

# The errors of AWS's service model.
MODELLED: Final = frozenset(
    {
        "DecryptionFailure",
        "EncryptionFailure",
        "InternalServiceError",
        "InvalidNextTokenException",
        "InvalidParameterException",
        "InvalidRequestException",
        "LimitExceededException",
        "MalformedPolicyDocumentException",
        "PreconditionNotMetException",
        "PublicPolicyException",
        "ResourceExistsException",
        "ResourceNotFoundException",
    }
)
# Source: AWS's API reference of Secrets Manager, "Common Error Types", and the statuses that botocore retries.
_STATUS: Final = {"InternalServiceError": 500, "InternalFailure": 500, "ServiceUnavailable": 503}


class ErrorAnswer(Struct, frozen=True, kw_only=True):
    """An error: the codes that it may have, the likeliest first, and AWS's text.

    The text is masked, for it may quote what was sent.
    """

    codes: tuple[str, ...]
    message: MessageText | None = None


class _ErrorBody(Shape, frozen=True, kw_only=True):
    type: str = field(name="__type")
    Message: MessageText | None = None
    message: MessageText | None = None


def status_of(code: str) -> int:
    """Return the HTTP status of an error with this *code*."""
    return _STATUS.get(code, 400)


def encode_error(code: str, message: str | None = None) -> bytes:
    """Return the body of an error answer."""
    text = None if message is None else MessageText(message)
    body = _ErrorBody(type=code, Message=text) if code in MODELLED else _ErrorBody(type=code, message=text)
    return encode_answer(body)


def decode_error(body: bytes, header: str | None = None) -> ErrorAnswer:
    """Decode the *body* of an error answer, and its *header* x-amzn-errortype.

    A body of any other form gives an error without a message, and with the code of the header, if there is one.
    """
    members = members_in(body) or {}
    codes = (members.get("__type"), members.get("code"), header)
    message = members.get("message") or members.get("Message")
    return ErrorAnswer(
        codes=tuple(bare_code(one) for one in codes if isinstance(one, str)),
        message=MessageText(message) if isinstance(message, str) else None,
    )


def bare_code(codes: str) -> str:
    """Return the code in *codes*, without a `prefix#` and a `:suffix`."""
    return codes.rpartition("#")[2].partition(":")[0]


# --- our own errors, behind AWS's -------------------------------------------------------------------------------------

# The header by which our AWS face tells our client what AWS has no words for. Other clients pass over it.
OWN_HEADER: Final = "x-secrets-actor-error"
# Characters of a text in it. Servers and clients limit the size of all headers together, often to 8 KiB.
_MAX_TEXT: Final = 1000
# The facts of an error that AWS's code and status do not tell.
_FACTS: Final = ("version_id", "stage", "token_used_in", "stage_holder")


class OwnError(Struct, frozen=True, omit_defaults=True):
    """What the header `OWN_HEADER` says: the `code` of a `SecretsError`, its text, if the other side may know it, and
    those of its facts that it has."""

    code: str
    text: str | None = None
    version_id: str | None = None
    stage: str | None = None
    token_used_in: str | None = None
    stage_holder: str | None = None

    def facts(self) -> dict[str, str]:
        """Return the facts that it has, by the names of their attributes."""
        return {name: value for name in _FACTS if (value := getattr(self, name)) is not None}


def encode_own(error: SecretsError, *, with_text: bool) -> str:
    """Return the header `OWN_HEADER` for *error*, in ASCII."""
    facts = {name: getattr(error, name, None) for name in _FACTS}
    own = OwnError(error.code, str(error)[:_MAX_TEXT] if with_text else None, **facts)
    return json.dumps(msgspec.to_builtins(own))


def decode_own(header: str | None) -> OwnError | None:
    """Return what the header `OWN_HEADER` says; None if there is none, or none that can be understood."""
    if header is None:
        return None
    try:
        found = msgspec.json.decode(header, type=OwnError)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    # One line: what stands in an error's text is printed, and logged.
    return (
        found if found.text is None else msgspec.structs.replace(found, text=" ".join(found.text[:_MAX_TEXT].split()))
    )
