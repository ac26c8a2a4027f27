"""What supervisors are asked, and what they show of themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from secrets_actor.otp.child_spec import ChildSpec, Kind
from secrets_actor.otp.child_table import Child
from secrets_actor.otp.strategy import RestartWindow

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class StartChild(Struct, frozen=True):
    """Call: add a child as the last one and start it. Answer: its pid, None if it ignored.

    Raises `ChildError` (already_started, already_present), `StartError`, `InvalidTree`.
    """

    spec: ChildSpec


class TerminateChild(Struct, frozen=True):
    """Call: stop a child without a restart; its spec stays, unless it is temporary. Raises `ChildError` (not_found)."""

    child: str


class RestartChild(Struct, frozen=True):
    """Call: start a stopped child. Answer: its pid. Raises `ChildError` (not_found, running, restarting)."""

    child: str


class DeleteChild(Struct, frozen=True):
    """Call: forget a stopped child. Raises `ChildError` (not_found, running, restarting)."""

    child: str


class WhichChildren(Struct, frozen=True):
    """Call: the children in start order, as a tuple of `Child`."""


class CountChildren(Struct, frozen=True):
    """Call: the children as `Counts`."""


class GetChildSpec(Struct, frozen=True):
    """Call: the `ChildSpec` of a child, with its defaults filled in. Raises `ChildError` (not_found).

    A dynamic supervisor knows its children by their pids.
    """

    child: str | Pid


class Counts(Struct, frozen=True):
    """How many children there are: all specs, those with a live process, and by kind, alive or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


class ChildRows(Protocol):
    """Children, all or by process."""

    @property
    def rows(self) -> tuple[Child, ...]:
        """All of them, in start order."""

    def by_pid(self, pid: Pid) -> Child | None:
        """The one of this process."""


class Published(Struct, frozen=True):
    """What a supervisor shows of itself. *table* is never changed, or is a view that any thread may read."""

    strategy: str
    table: ChildRows
    window: RestartWindow

    @property
    def children(self) -> tuple[Child, ...]:
        """The children in start order."""
        return self.table.rows


def count(children: Iterable[Child]) -> Counts:
    """The counts of *children*, each with its spec."""
    rows = tuple(children)
    return Counts(
        specs=len(rows),
        active=sum(row.pid is not None and row.pid.is_alive() for row in rows),
        supervisors=sum(row.spec.kind == Kind.SUPERVISOR for row in rows),
        workers=sum(row.spec.kind == Kind.WORKER for row in rows),
    )


def restarts_of(pid: Pid) -> int:
    """How often the supervisor of *pid* has restarted this child so far; 0 if it has no supervisor."""
    shown = None if pid.parent is None else pid.parent.published
    if not isinstance(shown, Published):
        return 0
    row = shown.table.by_pid(pid)
    if row is not None:
        return row.restarts
    # it ended before its supervisor took note of its start
    mine = [row for row in shown.children if row.spec.id == pid.label]
    return mine[0].restarts if len(mine) == 1 else 0
