"""Copies of a secret in other regions."""

from collections.abc import Iterable
from typing import ClassVar

from secrets_actor.domain.descriptions import ReplicaRegion, ReplicationReceipt
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.names import plain
from secrets_actor.domain.operations.base import Operation, assign
from secrets_actor.domain.operations.checks import check_region, check_secret_id, checked_regions
from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True, init=False)
class Replicate(Operation[ReplicationReceipt]):
    """Copy the secret to *regions*, and keep them alike. *overwrite*: a copy may replace a secret of that name."""

    kind: ClassVar[str] = "replicate"
    writes: ClassVar[bool] = True
    secret_id: str
    regions: tuple[ReplicaRegion, ...]
    overwrite: bool = False

    def __init__(self, secret_id: str, regions: Iterable[ReplicaRegion | str], overwrite: bool = False) -> None:
        assign(self, secret_id=secret_id, regions=(), overwrite=overwrite)
        check_secret_id(self)
        assign(self, regions=checked_regions(regions))
        if not self.regions:
            raise InvalidParameter("regions", "one region at least")


@dataclass(frozen=True, slots=True, init=False)
class RemoveRegions(Operation[ReplicationReceipt]):
    """Remove the copies in *regions*."""

    kind: ClassVar[str] = "remove_regions"
    writes: ClassVar[bool] = True
    secret_id: str
    regions: tuple[str, ...]

    def __init__(self, secret_id: str, regions: Iterable[str]) -> None:
        assign(self, secret_id=secret_id, regions=())
        check_secret_id(self)
        given = () if isinstance(regions, str) else tuple(regions)
        if not given:
            raise InvalidParameter("regions", "a list of one region at least")
        for region in given:
            check_region("regions", region)
        assign(self, regions=tuple(dict.fromkeys(map(plain, given))))


@dataclass(frozen=True, slots=True)
class StopReplication(Operation[ReplicationReceipt]):
    """Make a copy a secret of its own. Asked in the copy's region."""

    kind: ClassVar[str] = "stop_replication"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)
