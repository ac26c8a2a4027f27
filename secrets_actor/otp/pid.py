"""The pid: a process as other threads see it, with its mailbox, links, monitors and open calls, and with its end.

Rule 1: a process ends once, in `finish`: in its own thread, or in any other thread that kills it. From then on it is
        dead to everybody, even while its thread is still busy: its mailbox accepts nothing, and what it sends is
        dropped.
Rule 2: the end has an order. First the name is free, then links hear of it, then callers and monitors in the order in
        which they came, and last the terminated event is set: a thread that waited for that finds all the rest done. Of
        the links the parent comes last, so that the children of a killed supervisor are told before it is replaced.
Rule 3: an exit signal reaches a process that traps exits as a message, after those before it. It ends any other process
        at once.
Rule 4: a thread cannot be killed. The thread of a killed process is disowned: the node counts it until it ends, and the
        `abandon` hook is called, which can free it from whatever it waits for.
Rule 5: there is no lock. A signal handler or a finalizer may interrupt a thread that holds one, and call us again in
        that same thread, which would then wait for itself. Instead, a thread first enters something into a table and
        then looks whether the process has ended; a thread that ends the process first says so and then looks into the
        tables. So one of them sees the other. Taking an entry out is one step, so exactly one of them deals with it.
Rule 6: a signal handler that raises may interrupt a thread that ends a process. The thread still does the rest before
        it lets the exception through, because others count on it. So each part must bear being done twice.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from secrets_actor.clock import now
from secrets_actor.otp.errors import CallFailed, CallTimeout, ForkedProcess, NoProcess, Overloaded
from secrets_actor.otp.events import ProcessDisowned, ProcessEnded
from secrets_actor.otp.exit_order import exit_order
from secrets_actor.otp.messages import Call
from secrets_actor.otp.reasons import FORKED, IGNORE, KILL, KILLED, NOPROC, NORMAL, ExitReason
from secrets_actor.otp.reply import From
from secrets_actor.otp.signal_safe import Latch
from secrets_actor.otp.threads import begin
from secrets_actor.pickling import LivesHere

if TYPE_CHECKING:
    from secrets_actor.otp.mailbox import Mailbox
    from secrets_actor.otp.node import Node
    from secrets_actor.otp.registry import Registry

_serials = itertools.count(1)
_TAKEN_OUT: Final = object()  # the entry is not in its table: another thread has taken it out, and sends the signal


# Seconds that a thread which kills a process waits for its `abandon` hook. A hook that is quick is done by then, so
# that the killed process is free before the killer goes on. A hook that hangs must not hold up the killer for longer.
ABANDON_WAIT: Final = 0.01


class _ThisThread(threading.local):
    pid: Pid | None = None


_this_thread = _ThisThread()


def current() -> Pid | None:
    """Return the process that this thread belongs to; None if it belongs to none."""
    return _this_thread.pid


class _Wait:
    """The wait of a process for code in another thread. `pid` is None when it is over, so that a task which that code
    has begun, and which outlives it, holds nobody up."""

    __slots__ = ("pid",)

    def __init__(self, pid: Pid | None) -> None:
        self.pid = pid


_wait: Final[ContextVar[_Wait | None]] = ContextVar("secrets_actor wait", default=None)


@contextmanager
def process_waits() -> Iterator[None]:
    """Within it, this process waits for code that runs elsewhere in a copy of this thread's context, such as a
    coroutine that is handed to an event loop here: `waiting_process` tells that code so."""
    wait = _Wait(current())
    token = _wait.set(wait)
    try:
        yield
    finally:
        _wait.reset(token)
        wait.pid = None


def waiting_process() -> Pid | None:
    """Return the process that goes on only when the code that calls this is done: the one that this thread belongs to,
    or one that waits in `process_waits`; None if there is none."""
    here, wait = current(), _wait.get()
    return here if here is not None or wait is None else wait.pid


class MonitorRef:
    """One monitor. Two monitors on the same process are two of these."""

    __slots__ = ("flushed", "heard", "pid")

    def __init__(self, pid: Pid) -> None:
        self.pid = pid
        self.flushed = False  # a Down that is already in the mailbox is to be dropped
        self.heard = -1  # `waits` of the monitoring process when it brought the Down about itself; -1: it did not


class ExitSignal(Struct, frozen=True):
    """The message to a process that traps exits: the linked process *sender* has ended, or *sender* asks this one to
    end. *sender* is None if the code that asks runs in no process."""

    sender: Pid | None
    reason: ExitReason


class Down(Struct, frozen=True):
    """A monitored process has ended."""

    ref: MonitorRef
    pid: Pid | None
    reason: ExitReason


class Pid(LivesHere):
    """One incarnation of a process: a restart makes a new one. `label` says what the process is, `serial` which
    incarnation this is, and `name` is its registered name (None: it has none)."""

    def __init__(self, node: Node, label: str, mailbox: Mailbox, name: str | None = None) -> None:
        self.node, self.label, self.name, self.mailbox = node, label, name, mailbox
        self.serial = next(_serials)
        self.parent: Pid | None = None
        self.trap_exit = False
        self.may_wait = True  # whether a callback of it may wait for the answer of another process of its node
        self.waits = 0  # how often it has waited for an answer within a callback
        self.abandon: Callable[[], None] | None = None
        self.published: Any = None  # an object that the process shows to any thread, such as a supervisor's table
        self.status: Callable[[], str] | None = None  # a few words about its state, for any thread
        self.info: Any = None  # the `info` that init returned for the starter
        self.ref: Any = None  # the pykka ActorRef of this incarnation
        self.thread: threading.Thread | None = None
        self.started_at = node.clock.now()
        self._ends: list[list[ExitReason]] = []  # the reasons of all threads that end it; the first one counts
        self.reason: ExitReason | None = None  # why it ended; None while it lives. Only `finish` and `forget` set it
        self._terminated = Latch()
        self._links: dict[Pid, None] = {}  # used as a set that keeps its order
        # Open calls (with None) and monitors (with their listeners). They are in one table, because they are told of
        # the end in the order in which they came.
        self._awaiting: dict[From[Any] | MonitorRef, Callable[[Down], object] | None] = {}

    # --- sending --------------------------------------------------------------------------------------------------

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox. Return False, and do nothing, if this process or the sending one is dead."""
        sender = _this_thread.pid
        if self.reason is not None or (sender is not None and sender.reason is not None):
            return False
        self.mailbox.push(message)
        return True

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox. If this process ends before it answers, *caller* is failed.

        If the mailbox is full, *caller* is failed with `Overloaded`. If the limit lets callers wait, this thread first
        waits for room, up to the patience of *caller*.
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
        except BaseException:  # a signal handler raised: nobody waits any more, whether the call was pushed or not
            caller.fail(CallTimeout("cut off"))
            raise
        caller.fail(ForkedProcess(FORKED, self.label) if self.reason is FORKED else NoProcess(NOPROC, self.label))

    def _owes(self, caller: From[Any]) -> bool:
        """Whether the end of this process will fail *caller*. If not, the process has ended already, and *caller* may
        have been told of it or not."""
        if self.reason is not None:
            return False
        caller.owed_by(self._awaiting)
        return self.reason is None

    def _wait_for_room(self, caller: From[Any]) -> bool:
        """Wait for room in the mailbox, up to the patience of *caller*, which is reduced by the time that this took.
        Return whether there is room."""
        begun = now()
        found = caller.patience != 0.0 and self.mailbox.wait_for_room(caller.patience)
        if caller.patience is not None:
            caller.patience = max(caller.patience - (now() - begun), 0.0)
        return found

    def owe(self, caller: From[Any]) -> None:
        """Fail *caller* when this process ends, unless it is settled before."""
        if not self._owes(caller):
            caller.fail(CallFailed(self.reason or KILLED))

    # --- signals --------------------------------------------------------------------------------------------------

    def exit(self, reason: ExitReason, sender: Pid | None = None) -> None:
        """Send an exit signal. `KILL` ends the process in any case.

        Any other reason comes as an `ExitSignal` to a process that traps exits. It ends a process that does not, unless
        it is `NORMAL` and comes from another process. A signal that a dead process sends from its own thread is
        dropped.
        """
        if sender is not None and sender is _this_thread.pid and sender.reason is not None:
            return
        if reason == KILL:
            self.kill()
        elif self.trap_exit:
            self.post(ExitSignal(sender, reason))
        elif reason != NORMAL or sender is self:
            self.finish(reason)

    def _linked_ended(self, other: Pid, reason: ExitReason) -> None:
        """Take the exit signal of a link. Through a link, `KILL` is a reason like any other, as in OTP."""
        if self.trap_exit:
            self.post(ExitSignal(other, reason))
        elif reason != NORMAL:
            self.finish(reason)

    def post(self, message: Any) -> bool:
        """Put *message* into the mailbox as `send` does, but even in the thread of a dead process. This is for timers
        and for signals: news of an end is sent in the thread of the process that has just ended."""
        if self.reason is not None:
            return False
        self.mailbox.push(message)
        return True

    def kill(self) -> None:
        """End the process now, with the reason `killed`. Its thread is disowned: it ends when its present
        work does."""
        self.finish(KILLED)

    def link(self, other: Pid) -> None:
        """Link this process and *other*: the end of either reaches the other as an exit signal.

        If *other* has ended, this process gets an `ExitSignal` (noproc) if it traps exits, else `NoProcess` is raised.
        """
        other._links[self] = None
        if other.reason is not None and other._links.pop(self, _TAKEN_OUT) is not _TAKEN_OUT:
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
        """Call *listener* once with a `Down` when this process has ended; at once, with `noproc`, if it has already.

        It is called in the thread that ends the process, or in this one if that has ended, and must neither block nor
        raise.
        """
        ref = MonitorRef(self)
        if self.reason is None:
            self._awaiting[ref] = listener
            if self.reason is None or self._awaiting.pop(ref, None) is None:
                return ref
        listener(Down(ref, self, NOPROC))
        return ref

    def demonitor(self, ref: MonitorRef) -> bool:
        """Take a monitor back. Return False if it has fired."""
        return self._awaiting.pop(ref, None) is not None

    def mailbox_idle(self) -> bool:
        """Whether the process waits for a message and none is there; also when it has ended and all have been told."""
        if self.reason is not None:
            return self._terminated.is_open
        return self.mailbox.idle

    # --- the end --------------------------------------------------------------------------------------------------

    def finish(self, reason: ExitReason) -> bool:
        """End the process with *reason*: fail its calls, tell its links and monitors. Return False if it had ended
        before."""
        if self.reason is not None:
            return False
        mine = [reason]  # a list, and so an object of this thread's own: other threads may pass the same reason
        try:
            self._ends.append(mine)
            return self._end(mine)
        except BaseException:  # rule 6: a signal handler raised
            self._end(mine)
            raise

    def _end(self, mine: list[ExitReason]) -> bool:
        """End the process, if this thread's entry *mine* is the first one (rules 1 and 2). May be called twice."""
        if not self._ends:  # the second time, after an interruption before the append
            return False
        first = self._ends[0]
        self.reason = reason = first[0]
        if first is not mine:  # another thread was first, and does all that follows
            return False
        cut_off = current() is not self and self.thread is not None
        busy = cut_off and not self.mailbox.waiting
        if cut_off:
            self.node.disown(self, busy)
        self.mailbox.close()
        if self.ref is not None:
            self.ref.actor_stopped.set()  # so that pykka, too, treats the actor as dead from now on
        if self.name is not None:
            self.node.registry.unregister(self.name, self)
        self.node.ended(self, reason)
        links = tuple(self._links)
        for other in links if len(links) < 2 else self._in_order(links):
            try:
                if self._links.pop(other, _TAKEN_OUT) is not _TAKEN_OUT:
                    other._links.pop(self, None)
                    other._linked_ended(self, NORMAL if reason is IGNORE else reason)
                    self.node.link_heard(other, self)
            except BaseException:
                self._links[other] = None  # rule 6: the second time does this one again
                raise
        for one in list(self._awaiting):  # a copy is enough: a thread that enters one later sees that `reason` is set
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
        """Call the listener of the monitor *ref*, unless it was taken back."""
        listener = self._awaiting.get(ref)
        try:
            if self._awaiting.pop(ref, None) is not None and listener is not None:  # else `demonitor` was faster
                listener(Down(ref, self, reason))
        except BaseException:
            self._awaiting[ref] = listener  # rule 6: the second time does this one again
            raise

    def _in_order(self, links: Iterable[Pid]) -> list[Pid]:
        """Return *links* in the order in which they hear of the end; the parent comes last (rule 2)."""
        order = exit_order(sorted(links, key=lambda pid: pid.serial))
        return sorted(order, key=lambda pid: pid is self.parent)  # sorting is stable: only the parent moves, to the end

    def forget(self) -> None:
        """Become dead in the child of a fork, and tell nobody: all threads that wait for this process are in the parent
        program."""
        self._terminated = Latch()
        self.reason = FORKED
        if _this_thread.pid is self:  # the fork was made in a callback: its thread is an ordinary one in the child
            _this_thread.pid = None
        self._links, self._awaiting = {}, {}
        self.mailbox.forget()
        self._terminated.open()

    def call_abandon(self) -> None:
        """Call the `abandon` hook in a thread of its own, since the hook itself may hang while it closes something, and
        the killer has more to do. If no thread can be started, the hook is called when the next one can."""
        if self.abandon is not None:
            thread = threading.Thread(target=self._abandon, name=f"{self.label}#{self.serial} abandon", daemon=True)
            if begin(thread):
                thread.join(ABANDON_WAIT)
            else:
                self.node.to_abandon.append(self)

    def _abandon(self) -> None:
        if self.abandon is not None:
            try:
                self.abandon()
            except BaseException as error:  # noqa: BLE001  # else Python prints it, and it may quote a secret
                self.node.hook_failed(self, error)

    @property
    def open_calls(self) -> int:
        """How many calls the process has been sent and has not answered."""
        return list(self._awaiting.values()).count(None)

    def is_alive(self) -> bool:
        """Whether the process has not ended."""
        return self.reason is None

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait until the process has ended and everybody has been told. Return the exit reason; None if that takes
        longer than *timeout* seconds (None: as long as it takes)."""
        return self.reason if self._terminated.wait(timeout) else None

    def resolve(self) -> Pid | None:
        """Return this pid itself, so that a pid can be used wherever a `Name` can."""
        return self

    @property
    def registry(self) -> Registry:
        """The names of its node."""
        return self.node.registry

    def __repr__(self) -> str:
        state = "alive" if self.reason is None else str(self.reason)
        return f"<Pid {self.label}#{self.serial} {state}>"


def enter(pid: Pid) -> None:
    """Note that this thread is the one of *pid*."""
    _this_thread.pid = pid
