"""The values of secrets as the fields of a KV version, and back. PURE.

Rule 1: a text is the field `value`, as `bao kv put app/db value=...` writes it. Bytes are the field `value_base64`,
        because JSON has no bytes.
Rule 2: fields that another program wrote are read as JSON text of all of them, so that `Secret.json()` gives them.
        What is not exactly in our own form counts as that: an empty text, say, which no `SecretValue` can hold.
Rule 3: whatever is written is read back as it was. With `fields`, JSON text comes back with other blanks, in another
        order, and with other forms of numbers; the default, `value`, keeps each character. What the server would change
        in its meaning is not written as fields: it keeps each number as a 64-bit float, so a long one loses digits, and
        puts U+FFFD in the place of half a surrogate pair (observed with OpenBao 2.7.2).
Rule 4: errors quote nothing of the fields, and no frame that raises one holds a value in clear.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from secrets_actor.domain.errors import InvalidAnswer, InvalidSecretValue
from secrets_actor.domain.secret import SecretValue
from secrets_actor.json_text import read_json

WriteJson = Literal["value", "fields"]
TEXT: Final = "value"
BYTES: Final = "value_base64"
# A 64-bit float has every whole number up to this one.
_EXACT: Final = 2**53
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
# How many levels may be written as fields. Answers that are nested too deeply are refused (`json_text.MAX_DEPTH`).
_DEEPEST: Final = 100


def fields_of(value: SecretValue, write_json: WriteJson) -> dict[str, Any]:
    """Return the fields that *value* is written as. *write_json*: how a text that is a JSON object is written."""
    if not value.is_text:
        return {BYTES: base64.b64encode(value.bytes()).decode()}
    if write_json == "fields":
        members = _members(value)
        # An object that looks like one of our own forms would be read back as something else (rule 3).
        if members and members.keys() not in ({TEXT}, {BYTES}) and _comes_back(members):
            return members
    return {TEXT: value.text()}


def _members(value: SecretValue) -> dict[str, Any] | None:
    try:
        found = read_json(value.text())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _comes_back(members: dict[str, Any]) -> bool:
    """Whether the server gives *members* back with the same meaning (rule 3)."""
    level: list[Any] = [members]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += [*one, *one.values()]
            elif isinstance(one, list):
                below += one
            elif isinstance(one, str):
                if _HALF_PAIR.search(one):
                    return False
            elif isinstance(one, int):
                if abs(one) > _EXACT:
                    return False
            elif isinstance(one, float) and not math.isfinite(one):
                return False
        if not below:
            return True
        level = below
    return False


def value_of(fields: object) -> SecretValue:
    """Return the value in the *fields* of a version (rules 1 and 2).

    Raises `InvalidAnswer` if there are no fields, or if their text is longer than a secret may be.
    """
    if not isinstance(fields, Mapping) or not fields:
        raise InvalidAnswer(
            "this version of the secret has no fields, so there is no value to read: set the secret", status=200
        )
    found = _own_form(fields)
    if found is None:
        found = _masked(json.dumps(fields, ensure_ascii=False))
    if found is not None:
        return found
    raise _unfit()


def _unfit() -> InvalidAnswer:
    error = InvalidAnswer(
        "another program wrote this secret, and its value is longer than 65,536 bytes, or no valid Unicode: "
        "read it with that program"
    )
    error.retryable = False
    return error


def _own_form(fields: Mapping[str, Any]) -> SecretValue | None:
    if len(fields) != 1:
        return None
    ((name, content),) = fields.items()
    if not isinstance(content, str) or name not in (TEXT, BYTES):
        return None
    if name == TEXT:
        return _masked(content)
    try:
        return _masked(base64.b64decode(content, validate=True))
    except (binascii.Error, ValueError):
        return None


def _masked(value: str | bytes) -> SecretValue | None:
    try:
        return SecretValue(value)
    except InvalidSecretValue:
        return None
