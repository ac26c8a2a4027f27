"""Encodes requests and answers as JSON, and decodes them. PURE.

Rule 1: only this file reveals a masked member, and only into the JSON that a caller asks for.
Rule 2: a decoded request keeps AWS's limits to the letter; one that breaks a limit raises `RequestRefused`, with AWS's
        code and words. A decoded answer keeps the limits that a client depends on; one that breaks them raises
        `AnswerUnreadable`.
Rule 3: no error quotes the input, in its text, cause or context. msgspec's own errors quote an unknown word where one
        of a few words is expected, and name unknown members. So the text of such an error is matched as a whole
        against the texts that are known here, and only numbers, patterns and the names of our members are taken from
        it.
Rule 4: for any input whatsoever, no other errors than these two are raised.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, cast, get_args

import msgspec

from secrets_actor.aws_json import fields
from secrets_actor.aws_json.answers import BatchError, BatchGetSecretValueAnswer, SecretValueEntry
from secrets_actor.aws_json.operations import FOREIGN, OPERATIONS
from secrets_actor.json_text import refuse_deep

# A value of 65,536 bytes takes six times as much when each character is escaped; all else is far smaller. This limit is
# our own: AWS does not publish one.
MAX_REQUEST_BYTES: Final = 1024 * 1024
_NO_OBJECT: Final = "The request is not a JSON object."
ShapeT = TypeVar("ShapeT", bound=fields.Shape)


class RequestRefused(Exception):
    """Raised for a request that AWS would refuse before it looks at any secret. `code` and `message` are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class AnswerUnreadable(Exception):
    """Raised for an answer that differs from the API reference. It carries nothing: the answer may hold a secret."""


# --- writing ----------------------------------------------------------------------------------------------------------


def encode_request(request: fields.Shape) -> bytes:
    """Return *request* as JSON, with its masked members in clear.

    Limits are not checked here: the operation has checked its own when it was made.
    """
    return _ENCODER.encode(request)


def encode_answer(answer: fields.Shape) -> bytes:
    """Return *answer* as JSON, with its masked members in clear."""
    return _ENCODER.encode(answer)


def _revealed(member: object) -> str:
    if isinstance(member, fields.MASKED):
        found: str | bytes = member.reveal()
        if isinstance(found, bytes) and isinstance(member, fields.SecretBinary):
            return base64.b64encode(found).decode()
        if isinstance(found, str) and not isinstance(member, fields.SecretBinary):
            return found
    if isinstance(member, str):  # a subclass, such as `SecretId`: msgspec encodes only `str` itself
        return str.__str__(member)
    raise TypeError(f"{type(member).__name__} is no member of a request or an answer")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_revealed)


# --- reading ----------------------------------------------------------------------------------------------------------


def decode_request(operation: str, body: bytes) -> fields.Shape:
    """Decode the request for *operation*, one of `OPERATIONS`. Raises `RequestRefused`."""
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestRefused("RequestEntityTooLargeException", f"A request has {MAX_REQUEST_BYTES} bytes at most.")
    try:
        # First: msgspec goes down the stack for each level, too, and may pass its end; see `json_text.py`.
        refuse_deep(body)
        return _decoder(OPERATIONS[operation].request).decode(body or b"{}")
    except msgspec.ValidationError as error:
        refused = _refused(str(error))
    except _UNREADABLE:
        refused = RequestRefused("SerializationException", _NO_OBJECT)
    # Raised outside the handlers, so that it has no context (rule 3).
    raise refused


def decode_answer(operation: str, body: bytes, *, alone: bool = False) -> fields.Shape:
    """Decode the answer to *operation*, one of `OPERATIONS`. Raises `AnswerUnreadable`.

    With *alone*, an answer with a member that only answers to other operations have is refused.
    """
    try:
        refuse_deep(body)
        if operation == _BATCH:
            return read_batch(msgspec.json.decode(body))
        shape = OPERATIONS[operation].answer
        return _decoder(_without_foreign(operation, shape) if alone else shape).decode(body or b"{}")
    except Exception:  # noqa: BLE001, S110  rule 4
        pass
    raise AnswerUnreadable


def is_foreign(operation: str, body: bytes) -> bool:
    """Whether *body* is a JSON object with a member that only answers to other operations have."""
    return not FOREIGN.get(operation, frozenset()).isdisjoint(members_in(body) or ())


def members_in(body: bytes) -> Mapping[str, Any] | None:
    """Return the members of the JSON object *body*, or None when it is not one. They may hold secrets in clear."""
    try:
        refuse_deep(body)
        found = msgspec.json.decode(body)
    except _UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def read_batch(members: Mapping[str, Any]) -> BatchGetSecretValueAnswer:
    """Make BatchGetSecretValue's answer of its *members*. Raises `AnswerUnreadable`.

    An entry that cannot be read does not spoil the others: it counts as left out.
    """
    token = members.get("NextToken")
    if members.keys().isdisjoint(("SecretValues", "Errors", "NextToken")) or not isinstance(token, str | None):
        raise AnswerUnreadable
    return BatchGetSecretValueAnswer(
        SecretValues=_readable(members.get("SecretValues"), SecretValueEntry),
        Errors=_readable(members.get("Errors"), BatchError),
        NextToken=token,
    )


