"""The answers of operations that return no secret value: descriptions, receipts, policies. Times are UTC. PURE.

Source of the limits checked here: AWS's service model of Secrets Manager, version 2017-10-17.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Final

from msgspec import Struct, field

from secrets_actor.domain.errors import InvalidParameter, SecretsError
from secrets_actor.domain.secret import Secret
from secrets_actor.structs import SelectiveStruct

_REGION: Final = re.compile(r"([a-z]+-)+\d+")
MAX_REGION_LENGTH: Final = 128
MAX_KMS_KEY_LENGTH: Final = 2048


def is_region(region: object) -> bool:
    """Whether *region* has the shape of a region's name, such as eu-central-1. It need not exist."""
    return isinstance(region, str) and len(region) <= MAX_REGION_LENGTH and _REGION.fullmatch(region) is not None


class SecretBatch(SelectiveStruct, frozen=True):
    """The answer to a get of many secrets: `found` has the secrets, `errors` the error for each that could not be read.

    Both are keyed by the ids that were asked for. An error is what a get of that one secret would have raised.
    """

    UNHASHED: ClassVar = frozenset({"found", "errors"})

    found: Mapping[str, Secret]
    errors: Mapping[str, SecretsError]


class CurrentVersion(Struct, frozen=True):
    """Which version of a secret is the AWSCURRENT one."""

    name: str
    arn: str
    version_id: str


class VersionBatch(SelectiveStruct, frozen=True):
    """The answer to a question for the current versions of many secrets: `found` has the versions, `errors` the error
    for each secret whose version could not be told. Both are keyed by the ids that were asked for."""

    UNHASHED: ClassVar = frozenset({"found", "errors"})

    found: Mapping[str, CurrentVersion]
    errors: Mapping[str, SecretsError]


class RotationRules(Struct, frozen=True):
    """When AWS rotates a secret.

    Either every *after_days* days (1 to 1,000), or by a *schedule*, such as `rate(10 days)` or a `cron(...)`
    expression. *duration* is how long the rotation window is, such as `3h`. In an answer of AWS both may be set: then
    *after_days* is the number of days until the next rotation.
    """

    after_days: int | None = None
    schedule: str | None = None
    duration: str | None = None


class ReplicaRegion(Struct, frozen=True):
    """A region that is to get a copy of a secret, and the KMS key for the copy there (None: AWS's own).

    Raises `InvalidParameter`.
    """

    region: str
    kms_key_id: str | None = None

    def __post_init__(self) -> None:
        if not is_region(self.region):
            raise InvalidParameter("region", "a region such as eu-central-1")
        key = self.kms_key_id
        if key is not None and not (isinstance(key, str) and len(key) <= MAX_KMS_KEY_LENGTH):
            raise InvalidParameter("kms_key_id", f"{MAX_KMS_KEY_LENGTH:,} characters at most")

    @classmethod
    def of(cls, region: "ReplicaRegion | str") -> "ReplicaRegion":
        """Return *region* itself, or the `ReplicaRegion` of that name. Raises `InvalidParameter`."""
        return region if isinstance(region, cls) else cls(str(region))


class Replica(Struct, frozen=True):
    """A copy of a secret in another region.

    `status` is InSync, InProgress or Failed, and `message` says why. `accessed_at` is the day (UTC) on which its value
    was last read in that region.
    """

    region: str
    status: str | None = None
    message: str | None = None
    kms_key_id: str | None = None
    accessed_at: datetime | None = None


class LinkedSecret(Struct, frozen=True):
    """A secret in another account, which a secret is replicated to or from.

    `status` is InSync, InProgress, Failed, Pending or Detached, and `message` says why. `role_arn` is the IAM role that
    AWS assumes to replicate (None: the credentials of whoever writes the primary secret).
    """

    arn: str
    status: str | None = None
    message: str | None = None
    role_arn: str | None = None


