"""The types of the members of requests and answers, with AWS's limits, and the masked types among them. PURE.

Rule 1: the source of all numbers and patterns is botocore's `secretsmanager/2017-10-17/service-2.json` (1.44.8);
        tests/aws_json/test_model.py compares ours with it.
Rule 2: a member that may hold a secret has a masked type. No repr, copy, pickle or encoder shows it. Only `codec.py`
        reveals it, when it is asked to encode a request or an answer.
Rule 3: the limits of a masked type stand in its class, for msgspec's own limits apply to plain types only.
"""

import re
from typing import Annotated, Any, ClassVar, Final, Literal

from msgspec import Meta, Struct

from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.secret import MAX_VALUE_BYTES, SecretValue


class Shape(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all shapes. Members have AWS's names.

    A member that may be absent is None when it is, and is not written then: AWS's JSON takes null for absent. An
    unknown member is ignored, as AWS ignores it.
    """


# --- masked types -----------------------------------------------------------------------------------------------------


class SecretString(SecretValue):
    """A secret's value that is text: 65,536 bytes in UTF-8 at most."""

    __slots__ = ()
    LIMITS: ClassVar = (1, MAX_VALUE_BYTES, None)


class SecretBinary(SecretValue):
    """A secret's value that is bytes: 65,536 at most, in base64 in JSON."""

    __slots__ = ()
    LIMITS: ClassVar = (1, MAX_VALUE_BYTES, None)


class RandomPassword(SecretValue):
    """A password that AWS has made. AWS's model allows an empty one, but `PasswordLength` is at least 1."""

    __slots__ = ()
    LIMITS: ClassVar = (1, 4096, None)


class RotationToken(SecretValue):
    """The token by which a rotation function proves that it writes for AWS."""

    __slots__ = ()
    LIMITS: ClassVar = (36, 256, re.compile(r"^[a-zA-Z0-9\-]+\Z"))


class PolicyText(MaskedText):
    """A resource policy, a JSON document. It is not a secret, but it tells who may read one, so it is masked, too."""

    __slots__ = ()
    LIMITS: ClassVar = (1, 20480, None)


class MessageText(MaskedText):
    """AWS's text about an error. It is masked, for it may quote what was sent."""

    __slots__ = ()
    LIMITS: ClassVar[tuple[int, int | None, None]] = (0, None, None)


MASKED: Final = (SecretString, SecretBinary, RandomPassword, RotationToken, PolicyText, MessageText)


def masked(kind: type[Any], text: str | bytes) -> Any:
    """Return *text*, or bytes, as the masked type *kind*.

    Raises `ValueError` when it breaks a limit, in msgspec's words, which `codec.py` knows, and without the text itself.
    """
    least, most, pattern = kind.LIMITS
    if len(text) < least:
        raise ValueError(f"Expected `str` of length >= {least}")
    if most is None or len(text) <= most:
        if pattern is not None and pattern.match(text) is None:
            raise ValueError(f"Expected `str` matching regex '{pattern.pattern}'")
        try:
            return kind(text)
        except InvalidSecretValue:  # its characters are within the limit, its bytes in UTF-8 are not
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
# AWS's model has no limits for a recovery window. The text of the API reference has them, and the service checks them.
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

# A client that insisted on each limit of AWS's model would fail on the day on which AWS raises one, or adds a status.
# So answers have only the limits on which this package depends, and none is stricter than AWS's.

# AWS's model allows 256 characters here, but a secret can be created with a name of 512.
AnsweredName = Annotated[str, Meta(min_length=1, max_length=512)]
# AWS's ARNs have at least 20 characters. moto has an id in this place, which may be shorter.
AnsweredArn = Annotated[str, Meta(min_length=1, max_length=2048)]
# AWS's version ids have at least 32 characters, those of emulators may have fewer. The packed form of a cached secret
# has room for 255 bytes.
AnsweredVersionId = Annotated[str, Meta(min_length=1, max_length=64)]
# Where there may be no version, emulators send an empty text.
VersionIdIfAny = Annotated[str, Meta(max_length=64)]
AnsweredStages = Annotated[tuple[Stage, ...], Meta(max_length=20)]
# 0 means that there is no rule.
AnsweredDays = Annotated[int, Meta(ge=0, le=2**31 - 1)]
# A moment in AWS's JSON 1.1: seconds since 1970 (UTC), with a fraction. The limits are those of a `datetime`.
Moment = Annotated[float, Meta(ge=-62135596800, lt=253402300800)]
