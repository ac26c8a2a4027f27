"""Names of processes: who has one now, and waiting for who has it next."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from secrets_actor.forks import notice_fork
from secrets_actor.otp.errors import CallTimeout, ForkedProcess, NameTaken, NoProcess
from secrets_actor.otp.reasons import FORKED, NOPROC
from secrets_actor.otp.reply import From

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class Registry:
    """name -> live process, for one tree or several that know each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pids: dict[str, Pid] = {}
        self._expected: dict[str, set[From[Pid]]] = {}
        self.forked = False

    def forget(self) -> None:
        """In the child of a fork: nobody has a name."""
        self.forked = True
        self._lock = threading.Lock()
        self._pids, self._expected = {}, {}

    def nobody(self) -> NoProcess:
        """The error for a name that nobody has."""
        return ForkedProcess(FORKED) if self.forked else NoProcess(NOPROC)

    def register(self, name: str, pid: Pid) -> None:
        """Give *name* to *pid*. Raises `NameTaken` while a live process has it."""
        with self._lock:
            holder = self._pids.get(name)
            if holder is not None and holder.is_alive():
                raise NameTaken(name, holder)
            self._pids[name] = pid
            expected = self._expected.pop(name, ())
        for one in tuple(expected):
            one.reply(pid)

    def unregister(self, name: str, pid: Pid) -> None:
        """Take *name* from *pid*; nothing happens if it has passed on to another."""
        with self._lock:
            if self._pids.get(name) is pid:
                del self._pids[name]

    def whereis(self, name: str) -> Pid | None:
        """The process that has *name* now."""
        notice_fork()
        return self._pids.get(name)

    def expect(self, name: str) -> From[Pid]:
        """A handle that settles with the process that has *name*, now or next, as after a restart."""
        expected: From[Pid] = From()
        notice_fork()
        with self._lock:
            pid = self._pids.get(name)
            if pid is None:
                waiting = self._expected.setdefault(name, set())
                waiting.add(expected)
                expected.on_settled(waiting.discard)  # who gives up is not waited for
        if pid is not None:
            expected.reply(pid)
        return expected

    def wait_for(self, name: str, timeout: float) -> Pid | None:
        """The process that has *name*, waiting up to *timeout* seconds for one."""
        try:
            return self.expect(name).wait(timeout)
        except CallTimeout:
            return None


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
            caller.fail(self.registry.nobody())
        else:
            pid.deliver(request, caller)

    def __repr__(self) -> str:
        return f"<Name {self.name}>"
