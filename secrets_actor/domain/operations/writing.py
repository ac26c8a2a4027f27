"""Writing values. Each message can be repeated with its token: at most one version results.

The initialisers are not generated ones: their frames would keep a raw value in clear while an error is raised.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar

from secrets_actor.domain.descriptions import ReplicaRegion, UpdateReceipt, VersionReceipt
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations.base import AWSCURRENT, Operation, assign
from secrets_actor.domain.operations.checks import (
    MAX_DESCRIPTION_LENGTH,
    check_kms_key,
    check_new_name,
    check_secret_id,
    check_text,
    check_token,
    checked_regions,
    checked_stages,
    checked_tags,
)
from secrets_actor.domain.secret import Secret, SecretValue, SetReceipt
from secrets_actor.records import dataclass, field


@dataclass(frozen=True, slots=True, init=False)
class Set(Operation[SetReceipt]):
    """Make *value* the current version of a secret, creating the secret if there is none.

    *token* makes the set idempotent (AWS: ClientRequestToken): a second set with the same token and value changes
    nothing, one with another value is refused. It becomes the version id. The client fills it in when it is None.
    *tags* and *kms_key_id* are for a secret that this set creates. A secret that is scheduled for deletion is refused,
    unless *restore_on_set*: then it is restored first. *minted*: the token was made for this message, so that nobody
    can have used it before.
    """

    kind: ClassVar[str] = "set"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue = field(repr=False)
    token: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key_id: str | None = None
    restore_on_set: bool = False
    minted: bool = field(default=False, repr=False, compare=False)

    def __init__(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        token: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        kms_key_id: str | None = None,
        restore_on_set: bool = False,
        minted: bool = False,
    ) -> None:
        assign(self, secret_id=secret_id, token=token, description=description, tags={}, kms_key_id=kms_key_id)
        assign(self, restore_on_set=restore_on_set, minted=minted)
        try:
            assign(self, value=SecretValue(value))
        finally:
            del value
        check_secret_id(self)
        _check_facts(token, description, kms_key_id)
        assign(self, tags=checked_tags({} if tags is None else tags))

    def written(self, receipt: SetReceipt, at: datetime) -> Secret:
        """The secret as it is once this set has taken effect, answered by *receipt* at *at* (UTC): so its `created_at`
        is right to within the exchange."""
        return Secret(receipt.name, receipt.arn, self.value, receipt.version_id, (AWSCURRENT,), at)


@dataclass(frozen=True, slots=True, init=False)
class Create(Operation[SetReceipt]):
    """Make a new secret. One that is there is refused (`SecretExists`), unless this very create made it.

    *replicas*: regions that get a copy; *overwrite_replicas* lets the copy replace a secret of that name there.
    """

    kind: ClassVar[str] = "create"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue = field(repr=False)
    token: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key_id: str | None = None
    replicas: tuple[ReplicaRegion, ...] = ()
    overwrite_replicas: bool = False

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
    ) -> None:
        assign(self, secret_id=secret_id, token=token, description=description, tags={}, kms_key_id=kms_key_id)
        assign(self, replicas=(), overwrite_replicas=overwrite_replicas)
        try:
            assign(self, value=SecretValue(value))
        finally:
            del value
        check_new_name(self)
        _check_facts(token, description, kms_key_id)
        assign(self, tags=checked_tags({} if tags is None else tags), replicas=checked_regions(replicas))


@dataclass(frozen=True, slots=True, init=False)
class Put(Operation[VersionReceipt]):
    """Add a version to a secret that is there.

    Without *stages* it becomes AWSCURRENT, and the one before AWSPREVIOUS; with them it gets those labels, and only
    those move.
    """

    kind: ClassVar[str] = "put"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue = field(repr=False)
    stages: tuple[str, ...] = ()
    token: str | None = None

    def __init__(
        self,
        secret_id: str,
        value: str | bytes | SecretValue,
        stages: Iterable[str] | None = None,
        token: str | None = None,
    ) -> None:
        given = stages is not None and stages != ()  # a copy of a message brings the empty tuple
        assign(self, secret_id=secret_id, stages=(), token=token)
        try:
            assign(self, value=SecretValue(value))
        finally:
            del value
        check_secret_id(self)
        _check_facts(token)
        if given:
            assign(self, stages=checked_stages(stages or ()))


@dataclass(frozen=True, slots=True, init=False)
class Update(Operation[UpdateReceipt]):
    """Change what is given of a secret that is there: its description, its KMS key (empty: AWS's own), its value."""

    kind: ClassVar[str] = "update"
    writes: ClassVar[bool] = True
    secret_id: str
    value: SecretValue | None = field(default=None, repr=False)
    description: str | None = None
    kms_key_id: str | None = None
    token: str | None = None

    def __init__(
        self,
        secret_id: str,
        value: str | bytes | SecretValue | None = None,
        description: str | None = None,
        kms_key_id: str | None = None,
        token: str | None = None,
    ) -> None:
        assign(self, secret_id=secret_id, description=description, kms_key_id=kms_key_id, token=token)
        try:
            assign(self, value=None if value is None else SecretValue(value))
        finally:
            del value
        check_secret_id(self)
        _check_facts(token, description, kms_key_id)
        if self.value is None and description is None and kms_key_id is None:
            raise InvalidParameter("update", "a value, a description or a kms_key_id at least")


def _check_facts(token: str | None, description: str | None = None, kms_key_id: str | None = None) -> None:
    if token is not None:
        check_token("token", token)
    if description is not None:
        check_text("description", description, MAX_DESCRIPTION_LENGTH)
    if kms_key_id is not None:
        check_kms_key(kms_key_id)
