"""Requests and answers as JSON, and back. PURE.

Rule 1: only what is here reveals a masked member, and only into the JSON that it was asked for.
Rule 2: a request is held against AWS's limits to the letter: what breaks one is `RequestRefused`, with AWS's code and
        words. An answer is held against what a client depends on: what breaks that is `AnswerUnreadable`.
Rule 3: no error quotes what was read, in its text, cause or context: msgspec's own quotes an unknown word where one of
        a few is expected, and names unknown members. So its text is matched as a whole against what it may say, and
        only numbers, patterns and members of ours are taken over.
Rule 4: whatever is read, nothing but these two errors is raised.
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

# A value of 65,536 bytes takes six times as much where every character is escaped; the rest is far smaller. A limit of
# ours: AWS does not tell its own.
MAX_REQUEST_BYTES: Final = 1024 * 1024
_NO_OBJECT: Final = "The request is not a JSON object."
ShapeT = TypeVar("ShapeT", bound=fields.Shape)


class RequestRefused(Exception):
    """A request that AWS would refuse before it looks at any secret. `code` and `message` are AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


class AnswerUnreadable(Exception):
    """An answer that is not what AWS says to such a request. Carries nothing."""


# --- writing ----------------------------------------------------------------------------------------------------------


def encode_request(request: fields.Shape) -> bytes:
    """*request* as JSON, its masked members in clear. Limits are not looked at: whoever makes it keeps them."""
    return _ENCODER.encode(request)


def encode_answer(answer: fields.Shape) -> bytes:
    """*answer* as JSON, its masked members in clear."""
    return _ENCODER.encode(answer)


def _revealed(member: object) -> str:
    if isinstance(member, fields.MASKED):
        found: str | bytes = member.reveal()
        if isinstance(found, bytes) and isinstance(member, fields.SecretBinary):
            return base64.b64encode(found).decode()
        if isinstance(found, str) and not isinstance(member, fields.SecretBinary):
            return found
    if isinstance(member, str):  # such as a `SecretId`: msgspec takes a plain `str` only
        return str.__str__(member)
    raise TypeError(f"{type(member).__name__} is no member of a request or an answer")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_revealed)


# --- reading ----------------------------------------------------------------------------------------------------------


def decode_request(operation: str, body: bytes) -> fields.Shape:
    """The request for *operation*, one of `OPERATIONS`. Raises `RequestRefused`."""
    if len(body) > MAX_REQUEST_BYTES:
        raise RequestRefused("RequestEntityTooLargeException", f"A request has {MAX_REQUEST_BYTES} bytes at most.")
    try:
        refuse_deep(body)
        return _decoder(OPERATIONS[operation].request).decode(body or b"{}")
    except msgspec.ValidationError as error:
        refused = _refused(str(error))
    except _UNREADABLE:
        refused = RequestRefused("SerializationException", _NO_OBJECT)
    raise refused


def decode_answer(operation: str, body: bytes, *, alone: bool = False) -> fields.Shape:
    """The answer to *operation*, one of `OPERATIONS`. *alone*: it has no member that only answers to other operations
    have. Raises `AnswerUnreadable`."""
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
    """The members of the JSON object *body*, as they are; None when it is not one. They may hold secrets in clear."""
    try:
        refuse_deep(body)
        found = msgspec.json.decode(body)
    except _UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def read_batch(members: Mapping[str, Any]) -> BatchGetSecretValueAnswer:
    """BatchGetSecretValue's answer, of its *members*. An entry that cannot be read does not spoil the others: it is as
    if it had been left out. Raises `AnswerUnreadable`."""
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
    """A member of a masked type. What this raises, msgspec wraps."""
    if not isinstance(text, str):
        raise TypeError(f"Expected `str`, got `{_JSON_TYPES.get(type(text), 'null')}`")
    if kind is fields.SecretBinary:
        try:
            return fields.masked(kind, base64.b64decode(text, validate=True))
        except binascii.Error:
            raise TypeError("Expected `base64`, got `str`") from None
    return fields.masked(kind, text)


# What msgspec raises (its errors are no `ValueError` before 0.20), what a masked type minds, and too deep a nesting.
_UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
_BATCH: Final = "BatchGetSecretValue"
_JSON_TYPES: Final = {bool: "bool", int: "int", float: "float", list: "array", dict: "object"}


# Each is made when it is first needed: a program that reads secrets needs few.
@lru_cache
def _decoder(shape: type[fields.Shape]) -> msgspec.json.Decoder[fields.Shape]:
    return msgspec.json.Decoder(shape, dec_hook=_masked)


@lru_cache
def _without_foreign(operation: str, shape: type[fields.Shape]) -> type[fields.Shape]:
    """*shape*, but one that refuses foreign members while it is decoded: to look for them beside takes as long again.
    No value is `UNSET`, so a member that is there is refused whatever it is; and what is unset is not written."""
    absent = [(member, msgspec.UnsetType, msgspec.UNSET) for member in sorted(FOREIGN[operation])]
    return cast(
        "type[fields.Shape]", msgspec.defstruct(shape.__name__, absent, bases=(shape,), kw_only=True, frozen=True)
    )


# --- AWS's words for what is minded -----------------------------------------------------------------------------------

# What msgspec says, and what AWS says then. Whatever else it says is not passed on.
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
# The members that are one word of a few.
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Key": get_args(fields.FilterKey),
    "SortOrder": get_args(fields.SortOrder),
    "SortBy": get_args(fields.SortBy),
    "ReplicaRestriction": get_args(fields.ReplicaRestriction),
}


def _refused(said: str) -> RequestRefused:
    """What AWS would say where msgspec has *said* so."""
    match = _PLACE.fullmatch(said)
    told, path = (match[1], match[2] or "") if match is not None else ("", "")
    missing = _MISSING.fullmatch(told)
    if missing is not None:
        return _minded(f"{path}.{missing[1]}", "Member must not be null")
    if not path:
        return RequestRefused("SerializationException", _NO_OBJECT)
    for pattern, meant in _SAID:
        found = pattern.fullmatch(told)
        if found is not None:
            return _minded(path, meant.format(*found.groups()))
    if _NO_OTHER_WORD.fullmatch(told) is not None:
        words = ", ".join(_WORDS[path.rpartition(".")[2]])
        return _minded(path, f"Member must satisfy enum value set: [{words}]")
    return RequestRefused("SerializationException", f"The member '{_spelled(path)}' is not of its type.")


def _minded(path: str, constraint: str) -> RequestRefused:
    """As AWS says it where the value is sensitive: without the value."""
    text = f"1 validation error detected: Value at '{_spelled(path)}' failed to satisfy constraint: {constraint}"
    return RequestRefused("ValidationException", text)


def _spelled(path: str) -> str:
    """*path* as AWS spells it: members begin with a small letter, and entries of a list are counted from 1."""
    steps = (
        f"{name[0].lower()}{name[1:]}" if name else f"{int(index) + 1}.member" for name, index in _STEP.findall(path)
    )
    return ".".join(steps)
