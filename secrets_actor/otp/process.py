"""The door to pykka: runs each process as a pykka actor with a loop of our own. No other file knows pykka's surprises.

Rule 1: init runs in the process's own thread, and the starter waits until it is done. An init that fails frees the name
        before the starter hears of it.
Rule 2: every exception, even SystemExit or KeyboardInterrupt, ends this process and nothing else. pykka would stop
        every actor of the program.
Rule 3: our actors are not in pykka's registry: their supervisors stop them, and `stop_all` of the program does not.
Rule 4: no message reaches pykka's own message handling, which logs a message that it does not expect with its contents.
Rule 5: a thread that cannot be started is a failed start like any other (`NO_THREAD`), and leaves nothing behind.
Rule 6: a plain `ask` becomes a Call, so that it can be answered later. Its errors pass through the process's
        `translate`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from secrets_actor.otp.behaviour import Behaviour, Ending
from secrets_actor.otp.callback_timeout import CallbackTimeout
from secrets_actor.otp.calls import holds_up
from secrets_actor.otp.child_spec import MailboxLimit
from secrets_actor.otp.errors import (
    BadReturn,
    CallFailed,
    CallingSelf,
    CallTimeout,
    Exit,
    ForkedProcess,
    NameTaken,
    StartError,
)
from secrets_actor.otp.events import ProcessCrashed, ProcessStarted
from secrets_actor.otp.mailbox import CLOSED, Mailbox
from secrets_actor.otp.messages import Ask, Call, Cast, StopRequest
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import Pid, current, enter
from secrets_actor.otp.pykka_answers import Translator, answer_by_tell, answer_to_future, fail
from secrets_actor.otp.reasons import KILLED, NO_THREAD, SHUTDOWN, TIMEOUT, Crashed, ExitReason, Stopped
from secrets_actor.otp.reply import From
from secrets_actor.otp.signal_safe import Latch
from secrets_actor.otp.supervisor_requests import restarts_of
from secrets_actor.otp.threads import begin
from secrets_actor.pickling import LivesHere


class _Actor(pykka.ThreadingActor):
    use_daemon_thread = True
    actor_inbox: Mailbox  # pykka declares an inbox of its own Envelopes; ours has the same shape

    def __init__(self, node: Node, factory: Callable[[], Behaviour], label: str, name: str | None) -> None:
        super().__init__()
        self.pid = Pid(node, label, self.actor_inbox, name)
        self.pid.ref = self.actor_ref
        # In place of pykka's Event, which has a lock that an interrupted thread may hold (see signal_safe.py).
        self.actor_stopped = self.actor_ref.actor_stopped = Latch()  # type: ignore[assignment]
        self.started: From[Pid] = From()
        self._factory = factory
        self._behaviour: Behaviour | None = None
        self.watch: CallbackTimeout | None = None
        self.actor_inbox.on_envelope = self._on_envelope

    @staticmethod
    def _create_actor_inbox() -> Mailbox:  # pykka's hook for implementors of new actor types, as the next one
        return Mailbox()

    def _start_actor_loop(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self.pid.label}#{self.pid.serial}", daemon=True)
        if not begin(thread):
            raise StartError(NO_THREAD)

    def _run(self) -> None:
        # Set here and not by the starter, which a signal handler may interrupt between the start and the assignment.
        self.pid.thread = threading.current_thread()
        enter(self.pid)
        try:
            if self.pid.is_alive():  # else the process was killed before its thread began
                self._actor_loop()
        finally:
            self.pid.node.thread_ended(self.pid)

    def on_start(self) -> None:
        """Make the behaviour and run its init (rule 1)."""
        pid = self.pid
        try:
            behaviour = self._factory()
            if not hasattr(behaviour, "dispatch"):  # a `start` that returns None, for example, by a forgotten return
                raise BadReturn(f"start made a {type(behaviour).__name__}, which is no behaviour", behaviour)
            self._behaviour = behaviour
            pid.trap_exit, pid.abandon = behaviour.trap_exit, behaviour.abandon
            pid.may_wait = behaviour.may_wait
            ending = behaviour.start(pid)
        except Exit as exit_:
            ending = Ending(exit_.reason)
        except BaseException as error:  # noqa: BLE001  # rule 2
            ending = Ending(self._crashed(error))
        if ending is not None:
            self._finish(ending.reason, None)  # fails `started`, too
        elif pid.is_alive():
            pid.status = getattr(behaviour, "status", None)
            if pid.node.observed:
                pid.node.observe(ProcessStarted(pid.label, pid.serial))
            self.started.reply(pid)
            if self.watch is not None:
                self.watch.begins()
            self._guarded(behaviour.after_start)

    def _actor_loop(self) -> None:
        """Run the process: init, then one message after the other until it ends.

        This replaces pykka's loop for speed: that looks at each message five times before we see it (measured: a fifth
        of a round trip). pykka's loop also drains the mailbox at the end, and answers callers that still wait; here
        `Pid.finish` does that. `finish` closes the mailbox, too, so there is always one more message that ends this
        loop."""
        self.on_start()
        take, pid = (self.watch or self.actor_inbox).take, self.pid
        while (message := take()) is not CLOSED and pid.reason is None:
            if type(message) is StopRequest:
                message.taken = True
                self._end(Ending(message.reason), message)
            else:
                try:
                    ending = self._behaviour.dispatch(message)  # type: ignore[union-attr]  # set before any message
                except Exit as exit_:
                    ending = Ending(exit_.reason)
                except BaseException as error:  # noqa: BLE001  # rule 2
                    ending = Ending(self._crashed(error))
                if ending is not None:
                    self._end(ending, message)
            del message  # or the last message, which may hold a secret, would live until the next one comes
        self.actor_stopped.set()

    def _crashed(self, error: BaseException) -> Crashed:
        explains = getattr(self._behaviour, "explains", None)
        return Crashed.by(error, explains=self.pid.node.explains if explains is None else explains)

    def _guarded(self, step: Callable[[], Ending | None]) -> None:
        """Run *step*, and end the process if it says so or raises."""
        try:
            ending = step()
        except Exit as exit_:
            ending = Ending(exit_.reason)
        except BaseException as error:  # noqa: BLE001  # rule 2
            ending = Ending(self._crashed(error))
        if ending is not None:
            self._end(ending)

    def _end(self, ending: Ending, message: Any = None) -> None:
        """Call `terminate`, and end the process. *message* is the one that led to the end, for the crash report."""
        reason = ending.reason
        if self.pid.is_alive() and self._behaviour is not None:
            try:
                self._behaviour.terminate(reason)
            except Exit as exit_:
                reason = exit_.reason
            except BaseException as error:  # noqa: BLE001  # rule 2
                reason = self._crashed(error)
            if ending.last_words is not None:
                ending.last_words()
        self._finish(reason, message)

    def _finish(self, reason: ExitReason, message: Any) -> None:
        self.actor_stopped.set()
        pid = self.pid
        if not isinstance(reason, (Crashed, Stopped)):
            pid.finish(reason)
            return
        supervisor = None if pid.parent is None else pid.parent.label
        restarts = restarts_of(pid)  # before `finish`, by which the supervisor hears of the end and counts one more
        if pid.finish(reason):
            kind, trace = _kind_of(message), reason.traceback if isinstance(reason, Crashed) else ""
            pid.node.observe(ProcessCrashed(pid.label, pid.serial, str(reason), kind, supervisor, restarts, trace))

    def _on_envelope(self, envelope: Any) -> None:
        """Turn an envelope that a pykka ref puts into a message of ours. Called in the sender's thread."""
        message, future = envelope.message, envelope.reply_to
        if isinstance(message, _ActorStop):  # `ref.stop()`
            if future is not None:
                self.pid.monitor(lambda _down: future.set(None))
            self.pid.post(StopRequest(SHUTDOWN))
        elif isinstance(message, (ProxyCall, ProxyGetAttr, ProxySetAttr)):  # `ref.proxy()`
            if future is not None:
                fail(future, TypeError(f"{self.pid.label} takes messages, not attribute access"))
        elif isinstance(message, Ask):
            self.pid.deliver(message.request, answer_by_tell(message, self._translate))
        elif future is not None:
            self.pid.deliver(message, answer_to_future(future, self._translate))
        else:
            self.pid.send(message)

    def _translate(self, error: BaseException) -> BaseException:
        return error if self._behaviour is None else self._behaviour.translate(error)


