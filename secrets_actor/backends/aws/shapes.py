"""Members of AWS's answers, by name and type. PURE.

Rule 1: an answer that is not what the API reference says is one typed error, `InvalidAnswer`, and quotes nothing.
Rule 2: no exception leaves here with a body in its cause or context: a decoder's own error holds the document.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from secrets_actor.backends.aws.protocol import Json, parse_object
from secrets_actor.domain.errors import InvalidAnswer, InvalidParameter, InvalidSecretValue

T = TypeVar("T")


class Misshapen(Exception):
    """A member is missing or of another type. Carries nothing; `read` keeps it."""


def read(body: bytes, build: Callable[[Json], T], request_id: str | None) -> T:
    """What *build* makes of the JSON object in *body*. Raises `InvalidAnswer`."""
    answer = parse_object(body)
    if answer is not None:
        try:
            return build(answer)
        except (Misshapen, InvalidSecretValue, InvalidParameter):
            pass
    raise InvalidAnswer(
        "Secrets Manager answered with success but not as its API reference says; try again, and if it stays so, see "
        "what stands between you and aws.endpoint_url",
        status=200,
        request_id=request_id,
    )


def member(answer: Json, name: str, kind: type[T], default: T | None) -> T:
    """The member *name*; *default* where it is absent or null. Raises `Misshapen`, also for no default."""
    found = answer.get(name)
    if found is None:
        found = default
    if not isinstance(found, kind):
        raise Misshapen
    return found


def text(answer: Json, name: str) -> str:
    """A text that has to be there."""
    return member(answer, name, str, None)


def text_if_any(answer: Json, name: str) -> str | None:
    """A text; None where it is absent or empty."""
    return member(answer, name, str, "") or None


def texts(answer: Json, name: str) -> tuple[str, ...]:
    """A list of texts; empty where it is absent."""
    found = member(answer, name, list, [])
    if not all(isinstance(one, str) for one in found):
        raise Misshapen
    return tuple(found)


def objects(answer: Json, name: str) -> list[Json]:
    """A list of objects; empty where it is absent."""
    found = member(answer, name, list, [])
    if not all(isinstance(one, dict) for one in found):
        raise Misshapen
    return found


def time(answer: Json, name: str) -> datetime:
    """A moment that has to be there: seconds since 1970."""
    seconds = answer.get(name)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Misshapen
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise Misshapen from None


def time_if_any(answer: Json, name: str) -> datetime | None:
    """A moment, or None where it is absent."""
    return None if answer.get(name) is None else time(answer, name)


def value(answer: Json) -> str | bytes:
    """SecretString or SecretBinary."""
    if answer.get("SecretString") is not None:
        return text(answer, "SecretString")
    encoded = text(answer, "SecretBinary")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise Misshapen from None


def strings(answer: Json, name: str) -> dict[str, Any]:
    """A map; empty where it is absent."""
    return dict(member(answer, name, dict, {}))
