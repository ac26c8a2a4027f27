"""What the processes of one tree share: names, time, delayed messages, the observer. Erlang's node, in small."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from secrets_actor.clock import Clock, SystemClock
from secrets_actor.forks import notice_fork, on_fork
from secrets_actor.otp.errors import ForkedProcess
from secrets_actor.otp.events import (
    AnswerForgotten,
    LifecycleEvent,
    Observer,
    ProcessCrashed,
    SupervisorGaveUp,
    TooManyDisowned,
)
from secrets_actor.otp.reasons import FORKED, TOO_MANY_DISOWNED
from secrets_actor.otp.registry import Name, Registry
from secrets_actor.otp.timers import TimerTable

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid
    from secrets_actor.otp.reasons import ExitReason


class Node:
    """One per tree. *observer* is told of every start, end, crash and restart. Without one, crashes, supervisors
    that give up, and answers that were forgotten are errors in the log of the logger `secrets_actor.otp`.

    *explains*: whether the processes of this node show what their callbacks raise, text and traceback: in exit reasons,
    in what waiting callers and starters get, and in crash reports. A server's own `explains` goes before it. The node
    of a program does; that of a `System` does not, for there an exception may quote a secret.

    *max_disowned*: how many busy threads may outlive their processes. With one more, the supervisor of the process cut
    off last is told to end, with `TOO_MANY_DISOWNED`: its own supervisor restarts it, until that is too often.

    After a fork the node is empty in the child: every process of before is dead there, and `forked` is true until
    `start_afresh`. Until then its use raises `ForkedProcess`.
    """

    def __init__(
        self,
        observer: Observer | None = None,
        clock: Clock | None = None,
        max_disowned: int | None = None,
        explains: bool = True,
    ) -> None:
        self.explains = explains
        self.clock: Clock = clock or SystemClock()
        self.registry = Registry()
        self.timers = TimerTable(self.clock)
        self._observer = observer
        self.forked = False
        self._max_disowned = max_disowned
        self._disowned: dict[Pid, bool] = {}  # whether it was busy when it was cut off
        self._live: set[Pid] = set()
        self.to_abandon: deque[Pid] = deque()  # cut off when there was no thread to call their hooks in
        on_fork(self)

    def name(self, name: str) -> Name:
        """The address of whoever has *name*, now and after restarts."""
        return Name(self.registry, name)

    @property
    def observed(self) -> bool:
        """Whether anybody observes: if not, the events of every start and end need not be made."""
        return self._observer is not None

    def observe(self, event: LifecycleEvent) -> None:
        """Tell the observer. Its failures are its own."""
        if self._observer is not None:
            with contextlib.suppress(BaseException):  # an observer cannot be allowed to end a process
                self._observer(event)
        elif isinstance(event, (AnswerForgotten, ProcessCrashed, SupervisorGaveUp)):
            with contextlib.suppress(BaseException):
                _log(event)

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        """Hook for harnesses that record ends where they happen, before links and monitors hear of them."""

    def told(self, pid: Pid, ended: Pid) -> None:
        """Hook for harnesses in which one thing happens at a time: *pid*, linked to *ended*, has heard of its end."""

    def hook_failed(self, pid: Pid, error: BaseException) -> None:
        """Report an `abandon` hook that raised."""
        self.observe(ProcessCrashed(pid.label, pid.serial, f"{type(error).__name__} in abandon", "none"))

    def begins(self, pid: Pid) -> None:
        """A process begins. Raises `ForkedProcess` after a fork."""
        notice_fork()
        if self.forked:
            raise ForkedProcess(FORKED)
        self._live.add(pid)

    def disown(self, pid: Pid, busy: bool) -> None:
        """Count a process whose thread goes on after its end; a *busy* one may do so for long."""
        self._disowned[pid] = busy
        if not busy or self._max_disowned is None:
            return
        count = sum(tuple(self._disowned.values()))
        if count > self._max_disowned:
            self.observe(TooManyDisowned(pid.label, count, self._max_disowned))
            if pid.parent is not None:
                pid.parent.exit(TOO_MANY_DISOWNED, sender=pid.parent.parent)

    def thread_ended(self, pid: Pid) -> None:
        """The thread of *pid* is about to end: it counts no more."""
        self._disowned.pop(pid, None)

    def has_threads(self) -> None:
        """A thread could be started: there may be more, for the hooks that wait for one."""
        for _ in range(len(self.to_abandon)):
            with contextlib.suppress(IndexError):  # somebody else was faster
                self.to_abandon.popleft().call_abandon()

    def gone(self, pid: Pid) -> None:
        """*pid* has ended, and everybody has been told."""
        self._live.discard(pid)

    @property
    def live(self) -> tuple[Pid, ...]:
        """All processes that have not ended."""
        return tuple(self._live.copy())

    @property
    def disowned(self) -> tuple[Pid, ...]:
        """Ended processes whose threads have not."""
        return tuple(self._disowned)

    # --- fork -----------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """In the child of a fork, where no thread of ours is and any lock may be held forever."""
        self.forked = True
        live, self._live, self._disowned = self._live, set(), {}
        self.to_abandon = deque()
        self.registry.forget()
        self.timers.forget()
        for pid in live:
            pid.forget()

    def start_afresh(self, observer: Observer | None = None) -> None:
        """In the child of a fork: from now on a new tree may be started on this node. *observer* takes the place of the
        one before, who may hold locks of threads that are not here."""
        self._observer = observer or self._observer
        self.forked = False
        self.registry.forked = False


def _log(event: AnswerForgotten | ProcessCrashed | SupervisorGaveUp) -> None:
    import logging  # only for trouble: the kernel is there without it

    logger = logging.getLogger("secrets_actor.otp")
    if isinstance(event, AnswerForgotten):
        text = "%s#%d has forgotten to answer a call of type %s: NoReply was returned, and nobody kept the From"
        logger.error(text, event.process, event.serial, event.request)
        return
    if isinstance(event, SupervisorGaveUp):
        text = "%s gave up on %s after more than %d restarts in %g s, the last one for: %s"
        logger.error(text, event.process, event.child, event.intensity, event.period, event.reason)
        return
    trace = f"\n{event.traceback.rstrip()}" if event.traceback else ""
    text = "%s#%d crashed over a message of type %s: %s%s"
    logger.error(text, event.process, event.serial, event.last_message, event.reason, trace)
