"""The node: names, clock, delayed messages and observer, which the processes of one tree share. Erlang's node, in
small."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

from msgspec.structs import asdict

from secrets_actor.clock import Clock, SystemClock
from secrets_actor.coroutines import closed, is_async
from secrets_actor.forks import notice_fork, on_fork
from secrets_actor.log_fields import event_name, fields
from secrets_actor.otp.errors import BadReturn, ForkedProcess
from secrets_actor.otp.events import (
    AnswerForgotten,
    LifecycleEvent,
    Observer,
    ProcessCrashed,
    SupervisorGaveUp,
    TooManyDisowned,
)
from secrets_actor.otp.reasons import FORKED, TOO_MANY_DISOWNED, Crashed
from secrets_actor.otp.registry import Name, Registry
from secrets_actor.otp.timers import TimerTable
from secrets_actor.pickling import LivesHere

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid
    from secrets_actor.otp.reasons import ExitReason


_COROUTINE: Final = "the observer makes a coroutine, which nobody would await: give a plain function"


class Node(LivesHere):
    """One node; each tree has its own. *observer* is told of every start, end, crash and restart. Without an observer,
    crashes, supervisors that give up and forgotten answers are logged as errors by the logger `secrets_actor.otp`, each
    as a sentence; the event's fields are fields of the record, with the prefix `secrets_actor_`. An observer that fails
    is logged, too, at the first failure in a row. It is a plain function: for a coroutine function `BadReturn` is
    raised.

    *explains*: whether the text and the traceback of an exception that a callback raises are shown in exit reasons, in
    the errors of waiting callers and starters, and in crash reports. The `explains` of a server overrides it. It is
    True for the node of a program, and False for that of a `System`, where an exception may quote a secret.

    *max_disowned*: how many busy threads may outlive their processes (None: any number). With one more, the supervisor
    of the process that was killed last is told to end, with `TOO_MANY_DISOWNED`. Its own supervisor restarts it, until
    the restarts are too many.

    In the child of a fork the node is empty: every process from before the fork is dead there, and `forked` is True
    until `start_afresh`. Until then, use of the node raises `ForkedProcess`.
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
        self._observer = _plain(observer)
        self._observer_fails = False
        self.forked = False
        self._max_disowned = max_disowned
        self._disowned: dict[Pid, bool] = {}  # by process, whether it was busy when it was killed
        self._live: set[Pid] = set()
        self.to_abandon: deque[Pid] = deque()  # killed when no thread could be started to call their `abandon` in
        on_fork(self)

    def name(self, name: str) -> Name:
        """Return the address of the process that has *name*, now and after restarts."""
        return Name(self.registry, name)

    @property
    def observed(self) -> bool:
        """Whether there is an observer. Without one, the events of starts and ends need not be made at all."""
        return self._observer is not None

    def observe(self, event: LifecycleEvent) -> None:
        """Tell the observer of *event*. An exception that the observer raises is logged."""
        if self._observer is not None:
            try:
                result: object = self._observer(event)
                if result is not None and closed(result):
                    raise BadReturn(_COROUTINE)
            except BaseException as error:  # noqa: BLE001  # it must not end the process in whose thread it runs
                self._failed(error)
            else:
                self._observer_fails = False
        elif isinstance(event, (AnswerForgotten, ProcessCrashed, SupervisorGaveUp)):
            with contextlib.suppress(BaseException):
                _log(event)

    def _failed(self, error: BaseException) -> None:
        if not self._observer_fails:
            self._observer_fails = True  # the next event may come at once, and fail in the same way
            with contextlib.suppress(BaseException):
                _log_failure(Crashed.by(error, explains=self.explains))

    def ended(self, pid: Pid, reason: ExitReason) -> None:
        """Do nothing: a hook for test harnesses, which record ends here before links and monitors hear of them."""

    def link_heard(self, pid: Pid, ended: Pid) -> None:
        """Do nothing: a hook for test harnesses, which let one thing happen at a time. *pid*, which was linked to
        *ended*, has heard of its end."""

    def hook_failed(self, pid: Pid, error: BaseException) -> None:
        """Report an `abandon` hook that raised."""
        self.observe(ProcessCrashed(pid.label, pid.serial, f"{type(error).__name__} in abandon", "none"))

    def begins(self, pid: Pid) -> None:
        """Count a process that begins. Raises `ForkedProcess` after a fork."""
        notice_fork()
        if self.forked:
            raise ForkedProcess(FORKED)
        self._live.add(pid)

    def disown(self, pid: Pid, busy: bool) -> None:
        """Count a process that was killed and whose thread goes on. Only a *busy* thread may do so for long: one that
        waits for a message ends at once."""
        self._disowned[pid] = busy
        if not busy or self._max_disowned is None:
            return
        count = sum(tuple(self._disowned.values()))  # a copy, made in one step: other threads change the dictionary
        if count > self._max_disowned:
            self.observe(TooManyDisowned(pid.label, count, self._max_disowned))
            if pid.parent is not None:
                pid.parent.exit(TOO_MANY_DISOWNED, sender=pid.parent.parent)

    def thread_ended(self, pid: Pid) -> None:
        """Note that the thread of *pid* is about to end: it is no longer counted."""
        self._disowned.pop(pid, None)

    def has_threads(self) -> None:
        """Note that a thread could be started, and start those for the `abandon` hooks that wait for one."""
        for _ in range(len(self.to_abandon)):
            with contextlib.suppress(IndexError):  # another thread has taken the last one meanwhile
                self.to_abandon.popleft().call_abandon()

    def gone(self, pid: Pid) -> None:
        """Note that *pid* has ended and that everybody has been told."""
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
        """In the child of a fork: become empty. None of our threads is there, and any lock may be held forever."""
        self.forked = True
        live, self._live, self._disowned = self._live, set(), {}
        self.to_abandon = deque()
        self.registry.forget()
        self.timers.forget()
        for pid in live:
            pid.forget()

    def start_afresh(self, observer: Observer | None = None) -> None:
        """In the child of a fork: allow a new tree to be started on this node. *observer* replaces the one from before,
        which may wait for locks of threads that do not exist here."""
        self._observer = _plain(observer) or self._observer
        self.forked = False
        self.registry.forked = False


