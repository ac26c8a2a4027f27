"""Children that come and go: many of one kind, started by request, in no order (OTP: simple_one_for_one).

Rule 1: a child is known by its pid. It is never replaced in its place: a permanent or crashed transient child is
        started again as a new process; a temporary one is forgotten.
Rule 2: shutdown is parallel: it takes as long as the slowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secrets_actor.otp import strategy
from secrets_actor.otp.child import start_child, stop_children
from secrets_actor.otp.child_spec import Flags, check_child, check_flags
from secrets_actor.otp.child_table import Child
from secrets_actor.otp.errors import ChildError, NameTaken, StartError
from secrets_actor.otp.events import ChildRestarted, ChildStartFailed, SupervisorGaveUp
from secrets_actor.otp.gen_server import GenServer, Handled, NoReply, Reply, Stop
from secrets_actor.otp.messages import ExitSignal
from secrets_actor.otp.pid import Pid
from secrets_actor.otp.reasons import SHUTDOWN, ExitReason, Stopped
from secrets_actor.otp.reply import From
from secrets_actor.otp.restart_window import RestartWindow
from secrets_actor.otp.supervisor import Published, StartChild, WhichChildren


@dataclass(frozen=True, slots=True)
class TerminatePid:
    """Call or cast: stop this child for good. A call raises `ChildError` (not_found)."""

    pid: Pid


@dataclass(frozen=True, slots=True)
class _TryAgain:
    child: Child
    reason: ExitReason


class DynamicSupervisor(GenServer):
    """Starts children on request (`StartChild`), up to *max_children*; then `ChildError` (max_children).

    *flags* give intensity and period; the strategy is always one_for_one.
    """

    trap_exit = True

    def __init__(self, flags: Flags, max_children: int | None = None) -> None:
        self.flags = check_flags(flags)
        self._max_children = max_children
        self._children: dict[Pid, Child] = {}
        self._restarts = 0
        self._window = RestartWindow(flags.intensity, flags.period)

    def init(self) -> None:
        """No children yet."""
        self._publish()

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:
        """The supervisor's requests; see their classes."""
        try:
            match request:
                case WhichChildren():
                    return Reply(tuple(self._children.values()))
                case StartChild(spec):
                    return Reply(self._start(Child(check_child(spec))))
                case TerminatePid(pid):
                    self._terminate(pid)
                    return Reply(None)
        except (ChildError, StartError, ValueError) as error:
            caller.fail(error)
            return NoReply()
        return super().handle_call(request, caller)

    def handle_cast(self, message: Any) -> Handled:
        """`TerminatePid` without an answer."""
        if isinstance(message, TerminatePid):
            if message.pid in self._children:
                self._terminate(message.pid)
            return None
        return super().handle_cast(message)

    def handle_info(self, message: Any) -> Handled:
        """A child ended, or a failed restart is to be tried again."""
        if isinstance(message, ExitSignal):
            child = self._children.pop(message.sender, None) if message.sender is not None else None
            if child is None:
                return None
            self._publish()
            if strategy.wants_restart(child.spec, message.reason):
                return self._restart(child, message.reason)
        elif isinstance(message, _TryAgain):
            return self._restart(message.child, message.reason)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Stop all children at once."""
        children, self._children = self._children, {}
        stop_children(self.me, [(pid, child.spec) for pid, child in children.items()])

    def _start(self, child: Child) -> Pid | None:
        if self._max_children is not None and len(self._children) >= self._max_children:
            raise ChildError(child.spec.id, "max_children")
        try:
            pid = start_child(self.node, child.spec)
        except NameTaken as error:
            raise StartError(Stopped(str(error))) from None
        if pid is not None:
            self._children[pid] = Child(child.spec, pid, child.restarts)
            self._publish()
        return pid

    def _restart(self, child: Child, reason: ExitReason) -> Handled:
        self._window = self._window.record(self.node.clock.now())
        flags, spec = self.flags, child.spec
        if self._window.exceeded:
            self.node.observe(SupervisorGaveUp(self.me.label, spec.id, str(reason), flags.intensity, flags.period))
            return Stop(SHUTDOWN)
        child = Child(spec, restarts=child.restarts + 1)
        self._restarts += 1
        try:
            self._start(child)
        except (StartError, ChildError) as error:
            self.node.observe(ChildStartFailed(self.me.label, spec.id, str(error)))
            self.me.post(_TryAgain(child, reason))
        else:
            recent = len(self._window.times)
            self.node.observe(ChildRestarted(self.me.label, spec.id, str(reason), recent, child.restarts))
        return None

    def _terminate(self, pid: Pid) -> None:
        child = self._children.pop(pid, None)
        if child is None:
            raise ChildError(pid.label, "not_found")
        stop_children(self.me, [(pid, child.spec)])
        self._publish()

    def _publish(self) -> None:
        flags = self.flags
        recent = len(self._window.times)
        self.me.published = Published("dynamic", tuple(self._children.values()), recent, flags.intensity, flags.period)
