"""Members of AWS's answers, by name and type. PURE.

Rule 1: an answer that is not what the API reference says, or one to another question (`asked.py`), is one typed error,
        `InvalidAnswer`, and quotes nothing.
Rule 2: no exception leaves here with a body in its cause or context: a decoder's own error holds the document.
Rule 3: whoever answers cannot end a worker: every member has a type and, where something here depends on it, a limit,
        and what nobody has thought of is an `InvalidAnswer`, too.
"""

import base64
import binascii
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from secrets_actor.backends.aws.asked import ANYTHING, MAX_ARN_LENGTH, Asked, Json, name_in
from secrets_actor.backends.aws.protocol import parse_object
from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.domain.names import MAX_NAME_LENGTH
from secrets_actor.domain.operations.base import AWSCURRENT
from secrets_actor.domain.operations.checks import MAX_STAGE_LENGTH, MAX_STAGES

T = TypeVar("T")
# AWS's service model, SecretVersionIdType. A cached version's block has room for 255 bytes.
MAX_VERSION_ID_LENGTH: Final = 64
_CURRENT: Final = [AWSCURRENT]
_MAX_NUMBER: Final = 2**31 - 1


class Misshapen(Exception):
    """A member is missing or of another type. Carries nothing; `read` keeps it."""


def read(body: bytes, build: Callable[[Json], T], request_id: str | None, asked: Asked = ANYTHING) -> T:
    """What *build* makes of the JSON object in *body*, an answer to what was *asked*. Raises `InvalidAnswer`."""
    answer = parse_object(body)
    if answer is not None and not asked.is_answered_by(answer):
        raise InvalidAnswer(
            "Secrets Manager's answer is one to another question, such as about another secret: try again, and if it "
            "stays so, see what stands between you and aws.endpoint_url, for it mixes answers up",
            status=200,
            request_id=request_id,
        )
    if answer is not None:
        try:
            return build(answer)
        except Exception:  # noqa: BLE001, S110  rule 3; Misshapen, and what domain types refuse, among them
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


def text(answer: Json, name: str, most: int | None = None) -> str:
    """A text that has to be there; of *most* characters, where that matters, and one at least."""
    found = answer.get(name)
    if not isinstance(found, str) or (most is not None and not 1 <= len(found) <= most):
        raise Misshapen
    return found if found.isascii() else _valid(found)


def text_if_any(answer: Json, name: str) -> str | None:
    """A text; None where it is absent or empty."""
    return _valid(member(answer, name, str, "")) or None


def texts(answer: Json, name: str) -> tuple[str, ...]:
    """A list of texts; empty where it is absent."""
    found = member(answer, name, list, [])
    if not all(isinstance(one, str) for one in found):
        raise Misshapen
    return tuple(map(_valid, found))


def _valid(found: str) -> str:
    """*found*, which is Unicode: JSON can hold halves of a pair of surrogates, and nothing that we do with text can."""
    try:
        found.encode()
    except UnicodeEncodeError:
        raise Misshapen from None
    return found


def stages(answer: Json, name: str) -> tuple[str, ...]:
    """The staging labels of a version; none where they are absent."""
    if answer.get(name) == _CURRENT:  # nearly all
        return (AWSCURRENT,)
    found = texts(answer, name)
    if len(found) > MAX_STAGES or not all(1 <= len(one) <= MAX_STAGE_LENGTH for one in found):
        raise Misshapen
    return found


def version_id(answer: Json) -> str:
    """The VersionId, which has to be there. AWS's have 32 characters at least; nothing here depends on that."""
    return text(answer, "VersionId", MAX_VERSION_ID_LENGTH)


def version_id_if_any(answer: Json) -> str | None:
    """The VersionId; None where it is absent or empty."""
    return version_id(answer) if answer.get("VersionId") not in (None, "") else None


def version_id_in(key: str) -> str:
    """A version id that is the key of a map."""
    return version_id({"VersionId": key})


def name_of(answer: Json) -> str:
    """The Name of a secret."""
    return text(answer, "Name", MAX_NAME_LENGTH)


def arn_of(answer: Json) -> str:
    """The whole ARN of the secret, made of its Name."""
    found = text(answer, "ARN", MAX_ARN_LENGTH)
    if name_in(found) != answer.get("Name"):
        raise Misshapen
    return found


def objects(answer: Json, name: str) -> list[Json]:
    """A list of objects; empty where it is absent."""
    found = member(answer, name, list, [])
    if not all(isinstance(one, dict) for one in found):
        raise Misshapen
    return found


def number(answer: Json, name: str) -> int | None:
    """A whole number that is not below 0; None where it is absent."""
    found = answer.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _MAX_NUMBER:
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
