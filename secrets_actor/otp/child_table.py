"""The children of one supervisor, in start order. PURE: every change yields a new table."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp.child_spec import ChildSpec, Restart

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class State(Enum):
    """What a child without a live process is."""

    STOPPED = "stopped"
    RESTARTING = "restarting"


class Child(Struct, frozen=True):
    """One row: the spec, its process or what it is instead, and how often it was restarted."""

    spec: ChildSpec
    process: Pid | State = State.STOPPED
    restarts: int = 0
    tries: int = 0  # restarts in a row without a stable time; only counted with a backoff

    @property
    def pid(self) -> Pid | None:
        """Its process, if it has one."""
        return None if isinstance(self.process, State) else self.process


class ChildTable(Struct, frozen=True):
    """Rows in start order."""

    rows: tuple[Child, ...] = ()

    def get(self, child: str) -> Child | None:
        """The row with this id."""
        for row in self.rows:  # no generator: every start and stop looks
            if row.spec.id == child:
                return row
        return None

    def by_pid(self, pid: object) -> Child | None:
        """The row of this process."""
        return next((row for row in self.rows if row.process is pid), None)

    def with_process(self, child: str, process: Pid | State) -> ChildTable:
        """With another process for this id."""
        return self._changed(child, lambda row: Child(row.spec, process, row.restarts, row.tries))

    def counted(self, child: str) -> ChildTable:
        """With one more restart on the record of this id."""
        return self._changed(child, lambda row: replace(row, restarts=row.restarts + 1))

    def postponed(self, child: str, tries: int) -> ChildTable:
        """With this id waiting for its next start."""
        return self._changed(child, lambda row: replace(row, process=State.RESTARTING, tries=tries))

    def _changed(self, child: str, change: Callable[[Child], Child]) -> ChildTable:
        rows = self.rows
        for index, row in enumerate(rows):
            if row.spec.id == child:
                return ChildTable((*rows[:index], change(row), *rows[index + 1 :]))
        return self

    def appended(self, row: Child) -> ChildTable:
        """With a new last row."""
        return ChildTable((*self.rows, row))

    def without(self, child: str) -> ChildTable:
        """Without this id."""
        return ChildTable(tuple(row for row in self.rows if row.spec.id != child))

    def stopped(self, child: str) -> ChildTable:
        """With this id stopped: a temporary child is forgotten, any other keeps its spec."""
        row = self.get(child)
        if row is not None and row.spec.restart is Restart.TEMPORARY:
            return self.without(child)
        return self.with_process(child, State.STOPPED)

    def following(self, child: str) -> tuple[Child, ...]:
        """This row and those after it."""
        index = next((i for i, row in enumerate(self.rows) if row.spec.id == child), len(self.rows))
        return self.rows[index:]