def _kind_of(message: Any) -> str:
    """Return the name of the type of the message that a callback was given, without the kernel's own wrapping."""
    if isinstance(message, Call):
        message = message.request
    elif isinstance(message, Cast):
        message = message.message
    return "none" if message is None else type(message).__name__


class _NameInbox:
    """An inbox that forwards each envelope to the process that has the name at that moment."""

    def __init__(self, node: Node, name: str, translate: Translator, wake: Callable[[], bool]) -> None:
        self._node, self._name, self._translate, self._wake = node, name, translate, wake

    def put(self, envelope: Any) -> None:
        """Forward *envelope*. If there is no process, or the sender would wait for itself, its future gets an error."""
        if envelope.reply_to is not None and holds_up(self._node.name(self._name)):  # it would wait forever
            if isinstance(envelope.message, _ActorStop):
                self._node.name(self._name).post(StopRequest(SHUTDOWN))
                envelope.reply_to.set(None)
            else:
                fail(envelope.reply_to, self._translate(CallingSelf("others wait for the process that asks")))
            return
        whereis = self._node.registry.whereis
        pid = whereis(self._name)
        if pid is None and self._wake():
            pid = whereis(self._name)
        if pid is not None:
            pid.mailbox.put(envelope)
        elif envelope.reply_to is not None:
            if isinstance(envelope.message, _ActorStop):
                envelope.reply_to.set(None)
            else:
                fail(envelope.reply_to, self._translate(self._node.registry.nobody(self._name)))
        elif isinstance(envelope.message, Ask):
            answer_by_tell(envelope.message, self._translate).fail(self._node.registry.nobody(self._name))

    def empty(self) -> bool:  # a part of the shape of an inbox; this one holds nothing
        return True

    def get(self) -> Any:
        raise NotImplementedError("this inbox only forwards")


