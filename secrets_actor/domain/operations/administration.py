"""The messages for rotation, copies in other regions, tags, policies, and requests by AWS's own names. PURE."""

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
    check_page,
    check_policy_name,
    check_region,
    check_role_arn,
    check_rules,
    check_secret_arn,
    check_secret_id,
    check_tag_key,
    check_text,
    check_token,
    checked_list,
    checked_regions,
    checked_tags,
)
from secrets_actor.domain.operations.operation import Operation, assign
from secrets_actor.domain.results import (
    AccountReplicaReceipt,
    ChangeReceipt,
    NamedReceipt,
    PolicyPage,
    PolicyVerdict,
    ReplicaRegion,
    ReplicationReceipt,
    ResourcePolicy,
    RotationRules,
    VersionReceipt,
)
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import SelectiveStruct

# AWS's service model: RotationLambdaARN, PasswordLength, ExcludeCharacters.
MAX_LAMBDA_ARN_LENGTH: Final = 2048
MAX_PASSWORD_LENGTH: Final = 4096
MAX_EXCLUDED: Final = 4096
# Random bytes in a generated value, before base64: as many as a key of AES-256 has.
GENERATED_BYTES: Final = 32


class Rotate(Operation[ChangeReceipt], Struct, frozen=True):
    """Have AWS rotate the secret by its rotation function.

    *lambda_arn* sets or changes that function, *rules* the schedule. With *immediately* false nothing is rotated before
    the next date of the schedule. *token* becomes the id of the new version.
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


class CancelRotation(Operation[ChangeReceipt], Struct, frozen=True):
    """Turn automatic rotation off, and cancel a rotation that is under way."""

    kind: ClassVar[str] = "cancel_rotation"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class RandomPassword(Operation[SecretValue], SelectiveStruct, frozen=True):
    """Ask the store for a random password of *length* characters (1 to 4,096); the store does not keep it.

    The five bools say which kinds of characters it may have, *exclude* which characters it must not have. With
    *require_each* it has at least one character of each kind, but for the space (API reference, GetRandomPassword).
    """

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
        kinds = sum((self.lowercase, self.uppercase, self.numbers, self.punctuation))
        if not kinds and not self.space:
            raise InvalidParameter("lowercase", "one kind of characters at least")
        if self.require_each and self.length < kinds:
            raise InvalidParameter("length", f"{kinds} at least, for one character of each kind")


class Generated(StrEnum):
    """How a new value is generated: as a random password, or as 32 random bytes in base64."""

    PASSWORD = "password"  # noqa: S105  a word, no password
    BYTES = "bytes"

    @classmethod
    def of(cls, name: str) -> "Generated":
        """Return the member with this name. Raises `InvalidParameter`."""
        if name not in list(cls):
            raise InvalidParameter("generate", " or ".join(cls))
        return cls(name)


class Regenerate(Operation[VersionReceipt], Struct, frozen=True):
    """Give a secret a generated value, and make that the current one: a rotation without a rotation function.

    *password* describes the password, with `Generated.PASSWORD`. Repeated with the same *token*, it makes one version.
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
    """Copy the secret to *regions*, and keep the copies up to date. *overwrite*: replace secrets of that name there."""

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
    """Delete the copies of the secret in *regions*."""

    kind: ClassVar[str] = "remove_regions"
    writes: ClassVar[bool] = True
    secret_id: str
    regions: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_id: str, regions: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        given = checked_list("regions", self.regions, "regions")
        if not given:
            raise InvalidParameter("regions", "a list of one region at least")
        for region in given:
            check_region("regions", region)
        assign(self, regions=tuple(dict.fromkeys(map(plain, given))))


