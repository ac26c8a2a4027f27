"""Reading values."""

from collections.abc import Iterable
from typing import ClassVar, Final

from secrets_actor.domain.descriptions import SecretBatch
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import SecretId, plain
from secrets_actor.domain.operations.base import AWSCURRENT, Operation, assign
from secrets_actor.domain.operations.checks import check_seconds, check_secret_id, check_stage, check_token
from secrets_actor.domain.secret import Secret
from secrets_actor.records import dataclass, replace

# AWS's service model, BatchGetSecretValue `SecretIdList`.
BATCH_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class Get(Operation[Secret]):
    """Read one version of a secret: AWSCURRENT unless *version_id* or *stage* says otherwise.

    *refresh* asks the store even when the cache could answer; *max_age* (seconds) does, when what the cache has is
    older. *allow_stale*: whether a value past its TTL will do when the store cannot answer (None: unless *refresh*).
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

    @property
    def version(self) -> tuple[str | None, str | None]:
        """(version id, stage) as the cache and the flights tell versions apart."""
        return self.version_id, self.stage or (AWSCURRENT if self.version_id is None else None)

    def refreshed(self) -> "Get":
        """The same, asked of the store."""
        return replace(self, refresh=True, max_age=None)

    @property
    def takes_stale(self) -> bool:
        """Whether a value past its TTL will do."""
        return not self.refresh if self.allow_stale is None else self.allow_stale


@dataclass(frozen=True, slots=True, init=False)
class GetMany(Operation[SecretBatch]):
    """Read the AWSCURRENT versions of several secrets, 20 a call. What cannot be read is told for each of them.

    It does not wait for writes to these secrets that are still under way, as a `Get` does.
    """

    kind: ClassVar[str] = "get_many"
    secret_ids: tuple[SecretId, ...]

    def __init__(self, secret_ids: Iterable[str]) -> None:
        assign(self, secret_ids=())
        if isinstance(secret_ids, str):
            raise InvalidParameter("secret_ids", "a list of names, not one text")
        found = tuple(dict.fromkeys(SecretId(one) for one in secret_ids))
        if not found:
            raise InvalidParameter("secret_ids", "one name at least")
        assign(self, secret_ids=found)