class SecretDescription(SelectiveStruct, frozen=True, gc=False):  # gc: as in semantics/entry.py, rule 1
    """All that the store knows of a secret, except its values. Times are UTC; a fact that the store does not have is
    None.

    `versions` maps the id of each version that has a stage to its stages. `changed_at` is the last change of any kind.
    `accessed_at` is the day on which a value was last read in this region, None if none ever was.

    `deleted_at` is set while the secret is scheduled for deletion: it is when the deletion was asked for. When the
    secret will be gone for good is in `DeleteReceipt` only, because AWS says it only there.

    `rotated_at` is the last rotation that succeeded. `next_rotation_at` is the latest moment at which the next one is
    due; it lies in the past if rotation fails. Both are None while rotation is off; the rules and the function stay as
    they were.

    `kms_key_id` is None for AWS's own key. `type` names the partner that holds an external secret, and the two
    `external_rotation_...` members say how that one is rotated.

    Do not change its mappings: the local store returns the same description again while the secret stays as it is.

    `account_replicas` are the replicas in other accounts, and `account_primary` is set if this is one itself. AWS says
    both when it describes one secret, and not in lists.
    """

    UNHASHED: ClassVar = frozenset({"tags", "versions", "external_rotation_metadata"})

    name: str
    arn: str
    description: str | None = None
    kms_key_id: str | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    accessed_at: datetime | None = None
    deleted_at: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rotation_enabled: bool = False
    rotation_lambda_arn: str | None = None
    rotation_rules: RotationRules | None = None
    rotated_at: datetime | None = None
    next_rotation_at: datetime | None = None
    owning_service: str | None = None
    primary_region: str | None = None
    replicas: tuple[Replica, ...] = ()
    type: str | None = None
    external_rotation_role_arn: str | None = None
    external_rotation_metadata: Mapping[str, str] = field(default_factory=dict)
    account_replicas: tuple[LinkedSecret, ...] = ()
    account_primary: LinkedSecret | None = None

    @property
    def is_replica(self) -> bool:
        """Whether this is a copy of a secret in another region or account. A copy can only be written through that
        other secret."""
        elsewhere = self.primary_region is not None and self.arn.split(":")[3:4] != [self.primary_region]
        return elsewhere or self.account_primary is not None


class SecretPage(Struct, frozen=True):
    """One page of a list of secrets. `next_token` is None on the last page; a page may be empty without being the
    last."""

    secrets: tuple[SecretDescription, ...]
    next_token: str | None = None


class VersionInfo(Struct, frozen=True):
    """One version of a secret. `accessed_at` is the day (UTC) on which it was last read; None if it never was."""

    version_id: str
    stages: tuple[str, ...] = ()
    created_at: datetime | None = None
    accessed_at: datetime | None = None
    kms_key_ids: tuple[str, ...] = ()


class VersionPage(Struct, frozen=True):
    """One page of the versions of a secret. `next_token` is None on the last page."""

    name: str
    arn: str
    versions: tuple[VersionInfo, ...]
    next_token: str | None = None


class NamedReceipt(Struct, frozen=True):
    """The receipt of an operation that took effect: it names the secret. After a restore, the secret is as it was
    before it was deleted."""

    name: str
    arn: str


class VersionReceipt(Struct, frozen=True):
    """The receipt of a new version, with its stages."""

    name: str
    arn: str
    version_id: str
    stages: tuple[str, ...] = ()


class ChangeReceipt(Struct, frozen=True):
    """The receipt of an update, or of a rotation that has begun or was cancelled.

    `version_id` is the new version's, or that of the version which is being rotated. It is None if there is none, as
    after an update that left the value as it was.
    """

    name: str
    arn: str
    version_id: str | None = None


class ReplicationReceipt(Struct, frozen=True):
    """The copies of a secret after a change, in all regions."""

    arn: str
    replicas: tuple[Replica, ...] = ()


class AccountReplicaReceipt(Struct, frozen=True):
    """A replica in another account that was linked to the secret, or unlinked from it.

    `status` is that of the replication that begins, such as Pending; None after the replica was unlinked.
    """

    arn: str
    replica_arn: str
    status: str | None = None


class ResourcePolicy(SelectiveStruct, frozen=True):
    """The resource policy of a secret: a JSON document, or None if it has none. The repr does not show it."""

    HIDDEN: ClassVar = frozenset({"policy"})

    name: str
    arn: str
    policy: str | None = None


class PolicyPage(Struct, frozen=True):
    """One page of the names of the resource policies of a secret. `next_token` is None on the last page."""

    names: tuple[str, ...]
    next_token: str | None = None


class PolicyFinding(SelectiveStruct, frozen=True):
    """One fault that AWS finds in a policy: the check that failed, and why. The reason may quote the policy."""

    HIDDEN: ClassVar = frozenset({"reason"})

    check: str
    reason: str


class PolicyVerdict(Struct, frozen=True):
    """Whether AWS would accept a policy, and the faults that it finds."""

    passed: bool
    findings: tuple[PolicyFinding, ...] = ()