class StopReplication(Operation[ReplicationReceipt], Struct, frozen=True):
    """Turn a copy into a secret of its own. AWS takes this request in the region of the copy only."""

    kind: ClassVar[str] = "stop_replication"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class AssociateReplica(Operation[AccountReplicaReceipt], Struct, frozen=True):
    """Copy the secret to *replica_arn*, a secret in another account, and keep that up to date.

    That account has created the replica for this secret, in the same region (AWS: CreateSecret with
    CrossAccountPrimaryARN). It has to belong to the same organization, unless *any_organization* is true. AWS assumes
    the IAM role *role_arn* to replicate (None: it uses the credentials of whoever writes the secret). Repeated, the
    operation repairs the replication.
    """

    kind: ClassVar[str] = "associate_replica"
    writes: ClassVar[bool] = True
    secret_id: str
    replica_arn: str
    any_organization: bool = False
    role_arn: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_secret_arn("replica_arn", self.replica_arn)
        if self.role_arn is not None:
            check_role_arn("role_arn", self.role_arn)


class DisassociateReplica(Operation[AccountReplicaReceipt], Struct, frozen=True):
    """End the replication to *replica_arn*, a secret in another account. The replica stays there as it is."""

    kind: ClassVar[str] = "disassociate_replica"
    writes: ClassVar[bool] = True
    secret_id: str
    replica_arn: str

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_secret_arn("replica_arn", self.replica_arn)


class Tag(Operation[None], Struct, frozen=True):
    """Add these tags, or change their values. Other tags stay as they are."""

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
    """Remove the tags with these *keys*."""

    kind: ClassVar[str] = "untag"
    writes: ClassVar[bool] = True
    secret_id: str
    keys: tuple[str, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_id: str, keys: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        check_secret_id(self)
        given = checked_list("keys", self.keys, "keys")
        for key in given:
            check_tag_key("keys", key)
        found = tuple(dict.fromkeys(map(plain, given)))
        if not 1 <= len(found) <= MAX_TAGS:
            raise InvalidParameter("keys", f"1 to {MAX_TAGS} keys")
        assign(self, keys=found)


# AWS's service model, ResourcePolicy: characters.
MAX_POLICY_LENGTH: Final = 20_480


class ListPolicies(Operation[PolicyPage], Struct, frozen=True):
    """List one page of the names of a secret's resource policies: `default` first, the others sorted."""

    kind: ClassVar[str] = "list_policies"
    secret_id: str
    page_size: int = 100
    next_token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_page(self.page_size, self.next_token)


class GetPolicy(Operation[ResourcePolicy], Struct, frozen=True):
    """Ask for a resource policy of a secret by its *name* (None: `default`, the only one that AWS lets be changed)."""

    kind: ClassVar[str] = "get_policy"
    secret_id: str
    name: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        if self.name is not None:
            check_policy_name("name", self.name)


class PutPolicy(Operation[NamedReceipt], SelectiveStruct, frozen=True):
    """Attach *policy*: JSON text, or a mapping. With *block_public* AWS refuses a policy that lets everybody in."""

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
    """Remove the resource policy of a secret."""

    kind: ClassVar[str] = "delete_policy"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class ValidatePolicy(Operation[PolicyVerdict], SelectiveStruct, frozen=True):
    """Have AWS check a policy, for one secret or for none. Nothing changes."""

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


# The shape of AWS's names of operations, such as GetSecretValue.
_OPERATION: Final = re.compile(r"[A-Z][A-Za-z0-9]{1,63}")
_NO_PAYLOAD: Final = MaskedObject({})


class Request(Operation[MaskedObject], SelectiveStruct, frozen=True):
    """Any operation by AWS's name for it. *payload* has the members of the request; the answer has those of the answer.

    Bytes go as base64 text. We do not know what the operation does, so it counts as a write, and keeps its order among
    the operations on the secret that the member `SecretId` or `Name` tells. Nothing is added to the payload: a write
    that is to be safe to repeat needs its own ClientRequestToken.
    """

    HIDDEN: ClassVar = frozenset({"payload"})

    kind: ClassVar[str] = "request"
    writes: ClassVar[bool] = True
    operation: str
    payload: MaskedObject = _NO_PAYLOAD
    secret_id: str | None = None  # from the payload, not from the caller

    if TYPE_CHECKING:

        def __init__(self, operation: str, payload: Mapping[str, Any] | MaskedObject | None = None) -> None: ...

    def __post_init__(self) -> None:
        given: Any = self.payload
        assign(self, payload=None)  # a payload that cannot be masked must not be in the frames of the error's traceback
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
        return None  # the operation goes out without a lane, and AWS refuses the name, or does not
