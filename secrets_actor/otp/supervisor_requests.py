"""The requests that supervisors answer, and the table of children that they publish for any thread to read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from msgspec import Struct

from secrets_actor.otp.child_spec import ChildSpec, Kind
from secrets_actor.otp.child_table import Child
from secrets_actor.otp.pid import Pid
from secrets_actor.otp.strategy import RestartWindow


class StartChild(Struct, frozen=True):
    """Call: add a child as the last one and start it. Answer: its pid; None if its init returned `Ignore`.

    Raises `ChildError` (already_started, already_present), `StartError`, `InvalidTree`.
    """

    spec: ChildSpec


class TerminateChild(Struct, frozen=True):
    """Call: stop a child without a restart. Its spec stays, unless it is temporary. Raises `ChildError` (not_found)."""

    child: str


class RestartChild(Struct, frozen=True):
    """Call: start a stopped child. Answer: its pid; None if its init returned `Ignore`.

    Raises `ChildError` (not_found, running, restarting), `StartError`.
    """

    child: str


class DeleteChild(Struct, frozen=True):
    """Call: remove a stopped child and its spec. Raises `ChildError` (not_found, running, restarting)."""

    child: str


class WhichChildren(Struct, frozen=True):
    """Call: list the children. Answer: a tuple of `Child`, in start order."""


class CountChildren(Struct, frozen=True):
    """Call: count the children. Answer: `Counts`."""


class GetChildSpec(Struct, frozen=True):
    """Call: look up a child's spec. Answer: its `ChildSpec` with the defaults filled in. Raises `ChildError`
    (not_found).

    A supervisor knows its children by their ids. A dynamic supervisor knows them by their pids, and its template by its
    id.
    """

    child: str | Pid


class Counts(Struct, frozen=True):
    """The numbers of children: all specs, those with a live process, and those of each kind, alive or not."""

    specs: int
    active: int
    supervisors: int
    workers: int


class ChildRows(Protocol):
    """The children of a supervisor, all of them or by process."""

    @property
    def rows(self) -> tuple[Child, ...]:
        """All children, in start order."""

    def by_pid(self, pid: Pid) -> Child | None:
        """Return the child that has this process; None if there is none."""


class Published(Struct, frozen=True):
    """The object that a supervisor publishes. *table* never changes, or it is a view that any thread may read."""

    strategy: str
    table: ChildRows
    window: RestartWindow

    @property
    def children(self) -> tuple[Child, ...]:
        """The children in start order."""
        return self.table.rows


def count(children: Iterable[Child]) -> Counts:
    """Return the counts of *children*."""
    rows = tuple(children)
    return Counts(
        specs=len(rows),
        active=sum(row.pid is not None and row.pid.is_alive() for row in rows),
        supervisors=sum(row.spec.kind == Kind.SUPERVISOR for row in rows),
        workers=sum(row.spec.kind == Kind.WORKER for row in rows),
    )


def restarts_of(pid: Pid) -> int:
    """Return how often the supervisor of *pid* has restarted this child so far; 0 if it has no supervisor."""
    shown = None if pid.parent is None else pid.parent.published
    if not isinstance(shown, Published):
        return 0
    row = shown.table.by_pid(pid)
    if row is not None:
        return row.restarts
    # The process ended before its supervisor entered it into the table: its row still has no process, or the one
    # before.
    mine = [row for row in shown.children if row.spec.id == pid.label]
    return mine[0].restarts if len(mine) == 1 else 0
