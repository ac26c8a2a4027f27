"""The versions of a secret, and the labels on them."""

from typing import ClassVar

from secrets_actor.domain.descriptions import NamedReceipt, VersionPage
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations.base import Operation
from secrets_actor.domain.operations.checks import check_page, check_secret_id, check_stage, check_token
from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True)
class ListVersions(Operation[VersionPage]):
    """One page of the versions of a secret; with *include_deprecated* those without a label, too."""

    kind: ClassVar[str] = "list_versions"
    secret_id: str
    include_deprecated: bool = False
    page_size: int = 100
    next_token: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_page(self.page_size, self.next_token)


@dataclass(frozen=True, slots=True)
class MoveStage(Operation[NamedReceipt]):
    """Put the label *stage* on the version *to*, taking it off the version *remove_from*; either may be left out."""

    kind: ClassVar[str] = "move_stage"
    writes: ClassVar[bool] = True
    secret_id: str
    stage: str
    to: str | None = None
    remove_from: str | None = None

    def __post_init__(self) -> None:
        check_secret_id(self)
        check_stage("stage", self.stage)
        if self.to is not None:
            check_token("to", self.to)
        if self.remove_from is not None:
            check_token("remove_from", self.remove_from)
        if self.to is None and self.remove_from is None:
            raise InvalidParameter("to", "a version to move the stage to, or one to remove_from")