def _readable(entries: object, shape: type[ShapeT]) -> tuple[ShapeT, ...] | None:
    if entries is None:
        return None
    if not isinstance(entries, list):
        raise AnswerUnreadable
    found = []
    for entry in entries:
        try:
            found.append(msgspec.convert(entry, shape, dec_hook=_masked))
        except _UNREADABLE:
            continue
    return tuple(found)


def _masked(kind: type[Any], text: object) -> Any:
    """Return *text* as a member of the masked type *kind*. msgspec turns its errors into a `ValidationError`."""
    if not isinstance(text, str):
        raise TypeError(f"Expected `str`, got `{_JSON_TYPES.get(type(text), 'null')}`")
    if kind is fields.SecretBinary:
        try:
            return fields.masked(kind, base64.b64decode(text, validate=True))
        except binascii.Error:
            raise TypeError("Expected `base64`, got `str`") from None
    return fields.masked(kind, text)


# msgspec's errors (which are not `ValueError`s before 0.20), those of a masked type, and that of too deep a nesting.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_BATCH: Final = "BatchGetSecretValue"
_JSON_TYPES: Final = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}


# Each decoder is made when it is first needed: a program that only reads secrets needs few of them.
@lru_cache
def _decoder(shape: type[fields.Shape]) -> msgspec.json.Decoder[fields.Shape]:
    return msgspec.json.Decoder(shape, dec_hook=_masked)


@lru_cache
def _without_foreign(operation: str, shape: type[fields.Shape]) -> type[fields.Shape]:
    """Return a copy of *shape* that refuses foreign members while it is decoded.

    To look for them in a second pass would double the time of decoding. Each foreign member has the type of `UNSET`.
    JSON has no such value, so msgspec refuses the member whatever it holds; and it writes no member that is unset.
    """
    absent = [(member, msgspec.UnsetType, msgspec.UNSET) for member in sorted(FOREIGN[operation])]
    return cast(
        "type[fields.Shape]", msgspec.defstruct(shape.__name__, absent, bases=(shape,), kw_only=True, frozen=True)
    )


# --- AWS's words for broken limits ------------------------------------------------------------------------------------

# The texts of msgspec, and AWS's texts for the same. Any other text of msgspec is not passed on (rule 3).
_SAID: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(said), meant)
    for said, meant in (
        (r"Expected `(?:str|array)` of length >= (\d+)", "Member must have length greater than or equal to {0}"),
        (r"Expected `(?:str|array)` of length <= (\d+)", "Member must have length less than or equal to {0}"),
        (r"Expected `int` >= (\d+)", "Member must have value greater than or equal to {0}"),
        (r"Expected `int` <= (\d+)", "Member must have value less than or equal to {0}"),
        (r"Expected `str` matching regex '(.+)'", "Member must satisfy regular expression pattern: {0}"),
        (r"Expected `[^`]+`, got `null`", "Member must not be null"),
    )
)
_NO_OTHER_WORD: Final = re.compile(r"Invalid enum value .*", re.DOTALL)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_PLACE: Final = re.compile(r"(.*?)(?: - at `\$((?:\.\w+|\[\d+\])*)`)?", re.DOTALL)
_STEP: Final = re.compile(r"\.(\w+)|\[(\d+)\]")
# The members whose value is one of a few words.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Key": get_args(fields.FilterKey),
    "SortOrder": get_args(fields.SortOrder),
    "SortBy": get_args(fields.SortBy),
    "ReplicaRestriction": get_args(fields.ReplicaRestriction),
}


def _refused(said: str) -> RequestRefused:
    """Return the refusal that AWS would give, for msgspec's text *said*."""
    match = _PLACE.fullmatch(said)
    problem, path = (match[1], match[2] or "") if match is not None else ("", "")
    missing = _MISSING.fullmatch(problem)
    if missing is not None:
        return _minded(f"{path}.{missing[1]}", "Member must not be null")
    if not path:
        return RequestRefused("SerializationException", _NO_OBJECT)
    for pattern, meant in _SAID:
        found = pattern.fullmatch(problem)
        if found is not None:
            return _minded(path, meant.format(*found.groups()))
    if _NO_OTHER_WORD.fullmatch(problem) is not None:
        words = ", ".join(_WORDS[path.rpartition(".")[2]])
        return _minded(path, f"Member must satisfy enum value set: [{words}]")
    return RequestRefused("SerializationException", f"The member '{_spelled(path)}' is not of its type.")


def _minded(path: str, constraint: str) -> RequestRefused:
    """Return the refusal of the member at *path*. AWS leaves out a sensitive value; here all values are left out."""
    text = f"1 validation error detected: Value at '{_spelled(path)}' failed to satisfy constraint: {constraint}"
    return RequestRefused("ValidationException", text)


def _spelled(path: str) -> str:
    """Return *path* in AWS's spelling: a member begins with a small letter, and list entries are counted from 1."""
    steps = (
        f"{name[0].lower()}{name[1:]}" if name else f"{int(index) + 1}.member" for name, index in _STEP.findall(path)
    )
    return ".".join(steps)
