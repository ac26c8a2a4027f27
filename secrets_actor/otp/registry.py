"""Names of processes: which process has a name now, and waiting for the next one that has it.

Rule: there is no lock (rule 5 of pid.py). Those who claim a name stand in line for it; the first of them that lives has
it. A thread that waits for a name adds itself first and looks then; a process that comes enters the line first
and looks then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secrets_actor.forks import notice_fork
from secrets_actor.otp.errors import CallTimeout, ForkedProcess, NameTaken, NoProcess
from secrets_actor.otp.reasons import FORKED, NOPROC
from secrets_actor.otp.reply import From
from secrets_actor.otp.threads import alone

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class Registry:
    """name -> live process, for one tree or several that know each other."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Pid, None]] = {}
        self._expected: dict[str, dict[Any, None]] = {}
        self.forked = False

    def forget(self) -> None:
        """In the child of a fork: nobody has a name."""
        self.forked = True
        self._lines, self._expected = {}, {}

    def nobody(self, name: str) -> NoProcess:
        """The error for *name*, which nobody has."""
        return ForkedProcess(FORKED, name) if self.forked else NoProcess(NOPROC, name)

    def register(self, name: str, pid: Pid) -> None:
        """Give *name* to *pid*. Raises `NameTaken` while a live process has it."""
        self._refuse_all_but(None, name)
        line = self._lines.setdefault(name, {})
        line[pid] = None
        try:
            self._refuse_all_but(pid, name)
        except NameTaken:
            line.pop(pid, None)
            raise
        for one in tuple(self._expected.pop(name, ())):
            one.reply(pid)

    def _refuse_all_but(self, pid: Pid | None, name: str) -> None:
        holder = self.whereis(name)
        if holder is not None and holder is not pid:
            raise NameTaken(name, holder)

    def unregister(self, name: str, pid: Pid) -> None:
        """Take *name* from *pid*; nothing happens if it has passed on to another."""
        line = self._lines.get(name)
        if line is not None:
            line.pop(pid, None)

    def whereis(self, name: str) -> Pid | None:
        """The process that has *name* now; none any more when Python takes itself down."""
        notice_fork()
        line = self._lines.get(name)
        if line and not alone():
            for pid in tuple(line):
                if pid.reason is None:
                    return pid
        return None

    def expect(self, name: str, expected: From[Pid] | None = None) -> From[Pid]:
        """A handle that settles with the process that has *name*, now or next, as after a restart. Let the
        handle fail if you go on without it."""
        expected = From() if expected is None else expected
        notice_fork()
        waiting = None
        while waiting is None or self._expected.get(name) is not waiting:  # else whoever came has told all in there
            waiting = self._expected.setdefault(name, {})
            expected.owed_by(waiting)
        pid = self.whereis(name)
        if pid is not None:
            expected.reply(pid)
        return expected

    def wait_for(self, name: str, timeout: float) -> Pid | None:
        """The process that has *name*, waiting up to *timeout* seconds for one."""
        expected: From[Pid] = From()
        try:
            return self.expect(name, expected).wait(timeout)
        except CallTimeout:
            return None
        finally:
            expected.fail(CallTimeout("nobody waits any more"))


class Name:
    """A process by name: outlives restarts, as a pid does not. A name nobody has is like the dead."""

    __slots__ = ("name", "registry")

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry, self.name = registry, name

    def resolve(self) -> Pid | None:
        """The process behind the name now."""
        return self.registry.whereis(self.name)

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox; False if there is nobody."""
        pid = self.resolve()
        return pid is not None and pid.send(message)

    def post(self, message: Any) -> bool:
        """As `Pid.post`."""
        pid = self.resolve()
        return pid is not None and pid.post(message)

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox; the caller gets `NoProcess` if there is nobody."""
        pid = self.resolve()
        if pid is None:
            caller.fail(self.registry.nobody(self.name))
        else:
            pid.deliver(request, caller)

    def __repr__(self) -> str:
        return f"<Name {self.name}>"
