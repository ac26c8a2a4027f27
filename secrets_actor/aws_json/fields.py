"""The types of members, with AWS's limits; and the masked types. PURE.

Rule 1: source of every number and pattern is botocore's `secretsmanager/2017-10-17/service-2.json` (1.44.8);
        tests/aws_json/test_model.py holds ours against it.
Rule 2: what may hold a secret has a masked type. No repr, copy, pickle or encoder shows it: only `codec.py`, which is
        asked to write a request or an answer, reveals it.
Rule 3: limits of a masked type stand in its class, for msgspec's own apply to plain types only.
"""

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, Struct

from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue


class Shape(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all shapes. Members are called as AWS calls them.

    AWS's JSON takes null for absent, so each member that may be absent is None then, and is not written. A member that
    nobody knows is ignored, as AWS does.
    """


# --- masked types -----------------------------------------------------------------------------------------------------


class SecretString(SecretValue):
    """A value that is text: 65,536 bytes in UTF-8 at most."""

    __slots__ = ()
    LIMITS: ClassVar = (1, MAX_VALUE_BYTES, None)


class SecretBinary(SecretValue):
    """A value that is bytes, 65,536 at most: base64 in JSON."""

    __slots__ = ()
    LIMITS: ClassVar = (1, MAX_VALUE_BYTES, None)


class RandomPassword(SecretValue):
    """A password that AWS has made. AWS's model lets it be empty, but one of `PasswordLength` never is."""

    __slots__ = ()
    LIMITS: ClassVar = (1, 4096, None)


class RotationToken(SecretValue):
    """What proves that a rotation function writes for AWS."""

    __slots__ = ()
    LIMITS: ClassVar = (36, 256, re.compile(r"^[a-zA-Z0-9\-]+\Z"))


class PolicyText(MaskedText):
    """A resource policy, a JSON document. No secret, but the house shows none either: it tells who is let in."""

    __slots__ = ()
    LIMITS: ClassVar = (1, 20480, None)


class MessageText(MaskedText):
    """AWS's words about a mistake. They may quote what was sent."""

    __slots__ = ()
    LIMITS: ClassVar[tuple[int, int | None, None]] = (0, None, None)


MASKED: Final = (SecretString, SecretBinary, RandomPassword, RotationToken, PolicyText, MessageText)


def masked(kind: type[Any], text: str | bytes) -> Any:
    """*text*, or bytes, as a masked type. Raises `ValueError` beyond its limits, in msgspec's words and without it."""
    least, most, pattern = kind.LIMITS
    if len(text) < least:
        raise ValueError(f"Expected `str` of length >= {least}")
    if most is None or len(text) <= most:
        if pattern is not None and pattern.match(text) is None:
            raise ValueError(f"Expected `str` matching regex '{pattern.pattern}'")
        try:
            return kind(text)
        except InvalidSecretValue:  # in UTF-8 it is longer
            pass
    raise ValueError(f"Expected `str` of length <= {most}")


# --- limits of requests -----------------------------------------------------------------------------------------------

SecretId = Annotated[str, Meta(min_length=1, max_length=2048)]
NewName = Annotated[str, Meta(min_length=1, max_length=512)]
Token = Annotated[str, Meta(min_length=32, max_length=64)]
VersionId = Annotated[str, Meta(min_length=32, max_length=64)]
Stage = Annotated[str, Meta(min_length=1, max_length=256)]
Stages = Annotated[tuple[Stage, ...], Meta(min_length=1, max_length=20)]
Description = Annotated[str, Meta(max_length=2048)]
KmsKeyId = Annotated[str, Meta(min_length=0, max_length=2048)]
SecretType = Annotated[str, Meta(min_length=0, max_length=256)]
SecretArn = Annotated[str, Meta(min_length=20, max_length=2048)]
RoleArn = Annotated[str, Meta(min_length=20, max_length=2048)]
LambdaArn = Annotated[str, Meta(min_length=0, max_length=2048)]
Region = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^([a-z]+-)+[0-9]+\Z")]
TagKey = Annotated[str, Meta(min_length=1, max_length=128)]
TagValue = Annotated[str, Meta(min_length=0, max_length=256)]
PolicyName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z\-_]+\Z")]
PageToken = Annotated[str, Meta(min_length=1, max_length=4096)]
PageSize = Annotated[int, Meta(ge=1, le=100)]
BatchSize = Annotated[int, Meta(ge=1, le=20)]
# AWS's model has no limits for a recovery window: the operation's own text has them, and the service looks after them.
RecoveryWindow = int
PasswordLength = Annotated[int, Meta(ge=1, le=4096)]
ExcludedCharacters = Annotated[str, Meta(min_length=0, max_length=4096)]
RotationDays = Annotated[int, Meta(ge=1, le=1000)]
RotationDuration = Annotated[str, Meta(min_length=2, max_length=3, pattern=r"^[0-9]+h\Z")]
RotationSchedule = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[0-9A-Za-z\(\)#\?\*\-\/, ]+\Z")]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=256)]
MetadataValue = Annotated[str, Meta(min_length=1, max_length=2048)]
FilterKey = Literal["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"]
FilterValue = Annotated[str, Meta(max_length=512, pattern=r"^\!?[a-zA-Z0-9 :_@\/\+\=\.\-\!]*\Z")]
SortOrder = Literal["asc", "desc"]
SortBy = Literal["created-date", "last-accessed-date", "last-changed-date", "name"]
ReplicaRestriction = Literal["SameOrg", "NoRestriction"]

# --- limits of answers ------------------------------------------------------------------------------------------------

# A client that held AWS to each limit of its model would fail on the day on which AWS raises one, or adds a status. So
# an answer has those limits on which something here depends, and none below AWS's.

# AWS's model says 256 here, and lets a secret be made with a name of 512.
AnsweredName = Annotated[str, Meta(min_length=1, max_length=512)]
# AWS's have 20 at least. moto has an id here that is shorter.
AnsweredArn = Annotated[str, Meta(min_length=1, max_length=2048)]
# AWS's have 32 at least. A cached version's block has room for 255 bytes.
AnsweredVersionId = Annotated[str, Meta(min_length=1, max_length=64)]
# Where there may be none, emulators say so with an empty text.
VersionIdIfAny = Annotated[str, Meta(max_length=64)]
AnsweredStages = Annotated[tuple[Stage, ...], Meta(max_length=20)]
# 0 where there is no rule.
AnsweredDays = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# Seconds since 1970 (UTC), with a fraction, as AWS's JSON 1.1 has a moment. Limits: what a `datetime` can hold.
Moment = Annotated[float, Meta(ge=-62135596800, lt=253402300800)]
