"""Rotation, copies in other regions, tags, resource policies, and requests by AWS's own names. PURE."""

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct

from secrets_actor.domain.errors import InvalidParameter, InvalidSecretName
from secrets_actor.domain.masked import MaskedObject
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.operations.limits import (
    MAX_TAGS,
    check_number,
    check_region,
    check_rules,
    check_secret_id,
    check_tag_key,
    check_text,
    check_token,
    checked_regions,
    checked_tags,
)
from secrets_actor.domain.operations.operation import Operation, assign
from secrets_actor.domain.results import (
    NamedReceipt,
    PolicyVerdict,
    ReplicaRegion,
    ReplicationReceipt,
    ResourcePolicy,
    RotationReceipt,
    RotationRules,
    VersionReceipt,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import SelectiveStruct

# AWS's service model: RotationLambdaARN, PasswordLength, ExcludeCharacters.
MAX_LAMBDA_ARN_LENGTH: Final = 2048
MAX_PASSWORD_LENGTH: Final = 4096
MAX_EXCLUDED: Final = 4096
# Bytes of a value that is made of bytes, before base64.
GENERATED_BYTES: Final = 32


class Rotate(Operation[RotationReceipt], Struct, frozen=True):
    """Have AWS rotate the secret with its rotation function (*lambda_arn*, where it is to be set or changed).

    *rules* set the schedule; with *immediately* false nothing happens before its next date. *token* becomes the id of
    the new version.
    """

    kind: ClassVar[str] = "rotate"
    writes: ClassVar[bool] = True
    secret_id: str
    lambda_arn: str | None = None
    rules: RotationRules | None = None
    immediately: bool = True
    token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        if self.lambda_arn is not None:
            check_text("lambda_arn", self.lambda_arn, MAX_LAMBDA_ARN_LENGTH, 1)
        if self.rules is not None:
            check_rules(self.rules)
        if self.token is not None:
            check_token("token", self.token)


class CancelRotation(Operation[RotationReceipt], Struct, frozen=True):
    """Turn automatic rotation off, and call off one that is under way."""

    kind: ClassVar[str] = "cancel_rotation"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class RandomPassword(Operation[SecretValue], SelectiveStruct, frozen=True):
    """A password by the store's generator: of *length* characters (1 to 4,096), with each kind that is not left out,
    and with *require_each*, at least one of each."""

    HIDDEN: ClassVar = frozenset({"exclude"})

    kind: ClassVar[str] = "random_password"
    length: int = 32
    exclude: str = ""
    lowercase: bool = True
    uppercase: bool = True
    numbers: bool = True
    punctuation: bool = True
    space: bool = False
    require_each: bool = True

    def __post_init__(self) -> None:
        check_number("length", self.length, 1, MAX_PASSWORD_LENGTH)
        check_text("exclude", self.exclude, MAX_EXCLUDED)
        kinds = sum((self.lowercase, self.uppercase, self.numbers, self.punctuation, self.space))
        if not kinds:
            raise InvalidParameter("lowercase", "one kind of characters at least")
        if self.require_each and self.length < kinds:
            raise InvalidParameter("length", f"{kinds} at least, for one character of each kind")


class Generated(StrEnum):
    """How a value is made: AWS's random password, or 32 random bytes in base64."""

    PASSWORD = "password"  # noqa: S105  the name of a way
    BYTES = "bytes"

    @classmethod
    def of(cls, name: str) -> "Generated":
        """The way of this name. Raises `InvalidParameter`."""
        if name not in list(cls):
            raise InvalidParameter("generate", " or ".join(cls))
        return cls(name)


class Regenerate(Operation[VersionReceipt], Struct, frozen=True):
    """Give a secret without rotation function a new value that is made here, and make it current.

    *password* says how, for `Generated.PASSWORD`. Repeated with its *token*, it makes one version.
    """

    kind: ClassVar[str] = "regenerate"
    writes: ClassVar[bool] = True
    secret_id: str
    generate: Generated = Generated.PASSWORD
    password: RandomPassword = RandomPassword()
    token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, generate=Generated.of(self.generate))
        if not isinstance(self.password, RandomPassword):
            raise InvalidParameter("password", "a RandomPassword")
        if self.token is not None:
            check_token("token", self.token)


class Replicate(Operation[ReplicationReceipt], Struct, frozen=True):
    """Copy the secret to *regions*, and keep them alike. *overwrite*: a copy may replace a secret of that name."""

    kind: ClassVar[str] = "replicate"
    writes: ClassVar[bool] = True
    secret_id: str
    regions: tuple[ReplicaRegion, ...]
    overwrite: bool = False

    if TYPE_CHECKING:

        def __init__(self, secret_id: str, regions: Iterable[ReplicaRegion | str], overwrite: bool = False) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, regions=checked_regions(self.regions))
        if not self.regions:
            raise InvalidParameter("regions", "one region at least")


class RemoveRegions(Operation[ReplicationReceipt], Struct, frozen=True):
    """Remove the copies in *regions*."""

    kind: ClassVar[str] = "remove_regions"
    writes: ClassVar[bool] = True
    secret_id: str
    regions: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_id: str, regions: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        given = () if isinstance(self.regions, str) else tuple(self.regions)
        if not given:
            raise InvalidParameter("regions", "a list of one region at least")
        for region in given:
            check_region("regions", region)
        assign(self, regions=tuple(dict.fromkeys(map(plain, given))))