def _plain(observer: Observer | None) -> Observer | None:
    if observer is not None and is_async(observer):
        raise BadReturn(_COROUTINE)
    return observer


def _log_failure(reason: Crashed) -> None:
    import logging  # as in `_log`

    text = "the observer of a node has failed, and its next failures in a row are not logged: %s"
    facts = fields("observer_failed", {"reason": str(reason)})
    logging.getLogger("secrets_actor.otp").error(text, reason, extra=facts)


def _log(event: AnswerForgotten | ProcessCrashed | SupervisorGaveUp) -> None:
    import logging  # not at the top of the file: most programs never come here, and start faster without it

    logger, extra = logging.getLogger("secrets_actor.otp"), fields(event_name(type(event).__name__), asdict(event))
    if isinstance(event, AnswerForgotten):
        text = "%s#%d has forgotten to answer a call of type %s: NoReply was returned, and nobody kept the From"
        logger.error(text, event.process, event.serial, event.request, extra=extra)
        return
    if isinstance(event, SupervisorGaveUp):
        text = "%s gave up on %s after more than %d restarts in %g s, the last one for: %s"
        logger.error(text, event.process, event.child, event.intensity, event.period, event.reason, extra=extra)
        return
    trace = f"\n{event.traceback.rstrip()}" if event.traceback else ""
    text = "%s#%d crashed over a message of type %s: %s%s"
    logger.error(text, event.process, event.serial, event.last_message, event.reason, trace, extra=extra)
