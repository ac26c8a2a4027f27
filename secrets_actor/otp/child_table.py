"""The table of one supervisor's children, in start order. PURE: every change yields a new table.

A table is never changed, so that any thread may read the one that a supervisor has published.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp.child_spec import ChildSpec, Restart
from secrets_actor.otp.pid import Pid


class State(Enum):
    """The state of a child that has no live process."""

    STOPPED = "stopped"
    RESTARTING = "restarting"


class Child(Struct, frozen=True):
    """One row: the child's spec, its process or the state it is in without one, and how often it was restarted."""

    spec: ChildSpec
    process: Pid | State = State.STOPPED
    restarts: int = 0
    tries: int = 0  # restarts in a row without a stable run; counted only for a child with a backoff

    @property
    def pid(self) -> Pid | None:
        """The child's process; None if it has none."""
        return None if isinstance(self.process, State) else self.process


class ChildTable(Struct, frozen=True):
    """All rows, in start order."""

    rows: tuple[Child, ...] = ()

    def get(self, child: str) -> Child | None:
        """Return the row with this id; None if there is none."""
        for row in self.rows:  # not `next` over a generator, which is slower: every start and stop comes here
            if row.spec.id == child:
                return row
        return None

    def by_pid(self, pid: object) -> Child | None:
        """Return the row of this process; None if there is none."""
        return next((row for row in self.rows if row.process is pid), None)

    def with_process(self, child: str, process: Pid | State) -> ChildTable:
        """Return a table in which this id has another process or state."""
        return self._changed(child, lambda row: Child(row.spec, process, row.restarts, row.tries))

    def counted(self, child: str) -> ChildTable:
        """Return a table in which this id was restarted once more."""
        return self._changed(child, lambda row: replace(row, restarts=row.restarts + 1))

    def postponed(self, child: str, tries: int) -> ChildTable:
        """Return a table in which this id waits for its next start, after *tries* in a row."""
        return self._changed(child, lambda row: replace(row, process=State.RESTARTING, tries=tries))

    def _changed(self, child: str, change: Callable[[Child], Child]) -> ChildTable:
        rows = self.rows
        for index, row in enumerate(rows):
            if row.spec.id == child:
                return ChildTable((*rows[:index], change(row), *rows[index + 1 :]))
        return self

    def appended(self, row: Child) -> ChildTable:
        """Return a table with *row* as its last one."""
        return ChildTable((*self.rows, row))

    def without(self, child: str) -> ChildTable:
        """Return a table without this id."""
        return ChildTable(tuple(row for row in self.rows if row.spec.id != child))

    def stopped(self, child: str) -> ChildTable:
        """Return a table in which this id is stopped: a temporary child is removed, any other keeps its row."""
        row = self.get(child)
        if row is not None and row.spec.restart is Restart.TEMPORARY:
            return self.without(child)
        return self.with_process(child, State.STOPPED)

    def following(self, child: str) -> tuple[Child, ...]:
        """Return the row of this id and all rows after it; empty if there is no such row."""
        index = next((i for i, row in enumerate(self.rows) if row.spec.id == child), len(self.rows))
        return self.rows[index:]
