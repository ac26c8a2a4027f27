"""The messages that read, write and delete values. A write that is repeated with its token makes one version. PURE."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import Struct, field
from msgspec.structs import replace

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.operations.limits import (
    MAX_DESCRIPTION_LENGTH,
    MAX_RECOVERY_WINDOW,
    MIN_RECOVERY_WINDOW,
    check_kms_key,
    check_new_name,
    check_number,
    check_seconds,
    check_secret_id,
    check_stage,
    check_text,
    check_token,
    checked_list,
    checked_regions,
    checked_stages,
    checked_tags,
)
from secrets_actor.domain.operations.operation import AWSCURRENT, Operation, assign, mask_value
from secrets_actor.domain.results import (
    ChangeReceipt,
    NamedReceipt,
    ReplicaRegion,
    SecretBatch,
    VersionBatch,
    VersionReceipt,
)
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.structs import SelectiveStruct

# AWS's service model, BatchGetSecretValue `SecretIdList`.
BATCH_SIZE: Final = 20


class Get(Operation[Secret], Struct, frozen=True):
    """Read one version of a secret: AWSCURRENT, or the one with this *version_id* or *stage*.

    *refresh*: ask the store even if the cache could answer. *max_age*: ask the store if the cached answer is older than
    this many seconds. *allow_stale*: whether a value past its TTL may be the answer if the store cannot answer (None:
    yes, except with *refresh*).
    """

    kind: ClassVar[str] = "get"
    secret_id: str
    version_id: str | None = None
    stage: str | None = None
    refresh: bool = False
    max_age: float | None = None
    allow_stale: bool | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        if self.max_age is not None:
            check_seconds("max_age", self.max_age)
        if self.version_id is not None:
            check_token("version_id", self.version_id)
            assign(self, version_id=plain(self.version_id))
        if self.stage is not None:
            check_stage("stage", self.stage)
            assign(self, stage=plain(self.stage))


def version_key(get: Get) -> tuple[str | None, str | None]:
    """Return (version id, stage): the key by which the cache and the flights tell versions apart."""
    return get.version_id, get.stage or (AWSCURRENT if get.version_id is None else None)


def refreshed(get: Get) -> Get:
    """Return the same request with *refresh*: the store has to answer it."""
    return replace(get, refresh=True, max_age=None)


def takes_stale(get: Get) -> bool:
    """Return whether a value past its TTL may be the answer if the store cannot answer."""
    return not get.refresh if get.allow_stale is None else get.allow_stale


class Invalidate(Operation[None], Struct, frozen=True):
    """Tell that this secret was changed elsewhere, so that the cache's copy of it is outdated.

    All its versions are asked for anew when they are next wanted, and its subscribers hear of a new version. No call to
    the store is made for this message, so `MESSAGES`, the table of the store's operations, does not have it.
    """

    kind: ClassVar[str] = "invalidate"
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)


class GetMany(Operation[SecretBatch], Struct, frozen=True):
    """Read the AWSCURRENT versions of several secrets, 20 in each call to AWS. The answer has an error for each secret
    that could not be read.

    It does not wait for writes to these secrets that are still under way, although a `Get` does.
    """

    kind: ClassVar[str] = "get_many"
    secret_ids: tuple[SecretId, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_ids: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        _check_ids(self)


class CurrentVersions(Operation[VersionBatch], Struct, frozen=True):
    """Ask which versions of several secrets are the AWSCURRENT ones, without reading the values.

    Subscribers ask this for all subscriptions that are due, at a store whose `BackendFactory.tells_versions` is true.
    Others do not answer it. The answer has an error for each secret whose version the store does not tell.
    """

    kind: ClassVar[str] = "current_versions"
    secret_ids: tuple[SecretId, ...]

    if TYPE_CHECKING:

        def __init__(self, secret_ids: Iterable[str]) -> None: ...

    def __post_init__(self) -> None:
        _check_ids(self)


def _check_ids(message: GetMany | CurrentVersions) -> None:
    given: object = message.secret_ids
    assign(message, secret_ids=())
    found = tuple(dict.fromkeys(map(SecretId, checked_list("secret_ids", given, "names"))))
    if not found:
        raise InvalidParameter("secret_ids", "one name at least")
    assign(message, secret_ids=found)


class Set(Operation[SetReceipt], SelectiveStruct, frozen=True):
    """Make *value* the current version of a secret; create the secret if there is none.

    *token* makes the set idempotent (AWS: ClientRequestToken): a second set with the same token and value changes
    nothing, and one with another value is refused. The token becomes the version id. The client makes a token if it is
    None. *tags* and *kms_key_id* are used only if this set creates the secret. A secret that is scheduled for deletion
    is refused, unless *restore_on_set*: then it is restored first.
    """

    HIDDEN: ClassVar = frozenset({"value", "_minted"})
    UNCOMPARED: ClassVar = frozenset({"_minted"})

    kind: ClassVar[str] = "set"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue
    token: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key_id: str | None = None
    restore_on_set: bool = False
    _minted: bool = False  # `with_token` made the token for this message, so nobody can have used it before

    if TYPE_CHECKING:

        def __init__(
            self,
            secret_id: str,
            value: str | bytes | SecretValue,
            token: str | None = None,
            description: str | None = None,
            tags: Mapping[str, str] | None = None,
            kms_key_id: str | None = None,
            restore_on_set: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        mask_value(self)
        check_secret_id(self)
        _check_facts(self.token, self.description, self.kms_key_id)
        assign(self, tags=checked_tags({} if self.tags is None else self.tags))


def is_minted(operation: Set) -> bool:
    """Return whether the token was made for this message, so that nobody can have used it before."""
    return operation._minted


def secret_after(operation: Set, receipt: SetReceipt, at: datetime, origin: str | None = None) -> Secret:
    """Return the secret as it is after *operation*, which *origin* answered by *receipt* at *at* (UTC).

    Its `created_at` is *at*, because a receipt has no time: it is off by the time of the exchange at most.
    """
    return Secret(receipt.name, receipt.arn, operation.value, receipt.version_id, (AWSCURRENT,), at, origin=origin)


class Create(Operation[SetReceipt], SelectiveStruct, frozen=True):
    """Create a secret. An existing one is refused (`SecretExists`), unless an earlier try of this create made it.

    *replicas*: the regions that get a copy. With *overwrite_replicas* a copy may replace a secret of that name there.
    """

    HIDDEN: ClassVar = frozenset({"value"})

    kind: ClassVar[str] = "create"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue
    token: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key_id: str | None = None
    replicas: tuple[ReplicaRegion, ...] = ()
    overwrite_replicas: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            secret_id: str,
            value: str | bytes | SecretValue,
            token: str | None = None,
            description: str | None = None,
            tags: Mapping[str, str] | None = None,
            kms_key_id: str | None = None,
            replicas: Iterable[ReplicaRegion | str] = (),
            overwrite_replicas: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        mask_value(self)
        check_new_name(self)
        _check_facts(self.token, self.description, self.kms_key_id)
        assign(self, tags=checked_tags({} if self.tags is None else self.tags))
        assign(self, replicas=checked_regions(self.replicas))


class CreateEmpty(Operation[NamedReceipt], Struct, frozen=True):
    """Create a secret that has no value yet: until its first version is put, a get of it finds nothing.

    An existing secret is refused (`SecretExists`), unless an earlier try of this create made it. *replicas* and
    *overwrite_replicas* are as for `Create`.
    """

    kind: ClassVar[str] = "create_empty"
    writes: ClassVar[bool] = True
    secret_id: str
    token: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key_id: str | None = None
    replicas: tuple[ReplicaRegion, ...] = ()
    overwrite_replicas: bool = False

    if TYPE_CHECKING:

        def __init__(
            self,
            secret_id: str,
            token: str | None = None,
            description: str | None = None,
            tags: Mapping[str, str] | None = None,
            kms_key_id: str | None = None,
            replicas: Iterable[ReplicaRegion | str] = (),
            overwrite_replicas: bool = False,
        ) -> None: ...

    def __post_init__(self) -> None:
        check_new_name(self)
        _check_facts(self.token, self.description, self.kms_key_id)
        assign(self, tags=checked_tags({} if self.tags is None else self.tags))
        assign(self, replicas=checked_regions(self.replicas))


class Put(Operation[VersionReceipt], SelectiveStruct, frozen=True):
    """Add a version to an existing secret.

    Without *stages* the version becomes AWSCURRENT, and the one before it AWSPREVIOUS. With *stages* the version gets
    those stages, and no other stage moves. The first version of a secret becomes AWSCURRENT in any case.
    """

    HIDDEN: ClassVar = frozenset({"value"})

    kind: ClassVar[str] = "put"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue
    stages: tuple[str, ...] = ()
    token: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            secret_id: str,
            value: str | bytes | SecretValue,
            stages: Iterable[str] | None = None,
            token: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        mask_value(self)
        check_secret_id(self)
        _check_facts(self.token)
        given = self.stages is not None and self.stages != ()  # (): a copy of a message that had none
        assign(self, stages=checked_stages(self.stages) if given else ())


class Update(Operation[ChangeReceipt], SelectiveStruct, frozen=True):
    """Change the value, the description or the KMS key (empty: AWS's own) of an existing secret. None: no change."""

    HIDDEN: ClassVar = frozenset({"value"})

    kind: ClassVar[str] = "update"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue | None = None
    description: str | None = None
    kms_key_id: str | None = None
    token: str | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            secret_id: str,
            value: str | bytes | SecretValue | None = None,
            description: str | None = None,
            kms_key_id: str | None = None,
            token: str | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if self.value is not None:
            mask_value(self)
        check_secret_id(self)
        _check_facts(self.token, self.description, self.kms_key_id)
        if self.value is None and self.description is None and self.kms_key_id is None:
            raise InvalidParameter("update", "a value, a description or a kms_key_id at least")


def _check_facts(token: str | None, description: str | None = None, kms_key_id: str | None = None) -> None:
    if token is not None:
        check_token("token", token)
    if description is not None:
        check_text("description", description, MAX_DESCRIPTION_LENGTH)
    if kms_key_id is not None:
        check_kms_key(kms_key_id)


class Delete(Operation[DeleteReceipt], Struct, frozen=True):
    """Schedule a secret for deletion, or with *force* delete it at once and for good.

    *recovery_window*: the days for which it can be restored (7 to 30; None: as configured).
    """

    kind: ClassVar[str] = "delete"
    writes: ClassVar[bool] = True
    secret_id: str
    recovery_window: int | None = None
    force: bool = False

    def __post_init__(self) -> None:
        check_secret_id(self)
        if self.recovery_window is None:
            return
        if self.force:
            raise InvalidParameter("recovery_window", "no recovery window together with force")
        check_number("recovery_window", self.recovery_window, MIN_RECOVERY_WINDOW, MAX_RECOVERY_WINDOW, " days")


class Restore(Operation[NamedReceipt], Struct, frozen=True):
    """Cancel the scheduled deletion of a secret, as long as its recovery window lasts."""

    kind: ClassVar[str] = "restore"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)