class NamedRef(LivesHere, pykka.ActorRef[Any]):
    """A pykka ActorRef to a name: `ask` and `tell` reach the process that has the name now, so the ref survives
    restarts.

    If no process has it, *wake* is called first, which may start one, as in the child of a fork. It returns whether it
    did, and must not raise. If there is still none, `ask` raises the kernel's error, as changed by *translate*.
    """

    def __init__(self, node: Node, name: str, translate: Translator, wake: Callable[[], bool] = lambda: False) -> None:
        self.actor_class = _Actor
        self.actor_urn = f"urn:secrets-actor:{name}"
        self.actor_inbox = _NameInbox(node, name, translate, wake)
        self.actor_stopped = Latch()  # type: ignore[assignment]
        self._node, self._name = node, name

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask as pykka does. In addition, the *timeout* (seconds) of an `ask` that blocks becomes the deadline of the
        call. pykka does not tell the process of it, which would go on working for callers that are long gone."""
        if not block or timeout is None:
            return super().ask(message, block=block, timeout=timeout)
        future: Any = _Actor._create_future()
        future.deadline = self._node.clock.now() + timeout
        self.actor_inbox.put(Envelope(message, reply_to=future))
        return future.get(timeout=timeout)

    def __str__(self) -> str:
        return f"named process ({self._name})"


def spawn(
    node: Node,
    factory: Callable[[], Behaviour],
    *,
    label: str,
    name: str | None = None,
    link: bool = False,
    timeout: float | None = None,
    mailbox: MailboxLimit | None = None,
    deadline: float | None = None,
    on_made: Callable[[Pid], object] | None = None,
) -> Pid:
    """Start a process, wait for its init up to *timeout* seconds (None: as long as it takes), and return its pid.

    *link* links it to the process that starts it, which becomes its parent. *mailbox* is the limit of its waiting
    calls. *deadline* is the number of seconds that each callback may take, if its parent is a supervisor. *on_made* is
    called with the pid before init runs, so that the process can be stopped during its init.

    Raises `StartError` if init fails, returns `Ignore` (`error.reason is IGNORE`) or takes too long (`TIMEOUT`; the
    process is then killed), or if no thread can be started (`NO_THREAD`); `NameTaken`; and `ForkedProcess` if this
    program was forked from the one of the node.
    """
    actor = _Actor(node, factory, label, name)
    pid = actor.pid
    pid.mailbox.limit(mailbox)
    if deadline is not None:
        actor.watch = CallbackTimeout(pid, deadline)
    starter = current() if link else None
    pid.owe(actor.started)
    try:
        node.begins(pid)
        if name is not None:
            node.registry.register(name, pid)
        if on_made is not None:
            on_made(pid)
        if starter is not None:
            pid.parent = starter
            pid.link(starter)
        actor._start_actor_loop()
        if node.to_abandon:
            node.has_threads()
        return actor.started.wait(timeout)
    except (NameTaken, ForkedProcess):
        node.gone(pid)
        raise
    except CallFailed:
        # This ends a process that never began because its starter is dead. One that ended by itself is not changed, and
        # its end reaches the starter as an exit signal like any other's.
        pid.kill()
        reason = pid.reason or KILLED
    except CallTimeout:
        reason = TIMEOUT
        _undo(pid, starter)
    except StartError as error:  # only `_start_actor_loop` raises one, for want of a thread
        reason = error.reason
        _undo(pid, starter, reason)
    except BaseException:
        _undo(pid, starter)
        raise
    raise StartError(reason)


def _undo(pid: Pid, starter: Pid | None, reason: ExitReason = KILLED) -> None:
    """End a process that did not start. It is unlinked first: its starter gets an error, and no exit signal as well."""
    if starter is not None:
        starter.unlink(pid)
    pid.finish(reason)
