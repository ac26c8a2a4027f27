"""THE door to pykka: a process is a pykka actor with a loop of our own; pykka's surprises end here.

Rule 1: init runs in the process's own thread and is acknowledged to the starter; a failed one frees the name first.
Rule 2: every exception, SystemExit and KeyboardInterrupt too, ends this process and nothing else: pykka would stop
        every actor of the program.
Rule 3: our actors are not in pykka's registry: they are stopped by their supervisors, not by `stop_all`.
Rule 4: nothing reaches pykka's own message handling: it logs what it does not expect, whole.
Rule 5: a thread that cannot be started is a failed start like any other (`NO_THREAD`), and nothing is left of it.
Rule 6: a plain `ask` becomes a Call, so that its answer can be deferred; its errors pass the process's translator.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from secrets_actor.otp.behaviour import Behaviour, Ending
from secrets_actor.otp.callback_deadline import CallbackDeadline
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


class _Actor(pykka.ThreadingActor):
    use_daemon_thread = True
    actor_inbox: Mailbox  # pykka wants its own Envelope; ours has the same shape

    def __init__(self, node: Node, factory: Callable[[], Behaviour], label: str, name: str | None) -> None:
        super().__init__()
        self.pid = Pid(node, label, self.actor_inbox, name)
        self.pid.ref = self.actor_ref
        self.actor_stopped = self.actor_ref.actor_stopped = Latch()  # type: ignore[assignment]  # for lack of a lock
        self.started: From[Pid] = From()
        self._factory = factory
        self._behaviour: Behaviour | None = None
        self.watch: CallbackDeadline | None = None
        self.actor_inbox.on_envelope = self._on_envelope

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    def _start_actor_loop(self) -> None:
        thread = threading.Thread(target=self._run, name=f"{self.pid.label}#{self.pid.serial}", daemon=True)
        if not begin(thread):
            raise StartError(NO_THREAD)

    def _run(self) -> None:
        self.pid.thread = (
            threading.current_thread()
        )  # not before: the thread that starts it may be cut off while it does
        enter(self.pid)
        try:
            if self.pid.is_alive():  # else it was killed before it began
                self._actor_loop()
        finally:
            self.pid.node.thread_ended(self.pid)

    def on_start(self) -> None:
        pid = self.pid
        try:
            behaviour = self._factory()
            if not hasattr(behaviour, "dispatch"):
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
        """Our own loop, for the sake of speed: pykka's looks at each message five times before we see it (measured: a
        fifth of a round trip). What pykka's is for, drained mailboxes and answers to the unlucky, `Pid.finish` does.
        It also closes the mailbox, so that there is always one more message to end the loop with."""
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
            del message  # do not hold on to it while waiting
        self.actor_stopped.set()

    def _crashed(self, error: BaseException) -> Crashed:
        explains = getattr(self._behaviour, "explains", None)
        return Crashed.by(error, explains=self.pid.node.explains if explains is None else explains)

    def _guarded(self, step: Callable[[], Ending | None]) -> None:
        try:
            ending = step()
        except Exit as exit_:
            ending = Ending(exit_.reason)
        except BaseException as error:  # noqa: BLE001  # rule 2
            ending = Ending(self._crashed(error))
        if ending is not None:
            self._end(ending)

    def _end(self, ending: Ending, message: Any = None) -> None:
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
        restarts = restarts_of(pid)  # before its supervisor hears of it
        if pid.finish(reason):
            kind, trace = _kind_of(message), reason.traceback if isinstance(reason, Crashed) else ""
            pid.node.observe(ProcessCrashed(pid.label, pid.serial, str(reason), kind, supervisor, restarts, trace))

    def _on_envelope(self, envelope: Any) -> None:
        """What pykka's refs put becomes ours, in the sender's thread."""
        message, future = envelope.message, envelope.reply_to
        if isinstance(message, _ActorStop):
            if future is not None:
                self.pid.monitor(lambda _down: future.set(None))
            self.pid.post(StopRequest(SHUTDOWN))
        elif isinstance(message, (ProxyCall, ProxyGetAttr, ProxySetAttr)):
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
    """The type of what a callback was given, without the kernel's own wrapping."""
    if isinstance(message, Call):
        message = message.request
    elif isinstance(message, Cast):
        message = message.message
    return "none" if message is None else type(message).__name__


class _NameInbox:
    """An inbox that forwards to whoever has the name when something is put."""

    def __init__(self, node: Node, name: str, translate: Translator, wake: Callable[[], bool]) -> None:
        self._node, self._name, self._translate, self._wake = node, name, translate, wake

    def put(self, envelope: Any) -> None:
        if envelope.reply_to is not None and holds_up(self._node.name(self._name)):
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

    def empty(self) -> bool:
        return True

    def get(self) -> Any:
        raise NotImplementedError("this inbox only forwards")


class NamedRef(pykka.ActorRef[Any]):
    """A pykka ActorRef to a name: `ask` and `tell` reach whoever has it now, so it survives restarts.

    Raises what *translate* makes of the kernel's errors when there is nobody. *wake* is asked first whether it can
    bring somebody up, as in the child of a fork; it must not raise.
    """

    def __init__(self, node: Node, name: str, translate: Translator, wake: Callable[[], bool] = lambda: False) -> None:
        self.actor_class = _Actor
        self.actor_urn = f"urn:secrets-actor:{name}"
        self.actor_inbox = _NameInbox(node, name, translate, wake)
        self.actor_stopped = Latch()  # type: ignore[assignment]
        self._node, self._name = node, name

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """As pykka's. Who blocks for *timeout* seconds is a caller with that deadline: pykka itself tells the process
        nothing of it, which then works for callers that have long gone."""
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
    """Start a process and wait for its init, up to *timeout* seconds (None: as long as it takes).

    *link* ties it to the process that starts it, its parent; *mailbox* bounds its calls; *deadline* its callbacks, in
    seconds, if its parent is a supervisor. *on_made* is told of it before its init, so that it can be stopped then.
    Raises `StartError` when init fails, ignores (`error.reason is IGNORE`) or takes too long (`TIMEOUT`; it is then
    killed), or when there is no thread for it (`NO_THREAD`); `NameTaken`; and `ForkedProcess` in a process of the
    program that was forked from the node's.
    """
    actor = _Actor(node, factory, label, name)
    pid = actor.pid
    pid.mailbox.limit(mailbox)
    if deadline is not None:
        actor.watch = CallbackDeadline(pid, deadline)
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
        pid.kill()  # if it never began, for its starter is dead; else its end reaches the starter as any other's does
        reason = pid.reason or KILLED
    except CallTimeout:
        reason = TIMEOUT
        _undo(pid, starter)
    except StartError as error:  # no thread: there was no init to raise one
        reason = error.reason
        _undo(pid, starter, reason)
    except BaseException:
        _undo(pid, starter)
        raise
    raise StartError(reason)


def _undo(pid: Pid, starter: Pid | None, reason: ExitReason = KILLED) -> None:
    if starter is not None:
        starter.unlink(pid)
    pid.finish(reason)
