"""The dynamic supervisor: its children are started by request, many of one kind, in no order (OTP:
simple_one_for_one).

Rule 1: a child is known by its pid. A permanent child, and a transient one that crashed, is started again as a new
        process with a new pid; a temporary one is forgotten.
Rule 2: a child whose restart failed is kept, as restarting, under the last pid that it had. Terminating that pid ends
        the tries. Each try is a message of the supervisor to itself, as in supervisor.py, so that requests that are
        already in the mailbox come first.
Rule 3: all children are shut down at the same time: that takes as long as the slowest one.
Rule 4: with *initial*, a record outside of the supervisor says which children there are to be, and a supervisor that
        was restarted starts them again. A child that fails to start because there is no thread is then started as soon
        as there is one, whether it was among the first or asked for later: nobody else would do it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from random import random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.otp import strategy
from secrets_actor.otp.callback_timeout import CallbackOverdue
from secrets_actor.otp.child_lifecycle import check_timers, send_later, start_child, stop_children
from secrets_actor.otp.child_spec import AutoShutdown, ChildSpec, Flags, check_child, check_children, check_flags
from secrets_actor.otp.child_table import Child, State
from secrets_actor.otp.errors import ChildError, NameTaken, StartError
from secrets_actor.otp.events import ChildRestarted, ChildStartFailed, SupervisorGaveUp, SupervisorShutDown
from secrets_actor.otp.gen_server import GenServer, Handled, NoReply, Reply, Stop
from secrets_actor.otp.pid import ExitSignal, Pid
from secrets_actor.otp.reasons import SHUTDOWN, ExitReason, GaveUp, Stopped, lacks_thread
from secrets_actor.otp.reply import From
from secrets_actor.otp.strategy import RestartWindow
from secrets_actor.otp.supervisor_requests import (
    CountChildren,
    Counts,
    DeleteChild,
    GetChildSpec,
    Published,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
    count,
)


class TerminatePid(Struct, frozen=True):
    """Call or cast: stop this child for good. A call raises `ChildError` (not_found) for a live process that is no
    child of this supervisor; for one that has ended it does nothing, since that may have been a child."""

    pid: Pid


class _TryAgain(Struct, frozen=True):
    pid: Pid
    reason: ExitReason
    counts: bool = True


class _StartLater(Struct, frozen=True):
    spec: ChildSpec
    tries: int


class _Rows:
    """A view of the children that any thread may read while their supervisor changes them. A copy after each change
    would make each start cost more, the more children there are."""

    __slots__ = ("_children",)

    def __init__(self, children: dict[Pid, Child]) -> None:
        self._children = children

    @property
    def rows(self) -> tuple[Child, ...]:
        while True:
            try:
                return tuple(self._children.values())
            except RuntimeError:  # the dictionary changed its size while it was read
                continue

    def by_pid(self, pid: Pid) -> Child | None:
        return self._children.get(pid)


class DynamicSupervisor(GenServer):
    """A supervisor that starts children on request (`StartChild`), at most *max_children* (None: any number); beyond
    that a request raises `ChildError` (max_children).

    *flags* give intensity, period and auto_shutdown (all_significant: when the last child is gone); the strategy is
    always one_for_one. *template* is given if all children have one spec: it is checked before the supervisor starts,
    and it is the one spec that `CountChildren` and `GetChildSpec` know. *initial* returns the specs of the children
    that the supervisor starts with, before it handles any message; one that cannot be started is left out, unless only
    a thread was wanting: then it is started later.
    """

    trap_exit = True
    may_wait = False

    def __init__(
        self,
        flags: Flags,
        max_children: int | None = None,
        template: ChildSpec | None = None,
        initial: Callable[[], Iterable[ChildSpec]] | None = None,
    ) -> None:
        self.flags = check_flags(flags)
        self._template = None if template is None else check_children([template], flags.auto_shutdown)[0]
        self._max_children, self._initial = max_children, initial
        self._children: dict[Pid, Child] = {}  # changed only by the process itself; `_Crowd` shows it to all threads
        self._window = RestartWindow(flags.intensity, flags.period)
        self._threadless: dict[Pid, int] = {}  # by pid, how many tries in a row failed because there was no thread

    def init(self) -> None:
        """Check the template, publish that there are no children yet, and start the initial ones."""
        if self._template is not None:
            check_timers(self.node, self._template)
        self._publish()
        for spec in () if self._initial is None else self._initial():
            self._try_start(spec)

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """Answer a request to the supervisor; see the classes of the requests. Those that name a child by its id raise
        `ChildError` (simple_one_for_one)."""
        try:
            match request:
                case WhichChildren():
                    return Reply(tuple(self._children.values()))
                case CountChildren():
                    return Reply(self._counts())
                case StartChild(spec):
                    return Reply(self._start_new(spec))
                case TerminatePid(pid):
                    self._terminate(pid)
                    return Reply(None)
                case GetChildSpec(child):
                    return Reply(self._spec(child))
                case TerminateChild(child) | RestartChild(child) | DeleteChild(child):
                    raise ChildError(child, "simple_one_for_one")
        except (ChildError, StartError, ValueError) as error:
            caller.fail(error)
            return NoReply()
        return super().handle_call(request, caller)

    def handle_cast(self, message: Any) -> Handled:
        """Carry out a `TerminatePid`; nothing happens if the pid is no child."""
        if isinstance(message, TerminatePid):
            if message.pid in self._children:
                self._terminate(message.pid)
            return None
        return super().handle_cast(message)

    def handle_info(self, message: Any) -> Handled:
        """React to a child that has ended, to one whose callback may take too long, or to a restart that is due."""
        if isinstance(message, ExitSignal):
            pid = message.sender
            if pid is not None and pid in self._children and self._children[pid].pid is pid:
                return self._child_ended(pid, self._children[pid], message.reason)
        elif isinstance(message, CallbackOverdue):
            message.watch.check()
        elif isinstance(message, _TryAgain) and message.pid in self._children:
            return self._restart(message.pid, self._children[message.pid], message.reason, counts=message.counts)
        elif isinstance(message, _StartLater):
            self._try_start(message.spec, message.tries)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Stop all children at the same time."""
        stop_children(self.me, [(row.pid, row.spec) for row in self._children.values() if row.pid is not None])
        self._children.clear()

    def _try_start(self, spec: ChildSpec, tries: int = 0) -> None:
        """Start a child of *initial*, or drop the error: nobody waits for an answer."""
        with contextlib.suppress(ChildError, StartError, ValueError):
            self._start_new(spec, tries)

    def _start_new(self, spec: ChildSpec, tries: int = 0) -> Pid | None:
        try:
            return self._start(Child(check_child(spec, self.flags.auto_shutdown)))
        except StartError as error:
            if self._initial is not None and lacks_thread(error.reason):
                delay = strategy.NO_THREAD_WAITS.delay(tries + 1, random())  # noqa: S311
                send_later(self.me, delay, _StartLater(spec, tries + 1))
            raise

    def _start(self, child: Child) -> Pid | None:
        if self._max_children is not None and len(self._children) >= self._max_children:
            raise ChildError(child.spec.id, "max_children")
        try:
            pid = start_child(self.node, child.spec)
        except NameTaken as error:
            raise StartError(Stopped(str(error))) from None
        if pid is not None:
            self._children[pid] = Child(child.spec, pid, child.restarts, child.tries)
        return pid

    def _child_ended(self, pid: Pid, child: Child, reason: ExitReason) -> Handled:
        if strategy.wants_restart(child.spec, reason):
            if self._postpone(pid, child, self.node.clock.now() - pid.started_at, reason):
                return None
            return self._restart(pid, child, reason)
        self._forget(pid)
        return Stop(SHUTDOWN) if self._ends_with(child, reason) else None

    def _ends_with(self, child: Child, reason: ExitReason) -> bool:
        """Whether the supervisor ends because *child*, a significant one, has ended for good: with the first such
        child, or with the last child of all, as `auto_shutdown` says."""
        kind = self.flags.auto_shutdown
        if not child.spec.significant or kind == AutoShutdown.NEVER:
            return False
        gone = kind == AutoShutdown.ANY_SIGNIFICANT or not self._children
        if gone:
            self.node.observe(SupervisorShutDown(self.me.label, child.spec.id, str(reason)))
        return gone

    def _restart(self, pid: Pid, child: Child, reason: ExitReason, *, counts: bool = True) -> Handled:
        if counts:
            self._window = self._window.record(self.node.clock.now())
            self._publish()
        flags, spec = self.flags, child.spec
        tries = self._threadless.get(pid, 0)
        self._forget(pid)
        if counts and self._window.exceeded:
            self.node.observe(SupervisorGaveUp(self.me.label, spec.id, str(reason), flags.intensity, flags.period))
            return Stop(GaveUp(spec.id, reason, flags.intensity, flags.period))
        child = Child(spec, State.RESTARTING, child.restarts + 1, child.tries)
        try:
            self._start(child)
        except StartError as error:
            self.node.observe(ChildStartFailed(self.me.label, spec.id, str(error.reason)))
            self._children[pid] = child
            if lacks_thread(error.reason):
                tries = self._threadless[pid] = tries + 1
                delay = strategy.NO_THREAD_WAITS.delay(tries, random())  # noqa: S311
                send_later(self.me, delay, _TryAgain(pid, reason, counts=False))
            elif not self._postpone(pid, child, 0.0, reason):
                self.me.post(_TryAgain(pid, reason))
        else:
            recent = len(self._window.times)
            self.node.observe(ChildRestarted(self.me.label, spec.id, str(reason), recent, child.restarts))
        return None

    def _postpone(self, pid: Pid, child: Child, ran: float, reason: ExitReason) -> bool:
        plan = strategy.postpone(child, ran, random())  # noqa: S311
        if plan is None:
            return False
        tries, delay = plan
        self._children[pid] = replace(child, process=State.RESTARTING, tries=tries)
        self.send_after(delay, _TryAgain(pid, reason))
        return True

    def _terminate(self, pid: Pid) -> None:
        child = self._children.get(pid)
        if child is None:
            if pid.is_alive():
                raise ChildError(pid.label, "not_found")
            return
        if child.pid is not None:
            stop_children(self.me, [(pid, child.spec)])
        self._forget(pid)

    def _spec(self, child: str | Pid) -> ChildSpec:
        if isinstance(child, Pid):
            if child in self._children:
                return self._children[child].spec
            known = not child.is_alive()  # a dead process may have been a child: taken for one, as by TerminatePid
        else:
            known = self._template is not None and child == self._template.id
        if self._template is None or not known:
            raise ChildError(str(child), "not_found")
        return self._template

    def _forget(self, pid: Pid) -> None:
        del self._children[pid]
        self._threadless.pop(pid, None)

    def _counts(self) -> Counts:
        counts = count(self._children.values())
        return counts if self._template is None else replace(counts, specs=1)

    def _publish(self) -> None:
        self.me.published = Published("dynamic", _Rows(self._children), self._window)
