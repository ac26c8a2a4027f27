"""Deleting, and calling it off."""

from typing import ClassVar

from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.domain.operations.base import Operation
from secrets_actor.domain.operations.checks import (
    MAX_RECOVERY_WINDOW,
    MIN_RECOVERY_WINDOW,
    check_number,
    check_secret_id,
)
from secrets_actor.domain.secret import DeleteReceipt, RestoreReceipt
from secrets_actor.records import dataclass


@dataclass(frozen=True, slots=True)
class Delete(Operation[DeleteReceipt]):
    """Delete a secret: softly, restorable for *recovery_window* days (7 to 30; None: as configured), or by *force* at
    once and for good."""

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


@dataclass(frozen=True, slots=True)
class Restore(Operation[RestoreReceipt]):
    """Call off a soft delete while its recovery window lasts."""

    kind: ClassVar[str] = "restore"
    writes: ClassVar[bool] = True
    secret_id: str

    def __post_init__(self) -> None:
        check_secret_id(self)
