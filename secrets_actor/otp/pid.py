"""A process from outside: its mailbox, links, monitors, open calls, and its end.

Rule 1: a process ends once, in `finish`: by its own thread, or by any other that kills it. From then on it is dead to
        everybody, even while its thread is still busy: its mailbox takes nothing, what it sends goes nowhere.
Rule 2: at the end the name is free first, then links hear of it, then callers and monitors, first come first, and the
        terminated event is set last: who waited for it finds all the rest done. Of the links the parent hears of it
        last: children of one that was killed are told before it is replaced.
Rule 3: an exit signal reaches a trapping process as a message in its turn, and ends any other at once.
Rule 4: a thread cannot be killed. Cut off, it is disowned: counted by the node until it ends, its `abandon` hook called
        so that it can be cut loose from whatever it waits for.
Rule 5: there is no lock: whoever holds one may be interrupted by a signal handler or a finalizer, which calls us again
        in the same thread. A thread that enters something into a table looks then whether the process has ended; one
        that ends the process says so first and then looks into the tables. So either sees the other; and to take an
        entry out is one step, so that exactly one of them does what is to be done about it.
Rule 6: a thread that ends a process may be cut off by a handler that raises. It does the rest all the same: others
        count on it. Each part of it may be done twice.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from secrets_actor.clock import now
from secrets_actor.otp.errors import CallFailed, CallTimeout, ForkedProcess, NoProcess, Overloaded
from secrets_actor.otp.events import ProcessDisowned, ProcessEnded
from secrets_actor.otp.exit_order import exit_order
from secrets_actor.otp.messages import Call, Down, ExitSignal
from secrets_actor.otp.reasons import FORKED, IGNORE, KILL, KILLED, NOPROC, NORMAL, ExitReason
from secrets_actor.otp.reply import From
from secrets_actor.otp.signal_safe import Latch
from secrets_actor.otp.threads import begin

if TYPE_CHECKING:
    from secrets_actor.otp.mailbox import Mailbox
    from secrets_actor.otp.node import Node
    from secrets_actor.otp.registry import Registry

_serials = itertools.count(1)
_TOLD: Final = object()  # not in a table any more: somebody else has told, or tells


# Seconds that a killer waits for what is killed to be cut loose.
MOMENT: Final = 0.01


class _Here(threading.local):
    pid: Pid | None = None


_here = _Here()


def current() -> Pid | None:
    """The process whose thread this is; None in any other thread."""
    return _here.pid


class MonitorRef:
    """One monitor; two on the same process are two."""

    __slots__ = ("flushed", "heard", "pid")

    def __init__(self, pid: Pid) -> None:
        self.pid = pid
        self.flushed = False  # a Down that is already in the mailbox is to be dropped
        self.heard = -1  # `waits` of the process that monitors, when it made the Down itself


class Pid:
    """One incarnation of a process. `label` says what it is, `serial` which; `name` is registered."""

    def __init__(self, node: Node, label: str, mailbox: Mailbox, name: str | None = None) -> None:
        self.node, self.label, self.name, self.mailbox = node, label, name, mailbox
        self.serial = next(_serials)
        self.parent: Pid | None = None
        self.trap_exit = False
        self.may_wait = True  # for another process of its node, in the middle of a callback
        self.waits = 0  # how often it has waited for somebody's answer within a callback
        self.abandon: Callable[[], None] | None = None
        self.published: Any = None  # what the process shows of itself to any thread, such as a supervisor's table
        self.status: Callable[[], str] | None = None  # a few words about its state, for any thread
        self.info: Any = None  # what init wanted its starter to know
        self.ref: Any = None  # the pykka ActorRef of this incarnation
        self.thread: threading.Thread | None = None
        self.started_at = node.clock.now()
        self._ends: list[list[ExitReason]] = []  # of all who end it; the first one counts
        self.reason: ExitReason | None = None  # why it ended; None while it lives. Only `finish` and `forget` set it
        self._terminated = Latch()
        self._links: dict[Pid, None] = {}  # a set in order
        self._awaiting: dict[From[Any] | MonitorRef, Callable[[Down], object] | None] = {}  # a monitor has a listener

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox. False, and nothing happens, if this process or the sending one is dead."""
        sender = _here.pid
        if self.reason is not None or (sender is not None and sender.reason is not None):
            return False
        self.mailbox.push(message)
        return True

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox. It will be settled whatever happens to this process.

        If the mailbox is full, *caller* is failed with `Overloaded`, after waiting for room if it can.
        """
        mailbox = self.mailbox
        while not (mailbox.unlimited or self.reason is not None) and mailbox.full:
            if not self._wait_for_room(caller):
                caller.fail(Overloaded(f"{self.label} has too many requests waiting: ask again later"))
                return
        try:
            if self._owes(caller):
                mailbox.push(Call(request, caller))
                return
        except BaseException:  # of a signal handler: nobody waits any more, whether it was pushed or not
            caller.fail(CallTimeout("cut off"))
            raise
        caller.fail(ForkedProcess(FORKED, self.label) if self.reason is FORKED else NoProcess(NOPROC, self.label))

    def _owes(self, caller: From[Any]) -> bool:
        """Whether the end of this process will fail *caller*; if not, the process has ended, and the caller may have
        been told."""
        if self.reason is not None:
            return False
        caller.owed_by(self._awaiting)
        return self.reason is None

    def _wait_for_room(self, caller: From[Any]) -> bool:
        begun = now()
        found = caller.patience != 0.0 and self.mailbox.wait_for_room(caller.patience)
        if caller.patience is not None:
            caller.patience = max(caller.patience - (now() - begun), 0.0)
        return found

    def owe(self, caller: From[Any]) -> None:
        """Have *caller* failed if this process ends before it is settled."""
        if not self._owes(caller):
            caller.fail(CallFailed(self.reason or KILLED))

    # --- signals --------------------------------------------------------------------------------------------------

    def exit(self, reason: ExitReason, sender: Pid | None = None) -> None:
        """Send an exit signal: `KILL` ends it whatever it does; see rule 3 for any other reason. The dead send none."""
        if sender is not None and sender is _here.pid and sender.reason is not None:
            return
        if reason == KILL:
            self.kill()
        elif self.trap_exit:
            self.post(ExitSignal(sender, reason))
        elif reason != NORMAL or sender is self:
            self.finish(reason)

    def _linked_ended(self, other: Pid, reason: ExitReason) -> None:
        """Through a link `KILL` is a reason like any other."""
        if self.trap_exit:
            self.post(ExitSignal(other, reason))
        elif reason != NORMAL:
            self.finish(reason)

    def post(self, message: Any) -> bool:
        """Like `send`, whoever's thread this is: for signals, whose news is a death, and for timers."""
        if self.reason is not None:
            return False
        self.mailbox.push(message)
        return True

    def kill(self) -> None:
        """End it now, with the reason `killed`. Its thread is disowned (rule 4)."""
        self.finish(KILLED)

    def link(self, other: Pid) -> None:
        """Let the end of either reach the other as an exit signal.

        If *other* has ended, a trapping process gets an `ExitSignal` (noproc), and any other raises `NoProcess`.
        """
        other._links[self] = None
        if other.reason is not None and other._links.pop(self, _TOLD) is not _TOLD:
            if not self.trap_exit:
                raise NoProcess(NOPROC, other.label)
            self.post(ExitSignal(other, NOPROC))
            return
        self._links[other] = None
        if self.reason is not None:
            other.unlink(self)

    def unlink(self, other: Pid) -> None:
        """Undo `link`."""
        self._links.pop(other, None)
        other._links.pop(self, None)

    def monitor(self, listener: Callable[[Down], object]) -> MonitorRef:
        """Have *listener* run once with a `Down` when this process has ended: at once, with `noproc`, if it has.

        It runs in the thread that ends the process and must neither block nor raise.
        """
        ref = MonitorRef(self)
        if self.reason is None:
            self._awaiting[ref] = listener
            if self.reason is None or self._awaiting.pop(ref, None) is None:
                return ref
        listener(Down(ref, self, NOPROC))
        return ref

    def demonitor(self, ref: MonitorRef) -> bool:
        """Take a monitor back. False if it has fired."""
        return self._awaiting.pop(ref, None) is not None

    def mailbox_idle(self) -> bool:
        """Whether it waits for a message and none is there; also when it has ended and everybody knows."""
        if self.reason is not None:
            return self._terminated.is_open
        return self.mailbox.idle

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self, reason: ExitReason) -> bool:
        """End with *reason*. False if it had ended before. See rules 1, 2 and 6."""
        if self.reason is not None:
            return False
        mine = [reason]
        try:
            self._ends.append(mine)
            return self._end(mine)
        except BaseException:
            self._end(mine)
            raise

    def _end(self, mine: list[ExitReason]) -> bool:
        if not self._ends:
            return False
        first = self._ends[0]
        self.reason = reason = first[0]
        if first is not mine:
            return False
        cut_off = current() is not self and self.thread is not None
        busy = cut_off and not self.mailbox.waiting
        if cut_off:
            self.node.disown(self, busy)
        self.mailbox.close()
        if self.ref is not None:
            self.ref.actor_stopped.set()  # so that pykka, too, takes it for dead from now on
        if self.name is not None:
            self.node.registry.unregister(self.name, self)
        self.node.ended(self, reason)
        links = tuple(self._links)
        for other in links if len(links) < 2 else self._as_told(links):
            try:
                if self._links.pop(other, _TOLD) is not _TOLD:
                    other._links.pop(self, None)
                    other._linked_ended(self, NORMAL if reason is IGNORE else reason)
                    self.node.told(other, self)
            except BaseException:
                self._links[other] = None  # rule 6
                raise
        for one in list(self._awaiting):  # a thread that enters one later sees that it has ended
            if isinstance(one, MonitorRef):
                self._tell(one, reason)
            else:
                one.fail(CallFailed(reason))
        self._terminated.open()
        self.node.gone(self)
        if self.node.observed:
            event = ProcessDisowned if busy else ProcessEnded
            self.node.observe(event(self.label, self.serial, str(reason)))
        if cut_off:
            self.call_abandon()
        return True

    def _tell(self, ref: MonitorRef, reason: ExitReason) -> None:
        listener = self._awaiting.get(ref)
        try:
            if self._awaiting.pop(ref, None) is not None and listener is not None:  # not taken back meanwhile
                listener(Down(ref, self, reason))
        except BaseException:
            self._awaiting[ref] = listener  # rule 6
            raise

    def _as_told(self, links: Iterable[Pid]) -> list[Pid]:
        order = exit_order(sorted(links, key=lambda pid: pid.serial))
        return sorted(order, key=lambda pid: pid is self.parent)  # stable

    def forget(self) -> None:
        """In the child of a fork: dead, without a word, for all who could be told are threads of the parent."""
        self._terminated = Latch()
        self.reason = FORKED
        if _here.pid is self:  # the fork was made in a callback
            _here.pid = None
        self._links, self._awaiting = {}, {}
        self.mailbox.forget()
        self._terminated.open()

    def call_abandon(self) -> None:
        """In a thread of its own: what it closes may be what hangs, and the killer has more to do. Where there is no
        thread, whoever next has one started sees to it."""
        if self.abandon is not None:
            thread = threading.Thread(target=self._abandon, name=f"{self.label}#{self.serial} abandon", daemon=True)
            if begin(thread):
                thread.join(MOMENT)
            else:
                self.node.to_abandon.append(self)

    def _abandon(self) -> None:
        if self.abandon is not None:
            try:
                self.abandon()
            except BaseException as error:  # noqa: BLE001  # the killer must not suffer for the killed
                self.node.hook_failed(self, error)

    @property
    def open_calls(self) -> int:
        """How many calls it has been sent and has not answered."""
        return list(self._awaiting.values()).count(None)

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.reason is None

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait until it has ended and everybody has been told; None if that takes longer than *timeout* seconds."""
        return self.reason if self._terminated.wait(timeout) else None

    def resolve(self) -> Pid | None:
        """Itself: so that a pid goes wherever a `Name` goes."""
        return self

    @property
    def registry(self) -> Registry:
        """The names of its node."""
        return self.node.registry

    def __repr__(self) -> str:
        state = "alive" if self.reason is None else str(self.reason)
        return f"<Pid {self.label}#{self.serial} {state}>"


def enter(pid: Pid) -> None:
    """Mark this thread as *pid*'s own."""
    _here.pid = pid
