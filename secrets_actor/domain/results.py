"""What is known of secrets but their values, and what administration answers. Times are UTC. PURE.

Sources of the limits checked here: AWS's service model of Secrets Manager, version 2017-10-17.
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
    """Whether it has the shape of a region's name, such as eu-central-1."""
    return isinstance(region, str) and len(region) <= MAX_REGION_LENGTH and _REGION.fullmatch(region) is not None


class SecretBatch(SelectiveStruct, frozen=True):
    """Many secrets at once, under the ids by which they were asked for: those that were `found`, and for each other one
    the error that a get of it would have raised."""

    UNHASHED: ClassVar = frozenset({"found", "errors"})

    found: Mapping[str, Secret]
    errors: Mapping[str, SecretsError]


class RotationRules(Struct, frozen=True):
    """When AWS rotates: every *after_days* (1 to 1,000), or by a *schedule* such as `rate(10 days)` or a cron
    expression; within a window of *duration*, such as `3h`. What AWS tells may have both: the days until the next."""

    after_days: int | None = None
    schedule: str | None = None
    duration: str | None = None


class ReplicaRegion(Struct, frozen=True):
    """Where a copy goes, and the KMS key for it there (None: AWS's own)."""

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
        """*region* itself, or made of its name."""
        return region if isinstance(region, cls) else cls(str(region))


class Replica(Struct, frozen=True):
    """A copy in another region. `status`: InSync, InProgress or Failed, and `message` why. `accessed_at` is the day
    (UTC) on which its value was last read in that region."""

    region: str
    status: str | None = None
    message: str | None = None
    kms_key_id: str | None = None
    accessed_at: datetime | None = None


class SecretDescription(SelectiveStruct, frozen=True):
    """A secret without its values. `versions` has the stages of each version id that has any. Times are UTC.

    `changed_at` is its last change of any kind; `accessed_at` the day on which a value was last read in this region,
    None if none ever was. `deleted_at` is set while the secret is scheduled for deletion: when its delete was asked for
    (when it is gone for good is in the delete's receipt: AWS tells it there alone). `rotated_at` is its last rotation
    that succeeded; `next_rotation_at` is by when the next one is due: the latest moment, and a past one where rotation
    fails. Without rotation, or while it is off, both are None; the rules and the function stay those it had.

    `kms_key_id` is None for AWS's own key. `type` names the partner that holds an external secret; how that is rotated
    is in the two members after it.
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

    @property
    def is_replica(self) -> bool:
        """Whether this is a copy of a secret in another region, where alone it can be written."""
        return self.primary_region is not None and self.arn.split(":")[3:4] != [self.primary_region]


class SecretPage(Struct, frozen=True):
    """One page of a list. `next_token` is None on the last; a page may be empty and not the last."""

    secrets: tuple[SecretDescription, ...]
    next_token: str | None = None


class VersionInfo(Struct, frozen=True):
    """One version of a secret. `accessed_at` is the day (UTC) on which it was last read, None if it never was."""

    version_id: str
    stages: tuple[str, ...] = ()
    created_at: datetime | None = None
    accessed_at: datetime | None = None
    kms_key_ids: tuple[str, ...] = ()


class VersionPage(Struct, frozen=True):
    """One page of the versions of a secret. `next_token` is None on the last."""

    name: str
    arn: str
    versions: tuple[VersionInfo, ...]
    next_token: str | None = None


class NamedReceipt(Struct, frozen=True):
    """It took effect on this secret."""

    name: str
    arn: str


class VersionReceipt(Struct, frozen=True):
    """A version was added, with these stages."""

    name: str
    arn: str
    version_id: str
    stages: tuple[str, ...] = ()


class UpdateReceipt(Struct, frozen=True):
    """An update took effect. `version_id` is that of the new version, None when the value stayed."""

    name: str
    arn: str
    version_id: str | None = None


class RotationReceipt(Struct, frozen=True):
    """A rotation has begun, or was called off. `version_id` is that of the version it is about, if there is one."""

    name: str
    arn: str
    version_id: str | None = None


class ReplicationReceipt(Struct, frozen=True):
    """What is known of the copies after the change."""

    arn: str
    replicas: tuple[Replica, ...] = ()


class ResourcePolicy(SelectiveStruct, frozen=True):
    """Who else may use the secret: a JSON document, None when there is none. Not in the repr."""

    HIDDEN: ClassVar = frozenset({"policy"})

    name: str
    arn: str
    policy: str | None = None


class PolicyFinding(SelectiveStruct, frozen=True):
    """What AWS minds about a policy: the check that failed, and why. The reason may quote the policy."""

    HIDDEN: ClassVar = frozenset({"reason"})

    check: str
    reason: str


class PolicyVerdict(Struct, frozen=True):
    """Whether AWS would take a policy, and what it minds."""

    passed: bool
    findings: tuple[PolicyFinding, ...] = ()
