"""The registry of names: tells which process has a name now, and lets threads wait for the next one that has it.

Rule: there is no lock (rule 5 of pid.py). The processes that claim a name stand in a line; the first live one in the
line has the name. A thread that waits for a name first adds itself to those who wait and then looks into the line; a
process that claims a name first joins the line and then looks who waits. So neither misses the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from secrets_actor.forks import notice_fork
from secrets_actor.otp.errors import CallTimeout, ForkedProcess, NameTaken, NoProcess
from secrets_actor.otp.reasons import FORKED, NOPROC
from secrets_actor.otp.reply import From
from secrets_actor.otp.threads import alone
from secrets_actor.pickling import LivesHere

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class Registry:
    """A table from names to live processes, for one node."""

    def __init__(self) -> None:
        self._lines: dict[str, dict[Pid, None]] = {}
        self._expected: dict[str, dict[Any, None]] = {}
        self.forked = False

    def forget(self) -> None:
        """In the child of a fork: become empty, for no process lives here."""
        self.forked = True
        self._lines, self._expected = {}, {}

    def nobody(self, name: str) -> NoProcess:
        """Return the error to raise when no process has *name*."""
        return ForkedProcess(FORKED, name) if self.forked else NoProcess(NOPROC, name)

    def register(self, name: str, pid: Pid) -> None:
        """Give *name* to *pid*. Raises `NameTaken` while another live process has it."""
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
        """Take *name* from *pid*. Nothing happens if *pid* does not have it any more."""
        line = self._lines.get(name)
        if line is not None:
            line.pop(pid, None)

    def whereis(self, name: str) -> Pid | None:
        """Return the process that has *name* now; None if there is none, and always None while Python shuts down, since
        the threads of the processes no longer run then."""
        notice_fork()
        line = self._lines.get(name)
        if line and not alone():
            for pid in tuple(line):
                if pid.reason is None:
                    return pid
        return None

    def expect(self, name: str, expected: From[Pid] | None = None) -> From[Pid]:
        """Return a handle that settles with the process that has *name*: at once, or when the next one comes, as after
        a restart. A thread that no longer waits must fail the handle, or the registry keeps it."""
        expected = From() if expected is None else expected
        notice_fork()
        waiting = None
        # Again if `register` has taken the table away meanwhile: it may have told those in it before we joined them.
        while waiting is None or self._expected.get(name) is not waiting:
            waiting = self._expected.setdefault(name, {})
            expected.owed_by(waiting)
        pid = self.whereis(name)
        if pid is not None:
            expected.reply(pid)
        return expected

    def wait_for(self, name: str, timeout: float) -> Pid | None:
        """Return the process that has *name*; wait up to *timeout* seconds for one. None if none comes."""
        expected: From[Pid] = From()
        try:
            return self.expect(name, expected).wait(timeout)
        except CallTimeout:
            return None
        finally:
            expected.fail(CallTimeout("nobody waits any more"))


class Name(LivesHere):
    """The address of the process that has a name. It survives restarts, which a pid does not. A name that no process
    has behaves as the pid of a dead process does."""

    __slots__ = ("name", "registry")

    def __init__(self, registry: Registry, name: str) -> None:
        self.registry, self.name = registry, name

    def resolve(self) -> Pid | None:
        """Return the process that has the name now; None if there is none."""
        return self.registry.whereis(self.name)

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox. Return False if no process has the name."""
        pid = self.resolve()
        return pid is not None and pid.send(message)

    def post(self, message: Any) -> bool:
        """Put *message* into the mailbox as `Pid.post` does. Return False if no process has the name."""
        pid = self.resolve()
        return pid is not None and pid.post(message)

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox. *caller* is failed with `NoProcess` if no process has the name."""
        pid = self.resolve()
        if pid is None:
            caller.fail(self.registry.nobody(self.name))
        else:
            pid.deliver(request, caller)

    def __repr__(self) -> str:
        return f"<Name {self.name}>"
