"""What the fake store knows, and how it answers: Secrets Manager's semantics over dictionaries. PURE.

Rule 1: every answer and refusal is the local store's (backends/local): the contract suite holds both to it, and a test
        walks both through the same random operations. Only the codes that go with a refusal are AWS's.
Rule 2: a secret whose recovery window has ended is not there.
Rule 3: a refused operation has changed nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from secrets_actor.domain.descriptions import SecretBatch
from secrets_actor.domain.errors import (
    InvalidRequest,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    StoreError,
    UnknownMessage,
)
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import (
    AWSCURRENT,
    AWSPREVIOUS,
    MESSAGES,
    Delete,
    Get,
    GetMany,
    List,
    Operation,
    Restore,
    Set,
)
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt, Secret, SecretInfo, SecretValue, SetReceipt
from secrets_actor.records import dataclass, field

# The AWS form, with a partition and region that AWS does not have.
ARN_PREFIX: Final = "arn:fake:secretsmanager:fake:000000000000:secret:"
# As the local store: AWS keeps about 100 versions and removes those without a stage first (user guide, "Quotas").
MAX_VERSIONS: Final = 100
KINDS: Final = frozenset(operation.kind for operation in MESSAGES)
_AWS_CODES: Final[dict[type[StoreError], str]] = {
    SecretNotFound: "ResourceNotFoundException",
    SecretExists: "ResourceExistsException",
    SecretDeleted: "InvalidRequestException",
    InvalidRequest: "InvalidRequestException",
}


@dataclass(frozen=True, slots=True)
class _Version:
    id: str
    value: SecretValue
    created_at: datetime
    made_secret: bool


@dataclass(slots=True)
class _Entry:
    name: str
    arn: str
    created_at: datetime
    changed_at: datetime
    description: str | None = None
    deletion_date: datetime | None = None
    versions: dict[str, _Version] = field(default_factory=dict)  # the oldest first
    stages: dict[str, str] = field(default_factory=dict)  # stage -> version id


class Shelf:
    """All secrets of one store. *recovery_window*: the days a soft delete lasts unless it says otherwise."""

    def __init__(self, recovery_window: int) -> None:
        self._recovery_window = recovery_window
        self._entries: dict[str, _Entry] = {}
        self._made = 0

    def __len__(self) -> int:
        return len(self._entries)

    def perform(self, operation: Operation[Any], now: datetime, new_id: str, *, repeated: bool = False) -> Any:
        """The answer to *operation* at *now*. *new_id* is the version id of a set that brings no token. *repeated*: it
        may have taken effect before, so a delete that finds the secret scheduled is done.

        Raises `SecretNotFound`, `SecretDeleted`, `SecretExists`, `InvalidRequest` and `UnknownMessage`.
        """
        self._entries = {
            name: entry
            for name, entry in self._entries.items()
            if entry.deletion_date is None or entry.deletion_date > now
        }
        match operation:
            case Get():
                return self._get(operation)
            case List():
                return self._list(operation)
            case Set():
                return self._set(operation, operation.token or new_id, now)
            case Delete():
                return self._delete(operation, now, repeated)
            case Restore():
                return self._restore(operation, now)
            case GetMany():
                return self._get_many(operation)
        name = type(operation).__name__
        raise UnknownMessage(f"the fake store does not know the operation {name}: ask for it where there is AWS")

    def version_ids(self, secret_id: str) -> tuple[str, ...]:
        """The ids of all versions kept of a secret, the oldest first; none when there is no such secret."""
        entry = self._find(SecretId(secret_id))
        return () if entry is None else tuple(entry.versions)

    def _get(self, operation: Get) -> Secret:
        entry = self._live(operation.secret_id)
        stage = operation.stage
        if operation.version_id is not None:
            version, sought = entry.versions.get(operation.version_id), f"version {operation.version_id}"
        else:
            stage = stage or AWSCURRENT
            version, sought = entry.versions.get(entry.stages.get(stage, "")), f"version with stage {stage}"
        if version is None:
            raise _refusal(SecretNotFound, f"secret {entry.name} has no {sought} in the fake store")
        stages = tuple(sorted(label for label, version_id in entry.stages.items() if version_id == version.id))
        if stage is not None and stage not in stages:
            raise _refusal(
                InvalidRequest, f"{sought} of secret {entry.name} does not have stage {stage}; give only one"
            )
        return Secret(entry.name, entry.arn, version.value, version.id, stages, version.created_at)

    def _get_many(self, operation: GetMany) -> SecretBatch:
        found: dict[str, Secret] = {}
        errors: dict[str, SecretsError] = {}
        for secret_id in operation.secret_ids:
            try:
                found[secret_id] = self._get(Get(secret_id))
            except StoreError as error:
                errors[secret_id] = error.clone()
        return SecretBatch(found, errors)

    def _list(self, operation: List) -> tuple[SecretInfo, ...]:
        return tuple(
            SecretInfo(one.name, one.arn, one.description, one.created_at, one.changed_at, one.deletion_date)
            for _, one in sorted(self._entries.items())
            if operation.include_deleted or one.deletion_date is None
        )

    def _set(self, operation: Set, version_id: str, now: datetime) -> SetReceipt:
        if operation.tags or operation.kms_key_id is not None:
            text = "the fake store keeps no tags and has no KMS keys; set the secret without them"
            raise _refusal(InvalidRequest, text)
        secret_id = SecretId(operation.secret_id)
        created = self._find(secret_id) is None and not (secret_id.is_arn or secret_id.is_managed)
        if operation.restore_on_set and not created:
            self._restore(Restore(secret_id), now)
        entry = self._create(secret_id, now) if created else self._live(secret_id)
        earlier = entry.versions.get(version_id)
        if earlier is not None:
            if earlier.value != operation.value:
                raise _refusal(
                    SecretExists,
                    f"token {version_id} was used before to set another value of secret {entry.name}; take a new token",
                )
            return SetReceipt(entry.name, entry.arn, version_id, created=earlier.made_secret)
        former = entry.stages.get(AWSCURRENT)
        entry.versions[version_id] = _Version(version_id, operation.value, now, created)
        entry.stages |= {AWSCURRENT: version_id} if former is None else {AWSPREVIOUS: former, AWSCURRENT: version_id}
        for old in list(entry.versions)[:-MAX_VERSIONS]:  # those with a stage are the newest two
            del entry.versions[old]
        entry.changed_at = now
        if operation.description is not None:
            entry.description = operation.description
        return SetReceipt(entry.name, entry.arn, version_id, created=created)

    def _create(self, name: str, now: datetime) -> _Entry:
        self._made += 1
        entry = _Entry(str(name), f"{ARN_PREFIX}{name}-{self._made:06}", now, now)
        self._entries[entry.name] = entry
        return entry

    def _delete(self, operation: Delete, now: datetime, repeated: bool) -> DeleteReceipt:
        secret_id = SecretId(operation.secret_id)
        if operation.force:
            gone = self._find(secret_id)
            if gone is None:
                return DeleteReceipt(secret_id, secret_id if secret_id.is_arn else f"{ARN_PREFIX}{secret_id}", now)
            del self._entries[gone.name]
            return DeleteReceipt(gone.name, gone.arn, now)
        entry = self._there(secret_id)
        if repeated and entry.deletion_date is not None:
            return DeleteReceipt(entry.name, entry.arn, entry.deletion_date)
        entry = self._live(secret_id)
        window = self._recovery_window if operation.recovery_window is None else operation.recovery_window
        entry.changed_at, entry.deletion_date = now, now + timedelta(days=window)
        return DeleteReceipt(entry.name, entry.arn, entry.deletion_date)

    def _restore(self, operation: Restore, now: datetime) -> RestoreReceipt:
        entry = self._there(operation.secret_id)
        if entry.deletion_date is not None:
            entry.changed_at, entry.deletion_date = now, None
        return RestoreReceipt(entry.name, entry.arn)

    def _find(self, secret_id: SecretId) -> _Entry | None:
        """The secret of this name, ARN, or ARN without its suffix."""
        if not secret_id.is_arn:
            return self._entries.get(secret_id)
        if not secret_id.startswith(ARN_PREFIX):
            return None  # a secret of another store
        tail = secret_id.removeprefix(ARN_PREFIX)
        whole = self._entries.get(tail.rpartition("-")[0])
        return whole if whole is not None and whole.arn == secret_id else self._entries.get(tail)

    def _there(self, secret_id: str) -> _Entry:
        entry = self._find(SecretId(secret_id))
        if entry is None:
            raise _refusal(
                SecretNotFound, f"there is no secret {secret_id} in the fake store; list shows those there are"
            )
        return entry

    def _live(self, secret_id: str) -> _Entry:
        entry = self._there(secret_id)
        if entry.deletion_date is not None:
            raise _refusal(
                SecretDeleted,
                f"secret {entry.name} is scheduled for deletion on {entry.deletion_date:%Y-%m-%d %H:%M} UTC; "
                "restore it first",
            )
        return entry


def _refusal(kind: type[StoreError], text: str) -> StoreError:
    return kind(text, aws_code=_AWS_CODES[kind], status=400)
