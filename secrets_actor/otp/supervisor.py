"""The supervisor: a gen_server that starts, watches, restarts and stops its children.

Rule 1: every restart decision is made in strategy.py; this file only carries plans out.
Rule 2: children are started in the order of their specs and stopped in the reverse order, one at a time, whatever the
        strategy.
Rule 3: an exit signal of a process that is not in the table belongs to an earlier incarnation of a child, or to a child
        that was stopped on purpose. It is dropped.
Rule 4: a start that fails during a restart is tried again by a message of the supervisor to itself, so that a shutdown
        or a request that is already in the mailbox comes first. Each try counts as a restart.
Rule 5: a restart with a backoff is the same message, delayed. Meanwhile the child is restarting, and the others run on.
        A message for an earlier wait of the same child is dropped.
Rule 6: the table is published after every change, so that a picture of the tree never waits for a busy supervisor.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import random
from typing import Any

from msgspec import Struct

from secrets_actor.otp import strategy
from secrets_actor.otp.callback_timeout import CallbackOverdue
from secrets_actor.otp.child_lifecycle import send_later, start_child, stop_children
from secrets_actor.otp.child_spec import ChildSpec, Flags, Kind, Restart, check_child, check_children, check_flags
from secrets_actor.otp.child_table import Child, ChildTable, State
from secrets_actor.otp.errors import ChildError, InvalidTree, NameTaken, StartError
from secrets_actor.otp.events import ChildRestarted, ChildStartFailed, SupervisorGaveUp, SupervisorShutDown
from secrets_actor.otp.gen_server import GenServer, Handled, InitResult, NoReply, Ok, Reply, Stop
from secrets_actor.otp.pid import ExitSignal, Pid
from secrets_actor.otp.reasons import SHUTDOWN, ExitReason, FailedToStart, GaveUp, Shutdown, Stopped, lacks_thread
from secrets_actor.otp.reply import From
from secrets_actor.otp.strategy import RestartWindow
from secrets_actor.otp.supervisor_requests import (
    CountChildren,
    DeleteChild,
    GetChildSpec,
    Published,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
    count,
)


class _TryAgain(Struct, frozen=True):
    child: str
    reason: ExitReason  # why it ended, or why the try before this one failed
    wait: object = None
    counts: bool = True


class Supervisor(GenServer):
    """A supervisor that runs *children* under *flags*. Raises `InvalidTree` if a spec or a flag is wrong: all of them
    are checked here, before the first child starts.

    *keeps_trying*: a child with a backoff that cannot be started at first is tried again after its wait, as it would be
    later. Otherwise the supervisor itself fails to start, as in OTP.
    """

    trap_exit = True
    may_wait = False

    def __init__(self, flags: Flags, children: Iterable[ChildSpec], *, keeps_trying: bool = False) -> None:
        self.flags = check_flags(flags)
        self._specs = check_children(children, flags.auto_shutdown)
        self._keeps_trying = keeps_trying
        self._table = ChildTable()
        self._window = RestartWindow(flags.intensity, flags.period)
        self._waits: dict[str, object] = {}  # by child, a token for the wait before its next start: rule 5
        self._threadless: dict[str, int] = {}  # by child, how many tries in a row failed for want of a thread

    # --- callbacks ------------------------------------------------------------------------------------------------

    def init(self) -> InitResult:
        """Start all children. If one fails, stop those before it and fail with `FailedToStart`, unless the supervisor
        keeps trying."""
        for spec in self._specs:
            try:
                self._append(spec)
            except StartError as error:
                if self._keeps_trying and spec.backoff is not None:
                    self._start_later(spec, error.reason)
                    continue
                self._stop_all()
                return Stop(Shutdown(FailedToStart(spec.id, error.reason)))
            except InvalidTree:
                self._stop_all()
                raise
        return Ok()

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """Answer a request to the supervisor; see the classes of the requests."""
        try:
            match request:
                case WhichChildren():
                    return Reply(self._table.rows)
                case CountChildren():
                    return Reply(count(self._table.rows))
                case GetChildSpec(child):
                    return Reply(self._row(str(child)).spec)
                case StartChild(spec):
                    return Reply(self._add(check_child(spec, self.flags.auto_shutdown)))
                case TerminateChild(child):
                    self._stop((self._row(child).spec.id,))
                    return Reply(None)
                case RestartChild(child):
                    return Reply(self._start(self._stopped_row(child).spec))
                case DeleteChild(child):
                    self._set(self._table.without(self._stopped_row(child).spec.id))
                    return Reply(None)
        except (ChildError, StartError, ValueError) as error:
            caller.fail(error)
            return NoReply()
        return super().handle_call(request, caller)

    def handle_info(self, message: Any) -> Handled:
        """React to a child that has ended, to one whose callback may take too long, or to a restart that is due."""
        if isinstance(message, ExitSignal):
            row = self._table.by_pid(message.sender)
            if row is not None:
                return self._child_ended(row, message.reason)
        elif isinstance(message, CallbackOverdue):
            message.watch.check()
        elif isinstance(message, _TryAgain):
            row = self._table.get(message.child)
            wait = self._waits.get(message.child)
            if row is not None and row.process is State.RESTARTING and message.wait is wait:
                self._waits.pop(message.child, None)
                now, counts = self.node.clock.now(), message.counts
                plan = strategy.restart(self._table, row, self.flags.strategy, self._window, now, counts=counts)
                return self._carry_out(plan, row, message.reason)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Stop all children, the last one first."""
        self._stop_all()

    # --- carrying plans out ---------------------------------------------------------------------------------------

    def _child_ended(self, row: Child, reason: ExitReason) -> Handled:
        child = row.spec.id
        flags, now = self.flags, self.node.clock.now()
        if strategy.wants_restart(row.spec, reason) and self._postpone(row, now, reason):
            return None
        plan = strategy.on_end(self._table, row, reason, flags.strategy, self._window, now, flags.auto_shutdown)
        if plan.start or plan.give_up:
            self._set(self._table.with_process(child, State.RESTARTING))
        else:
            self._set(self._table.stopped(child))
        return self._carry_out(plan, row, reason)

    def _carry_out(self, plan: strategy.RestartPlan, row: Child, reason: ExitReason) -> Handled:
        child = row.spec.id
        self._window = plan.window
        if plan.give_up:
            flags = self.flags
            self.node.observe(SupervisorGaveUp(self.me.label, child, str(reason), flags.intensity, flags.period))
            return Stop(GaveUp(child, reason, flags.intensity, flags.period))
        if plan.shut_down:
            self.node.observe(SupervisorShutDown(self.me.label, child, str(reason)))
            return Stop(SHUTDOWN)
        if not plan.start:
            return None
        self._stop(plan.stop)
        self._set(self._table.counted(child))
        for each in plan.start:
            starting = self._table.get(each)
            if starting is None:
                continue
            try:
                self._start(starting.spec)
            except StartError as error:
                self.node.observe(ChildStartFailed(self.me.label, each, str(error.reason)))
                # From here on *each* is the one that is tried again, and *child* counts as stopped until that try
                # restarts their group.
                if each != child and self._row(child).pid is None:
                    self._set(self._table.with_process(child, State.STOPPED))
                if lacks_thread(error.reason):
                    self._await_thread(each, error.reason)
                elif not self._postpone(starting, None, error.reason):
                    self._set(self._table.with_process(each, State.RESTARTING))
                    self.me.post(_TryAgain(each, error.reason))
                return None
        total = next((r.restarts for r in self._table.rows if r.spec.id == child), 0)
        self.node.observe(ChildRestarted(self.me.label, child, str(reason), len(plan.window.times), total))
        return None

    def _start_later(self, spec: ChildSpec, reason: ExitReason) -> None:
        self.node.observe(ChildStartFailed(self.me.label, spec.id, str(reason)))
        child = Child(spec, State.RESTARTING)
        self._set(self._table.appended(child))
        if lacks_thread(reason):
            self._await_thread(spec.id, reason)
        else:
            self._postpone(child, None, reason)

    def _postpone(self, row: Child, now: float | None, reason: ExitReason) -> bool:
        """Delay the restart of *row*, whose process ended for *reason* at *now*, or could not be started (None). Return
        False if it has no backoff."""
        ran = 0.0 if now is None or row.pid is None else now - row.pid.started_at
        plan = strategy.postpone(row, ran, random())  # noqa: S311
        if plan is None:
            return False
        tries, delay = plan
        child = row.spec.id
        self._waits[child] = wait = object()
        self._set(self._table.postponed(child, tries))
        self.send_after(delay, _TryAgain(child, reason, wait))
        return True

    def _await_thread(self, child: str, reason: ExitReason) -> None:
        tries = self._threadless[child] = self._threadless.get(child, 0) + 1
        self._waits[child] = wait = object()
        self._set(self._table.with_process(child, State.RESTARTING))
        delay = strategy.NO_THREAD_WAITS.delay(tries, random())  # noqa: S311
        send_later(self.me, delay, _TryAgain(child, reason, wait, counts=False))

    def _start(self, spec: ChildSpec) -> Pid | None:
        """Start a child that is in the table, and return its pid; None if its init returned `Ignore`. Raises
        `StartError`, also when its name is taken."""
        try:
            pid = start_child(self.node, spec)
        except NameTaken as error:
            raise StartError(Stopped(str(error))) from None
        self._threadless.pop(spec.id, None)
        self._set(self._table.with_process(spec.id, pid if pid is not None else State.STOPPED))
        return pid

    def _append(self, spec: ChildSpec) -> Pid | None:
        self._set(self._table.appended(Child(spec)))
        try:
            pid = self._start(spec)
        except StartError:
            self._set(self._table.without(spec.id))
            raise
        if pid is None and spec.restart is Restart.TEMPORARY:
            self._set(self._table.without(spec.id))
        return pid

    def _add(self, spec: ChildSpec) -> Pid | None:
        present = self._table.get(spec.id)
        if present is not None:
            raise ChildError(spec.id, "already_present" if present.pid is None else "already_started", present.pid)
        return self._append(spec)

    def _row(self, child: str) -> Child:
        row = self._table.get(child)
        if row is None:
            raise ChildError(child, "not_found")
        return row

    def _stopped_row(self, child: str) -> Child:
        row = self._row(child)
        if row.process is not State.STOPPED:
            raise ChildError(child, "running" if row.pid is not None else "restarting")
        return row

    def _stop(self, children: Iterable[str]) -> None:
        for child in children:
            row = self._table.get(child)
            if row is None:
                continue
            if row.pid is not None:
                stop_children(self.me, [(row.pid, row.spec)])
            self._set(self._table.stopped(child))

    def _stop_all(self) -> None:
        self._stop([row.spec.id for row in reversed(self._table.rows)])

    def _set(self, table: ChildTable) -> None:
        self._table = table
        self.me.published = Published(self.flags.strategy, table, self._window)


def supervisor_spec(
    child: str,
    flags: Flags,
    children: Iterable[ChildSpec],
    *,
    restart: Restart = Restart.PERMANENT,
    name: str | None = None,
) -> ChildSpec:
    """Return the spec of a supervisor that is to be the child of another."""
    specs = tuple(children)
    return ChildSpec(child, lambda: Supervisor(flags, specs), restart=restart, kind=Kind.SUPERVISOR, name=name)