class StopReplication(Operation[ReplicationReceipt], Struct, frozen=True):
    """Make a copy a secret of its own. Asked in the copy's region."""

    kind: ClassVar[str] = "stop_replication"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class Tag(Operation[None], Struct, frozen=True):
    """Set these tags; others stay as they are."""

    kind: ClassVar[str] = "tag"
    writes: ClassVar[bool] = True
    secret_id: str
    tags: Mapping[str, str]

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, tags=checked_tags(self.tags))
        if not self.tags:
            raise InvalidParameter("tags", "one tag at least")


class Untag(Operation[None], Struct, frozen=True):
    """Take the tags with these keys off."""

    kind: ClassVar[str] = "untag"
    writes: ClassVar[bool] = True
    secret_id: str
    keys: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_id: str, keys: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        if isinstance(self.keys, str):
            raise InvalidParameter("keys", "a list of keys, not one text")
        given = tuple(self.keys)
        for key in given:
            check_tag_key("keys", key)
        found = tuple(dict.fromkeys(map(plain, given)))
        if not 1 <= len(found) <= MAX_TAGS:
            raise InvalidParameter("keys", f"1 to {MAX_TAGS} keys")
        assign(self, keys=found)


# AWS's service model, ResourcePolicy: characters.
MAX_POLICY_LENGTH: Final = 20_480


class GetPolicy(Operation[ResourcePolicy], Struct, frozen=True):
    """The resource policy of a secret, if it has one."""

    kind: ClassVar[str] = "get_policy"
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class PutPolicy(Operation[NamedReceipt], SelectiveStruct, frozen=True):
    """Attach *policy*, as JSON text or as a mapping. *block_public* has AWS refuse one that lets everybody in."""

    HIDDEN: ClassVar = frozenset({"policy"})

    kind: ClassVar[str] = "put_policy"
    writes: ClassVar[bool] = True
    secret_id: str
    policy: str
    block_public: bool | None = None

    if TYPE_CHECKING:

        def __init__(
            self, secret_id: str, policy: str | Mapping[str, Any], block_public: bool | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        assign(self, policy=_checked_policy(self.policy))


class DeletePolicy(Operation[NamedReceipt], Struct, frozen=True):
    """Take the resource policy off."""

    kind: ClassVar[str] = "delete_policy"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class ValidatePolicy(Operation[PolicyVerdict], SelectiveStruct, frozen=True):
    """Have AWS look a policy over, for a secret or for none. Nothing changes."""

    HIDDEN: ClassVar = frozenset({"policy"})

    kind: ClassVar[str] = "validate_policy"
    policy: str
    secret_id: str | None = None

    if TYPE_CHECKING:

        def __init__(self, policy: str | Mapping[str, Any], secret_id: str | None = None) -> None: ...

    def __post_init__(self) -> None:
        assign(self, policy=_checked_policy(self.policy))
        if self.secret_id is not None:
            check_secret_id(self)


def _checked_policy(policy: str | Mapping[str, Any]) -> str:
    text = policy
    if isinstance(policy, Mapping):
        try:
            text = json.dumps(policy)
        except (TypeError, ValueError):
            text = ""
    if not isinstance(text, str) or not text:
        raise InvalidParameter("policy", "a JSON document, as text or as a mapping")
    check_text("policy", text, MAX_POLICY_LENGTH, 1)
    return text


# As AWS names its operations.
_OPERATION: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_NO_PAYLOAD: Final = MaskedObject({})


class Request(Operation[MaskedObject], SelectiveStruct, frozen=True):
    """Any operation by AWS's name for it, with the members of its request; the answer is the answer's members.

    Bytes go as base64 text. It counts as a write, and takes its turn among the operations of the secret that `SecretId`
    or `Name` tells. Nothing is filled in: whoever wants to repeat a write gives it a ClientRequestToken.
    """

    HIDDEN: ClassVar = frozenset({"payload"})

    kind: ClassVar[str] = "request"
    writes: ClassVar[bool] = True
    operation: str
    payload: MaskedObject = _NO_PAYLOAD
    secret_id: str | None = None  # found in the payload

    if TYPE_CHECKING:

        def __init__(self, operation: str, payload: Mapping[str, Any] | MaskedObject | None = None) -> None: ...

    def __post_init__(self) -> None:
        given: Any = self.payload
        assign(self, payload=None)  # what cannot be masked is in no frame of what is raised
        try:
            assign(self, payload=MaskedObject({} if given is None else given))
        finally:
            del given
        if not isinstance(self.operation, str) or _OPERATION.fullmatch(self.operation) is None:
            assign(self, operation="")
            raise InvalidParameter("operation", "AWS's name of an operation, such as GetSecretValue")
        assign(self, secret_id=_secret_of(self.payload))


def _secret_of(payload: MaskedObject) -> SecretId | None:
    members = payload.reveal()
    found = members.get("SecretId", members.get("Name"))
    if not isinstance(found, str):
        return None
    try:
        return SecretId(found)
    except InvalidSecretName:
        return None  # AWS may have its own opinion
