"""What one replay shares: the node, the trace, who is which instance, and when everybody has come to rest.

Rule 1: an event is recorded where it happens, by the thread that makes it happen, under one lock: the order is causal.
Rule 2: what the dead still do is not recorded: their threads linger, they do not.
Rule 3: at rest means that every process waits for a message and has none, or for the answer of somebody else. Sleeping
        is work.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from secrets_actor.clock import now as clock_now
from secrets_actor.otp import IGNORE, ExitReason, From, Node, Pid
from secrets_actor.otp.pid import current
from tests.otp.replay.canonical import Event
from tests.otp.replay.terms import of_reason

QUIET: Final = 0.025  # seconds at rest before a step counts as over; the recordings waited about 30 ms
TURN: Final = 0.1  # seconds after which whoever is told next waits no longer for the one before
GIVE_UP: Final = 15.0  # seconds after which a step that does not come to rest is left


class Instance:
    """One incarnation of a scripted process."""

    def __init__(self, pid: Pid, name: str, number: int, down: str | None, tells_start: bool) -> None:
        self.pid, self.name, self.number = pid, name, number
        self.down = down  # the event of its end; None if nobody wants to know
        self.tells_start = tells_start  # whether a failed init is an event
        self.started = False
        self.over = threading.Event()  # set when its thread is cut loose: ends its sleeps
        self.asleep = False
        self.waits_for: From[Any] | None = None  # the call it has made and waits for
        self.on_answer: Callable[[From[Any]], None] | None = None  # told when a call that it has made has ended
        self.hangs = False  # forever, unless somebody kills it

    def sleep(self, seconds: float | None) -> None:
        """Sleep in its own thread (None: forever), until it is cut loose."""
        self.asleep = True
        self.pid.waits += 1
        self.over.wait(seconds)
        self.asleep = False

    @property
    def at_rest(self) -> bool:
        if not self.pid.is_alive():
            return self.pid.mailbox_idle()
        parent = self.pid.parent
        forsaken = self.hangs and (parent is None or not parent.is_alive())
        calling = self.waits_for is not None and not self.waits_for.settled
        return calling or forsaken or self.pid.mailbox_idle()

    @property
    def active(self) -> bool:
        """Whether it has something to do that is not to wait."""
        return not (self.at_rest or self.asleep)

    @property
    def stirring(self) -> bool:
        """Whether it is about to do something, but has not begun."""
        if self.down is None:
            return not self.at_rest
        return self.pid.is_alive() and self.pid.mailbox.waiting and len(self.pid.mailbox) > 0


@dataclass(frozen=True, eq=False)
class Waker:
    """How a client woke: his call, who ended it, and who had something to do at that time."""

    caller: From[Any]
    by: Instance | None
    before: list[Instance]


class World(Node):
    """A node that records."""

    def __init__(self, quiet: float = QUIET) -> None:
        super().__init__(lambda _event: None, explains=False)  # crashes by the hundred: nobody wants to read of them
        self._quiet = quiet
        self.trace: list[Event] = []
        self.supervisors: dict[str, dict[str, Any]] = {}  # the scripts of those that were to be started, by id
        self.elapsed: dict[int, float] = {}
        self.unknown: list[str] = []  # what the scenario says that nobody here understands
        self._mutex = threading.Lock()
        self._closed = False
        self._numbers: dict[str, int] = {}
        self._instances: dict[Pid, Instance] = {}
        self._latest: dict[str, Instance] = {}
        self._woken: list[
            tuple[From[Any], Pid | None]
        ] = []  # whose calls have ended, and by whom; who woke first, first

    # --- the trace ------------------------------------------------------------------------------------------------

    def record(self, ev: str, **fields: Any) -> None:
        """Add an event, unless the process that says so is dead."""
        me = current()
        if me is not None and not me.is_alive():
            return
        self._add(ev, fields)

    def _add(self, ev: str, fields: dict[str, Any]) -> None:
        with self._mutex:
            if not self._closed:
                self.trace.append({"ev": ev, **fields})

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        """Record an end where it happens."""
        instance = self._instances.get(pid)
        if instance is None or instance.down is None:
            return
        who = {"id": instance.name, "start_no": instance.number}
        if instance.started:
            self._add(instance.down, {**who, "reason": of_reason(reason)})
        elif not instance.tells_start:
            return
        elif reason is IGNORE:
            self._add("init_ignored", who)
        else:
            self._add("init_failed", {**who, "reason": of_reason(reason)})

    def link_heard(self, pid: Pid, ended: Pid) -> None:
        """Who traps and was told of an end does what he does about it, up to his next wait, before the next is told. On
        OTP too, but for the parent: told first, he reacts in other processes, whose turn comes after the rest."""
        instance = self._instances.get(pid)
        if instance is None or pid in (ended.parent, current()):
            return
        begun = clock_now()
        while clock_now() - begun < TURN and instance.active:
            time.sleep(0.0005)

    def woken(self, caller: From[Any]) -> None:
        """A call that a client has made has ended: he will say so in his turn. If who answered it ends next, he comes
        after those whom that end left without an answer: he has yet to take his monitor back, from the dead.
        """
        by = self._instances.get(current())  # type: ignore[arg-type]  # None is nobody
        with self._mutex:
            everybody = list(self._instances.values())
            waker = Waker(
                caller, by, [one for one in everybody if one.down is not None and one is not by and one.active]
            )
            behind = [n for n, one in enumerate(self._woken) if one.by is by and one.caller.error is None]
            self._woken.insert(behind[0] if behind and caller.error is not None else len(self._woken), waker)

    @contextlib.contextmanager
    def turn_of(self, caller: From[Any] | None) -> Iterator[None]:
        """Wait until those woken before have done what they do, and the waker is at rest: a process of OTP runs to its
        next wait before the next in the queue has its turn."""
        me, begun = current(), clock_now()
        while clock_now() - begun < TURN and not self._is_first(caller, me):
            time.sleep(0.0005)
        yield
        with self._mutex:
            self._woken = [one for one in self._woken if one.caller is not caller]

    def let_run(self) -> None:
        """Wait until the servers have done what they had to do, up to their next wait."""
        begun = clock_now()
        while clock_now() - begun < TURN and any(one.down and one.active for one in list(self._instances.values())):
            time.sleep(0.0005)

    def _is_first(self, caller: From[Any] | None, me: Pid | None) -> bool:
        with self._mutex:
            first = self._woken[0] if self._woken else None
        if first is None or first.caller is not caller:
            return False
        return not any(one is not None and one.pid is not me and one.active for one in (first.by, *first.before))

    # --- who is who -----------------------------------------------------------------------------------------------

    def next_number(self, name: str) -> int:
        """The number of the next start attempt of *name*."""
        with self._mutex:
            self._numbers[name] = self._numbers.get(name, 0) + 1
            return self._numbers[name]

    def enter(self, name: str, number: int, down: str | None, tells_start: bool = False) -> Instance:
        """Enter the process whose thread this is."""
        pid = current()
        assert pid is not None, "only a process is an instance"
        instance = Instance(pid, name, number, down, tells_start)
        with self._mutex:
            self._instances[pid] = instance
            self._latest[name] = instance
        return instance

    def latest(self, name: str) -> Pid | None:
        """The latest instance of *name*, dead or alive."""
        instance = self._latest.get(name)
        return None if instance is None else instance.pid

    def instance(self, name: str) -> Instance:
        """The latest instance of *name*, which must have been started."""
        return self._latest[name]

    def term_of(self, pid: Pid | None) -> Any:
        """A pid as a term."""
        if pid is None:
            return "undefined"
        instance = self._instances[pid]
        return {"pid": f"{instance.name}#{instance.number}" if instance.down is not None else instance.name}

    # --- rest -----------------------------------------------------------------------------------------------------

    def stir(self) -> None:
        """Between steps that do not settle: let those who have something to do begin, as the recorded ones had begun
        within microseconds. It takes 5 ms when nobody is slow, 100 ms at most."""
        begun = quiet_since = clock_now()
        seen = -1
        while (now := clock_now()) - begun < 0.1:
            with self._mutex:
                news, instances = len(self.trace), list(self._instances.values())
            if news != seen or any(instance.stirring for instance in instances):
                seen, quiet_since = news, now
            elif now - quiet_since >= 0.005:
                return
            time.sleep(0.001)

    def pause(self, seconds: float) -> None:
        """A pause that is part of the scenario."""
        threading.Event().wait(seconds)

    def settle(self) -> None:
        """Wait until every process is at rest and nothing has been recorded for a while."""
        begun = quiet_since = clock_now()
        seen = -1
        while True:
            now = clock_now()
            if now - begun > GIVE_UP:
                return
            with self._mutex:
                news, instances = len(self.trace), list(self._instances.values())
            if news != seen or not all(instance.at_rest for instance in instances):
                seen, quiet_since = news, now
            elif now - quiet_since >= self._quiet:
                return
            time.sleep(0.002)

    def close(self) -> None:
        """The replay is over: record nothing more, and end whoever is left, supervisors before their children."""
        with self._mutex:
            self._closed = True
            instances = list(self._instances.values())
        for instance in instances:
            instance.pid.kill()
            instance.over.set()
