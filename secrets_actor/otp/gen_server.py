"""The gen_server behaviour: callbacks that say what to do next, and the clients' call, cast and stop.

Rule 1: a callback returns what shall happen (`Reply`, `NoReply`, `Stop`; None is `NoReply()`); the shell does it.
Rule 2: answering and returning are two things: keep the caller, return `NoReply`, `caller.reply` later from anywhere.
Rule 3: `Stop(reason, reply)` runs terminate first and replies then, even if terminate raises.
Rule 4: a continuation runs before any message, and after the starter or caller has its answer.
Rule 5: on an exit signal a trapping server terminates if it comes from its parent; any other's is for `handle_info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from secrets_actor.otp.behaviour import Ending
from secrets_actor.otp.calls import Address
from secrets_actor.otp.errors import BadReturn, NoTimerServer
from secrets_actor.otp.messages import Call, Cast, Down, ExitSignal, IdleTimeout
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import MonitorRef, Pid, current
from secrets_actor.otp.reasons import IGNORE, NORMAL, ExitReason
from secrets_actor.otp.reply import From, answer_all
from secrets_actor.otp.timers import Timer

T = TypeVar("T")
_NOTHING: Final = object()
# Seconds that a thread of a crowd waits, with its answer there, for those before it.
HURRY: Final = 0.25


class Ok(Struct, frozen=True):
    """init went well. *then* goes to `handle_continue`; *timeout* seconds of silence end in `handle_timeout`; *info* is
    for the starter, who finds it in `pid.info`."""

    then: Any = _NOTHING
    timeout: float | None = None
    info: Any = None


class Ignore(Struct, frozen=True):
    """init decided that the process is not needed: no error, no process."""


class Reply(Struct):
    """Answer the call with *value*."""

    value: Any
    then: Any = _NOTHING
    timeout: float | None = None


class NoReply(Struct):
    """Nothing to answer, or not yet."""

    then: Any = _NOTHING
    timeout: float | None = None


class Stop(Struct, frozen=True):
    """End the process. With *reply* in a call, answer it first: after terminate, before the end."""

    reason: ExitReason = NORMAL
    reply: Any = _NOTHING


InitResult = Ok | Ignore | Stop | None
Handled = Reply | NoReply | Stop | None


class GenServer:
    """Base of servers. Subclass it, override the callbacks; state lives in attributes.

    All callbacks run in the server's own thread, one at a time. `me`, `node` and `parent` are set before `init`.
    Set `trap_exit` to have `terminate` run when the supervisor shuts the server down. Clear `may_wait` for one that
    others of its node wait for: a call from its thread, by whatever code runs there, then raises `CallingSelf` at once.
    """

    trap_exit: bool = False
    may_wait: bool = True
    explains: bool | None = None  # False: its errors may quote what nobody is to read. None: as the node has it
    me: Pid
    node: Node
    parent: Pid | None

    # --- callbacks ------------------------------------------------------------------------------------------------

    def init(self) -> InitResult:
        """Set up; the starter waits for it. Touch no network here: a tree must come up during an outage."""
        return None

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:  # noqa: ARG002
        """Answer *request* now (`Reply`) or later (`NoReply`, then `caller.reply`)."""
        raise BadReturn(f"{type(self).__name__} handles no calls of type {type(request).__name__}")

    def handle_cast(self, message: Any) -> Handled:
        """Take a message that wants no answer."""
        raise BadReturn(f"{type(self).__name__} handles no casts of type {type(message).__name__}")

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """Take any other message: timers, `Down`, `ExitSignal`, what foreign actors tell. Ignored by default."""
        return None

    def handle_continue(self, message: Any) -> Handled:
        """Go on with what init or a callback asked for by *then*."""
        raise BadReturn(f"{type(self).__name__} continues with nothing, not even {type(message).__name__}")

    def handle_timeout(self) -> Handled:
        """No message came within the timeout that the last callback asked for."""
        return None

    def terminate(self, reason: ExitReason) -> object:
        """Clean up. Not called after a failed init, a kill, or a shutdown that is not trapped."""

    def abandon(self) -> None:
        """Called from a foreign thread when this process was cut off: unblock whatever it waits for."""

    def status(self) -> str:
        """A few words for the picture of the tree. Called from any thread, at any time after init: change nothing."""
        return ""

    def translate(self, error: BaseException) -> BaseException:
        """What a plain pykka `ask` of this server raises for *error*."""
        return error

    # --- for use in callbacks -------------------------------------------------------------------------------------

    def send_after(self, delay: float, message: Any) -> Timer:
        """Have *message* come to `handle_info` in *delay* seconds. Raises `NoTimerServer`."""
        if self.node.timers.keeper is None:
            raise NoTimerServer
        return self.node.timers.send_after(delay, self.me, message)

    def reply_all(self, callers: Sequence[From[T]], value: T) -> None:
        """Answer all of *callers* with *value*: a crowd of threads one by one, but within HURRY seconds."""
        crowd = answer_all(callers, value)
        if crowd is not None and self.node.timers.keeper is None:
            crowd.post()
        elif crowd is not None:
            self.node.timers.send_after(HURRY, crowd, None)

    def cancel_timer(self, timer: Timer) -> float | None:
        """Take a timer back: the seconds it had left, None if it has fired."""
        return self.node.timers.cancel(timer)

    def monitor(self, pid: Pid) -> MonitorRef:
        """Have a `Down` come to `handle_info` when *pid* ends."""
        me = self.me

        def hear(down: Down) -> None:
            if current() is me:
                down.ref.heard = me.waits
            me.post(down)

        return pid.monitor(hear)

    def demonitor(self, ref: MonitorRef, flush: bool = False) -> bool:
        """Take a monitor back; *flush* drops a `Down` that has come already. False if it had fired.

        One that this server made itself, by monitoring the dead or ending the living, has not come yet, as on OTP,
        until the server waits for a message or an answer: it is dropped without *flush*, too.
        """
        ref.flushed = flush or ref.heard == self.me.waits
        return ref.pid.demonitor(ref)

    def call_async(self, server: Address, request: Any, tag: object) -> None:
        """Call without waiting: a `CallDone` with *tag* comes to `handle_info`."""
        me = self.me
        caller: From[Any] = From()
        caller.on_settled(lambda done: me.post(CallDone(tag, done)))
        server.deliver(request, caller)

    # --- the shell (called by the process) ------------------------------------------------------------------------

    def start(self, me: Pid) -> Ending | None:
        """Run init."""
        self.me, self.node, self.parent = me, me.node, me.parent
        if type(self).abandon is GenServer.abandon:
            me.abandon = None  # nothing to call, and no thread to call it in
        result = self.init()
        me.trap_exit = self.trap_exit
        self._then: Any = _NOTHING
        match result:
            case None:
                return None
            case Ok(then, timeout, info):
                self._then, me.info = then, info
                me.mailbox.idle_timeout = timeout
                return None
            case Ignore():
                return Ending(IGNORE)
            case Stop(reason):
                return Ending(reason)
        raise BadReturn(f"init returned a {type(result).__name__}", result)

    def after_start(self) -> Ending | None:
        """Run what init asked to continue with."""
        then, self._then = self._then, _NOTHING
        return None if then is _NOTHING else self._do(self.handle_continue(then), None)

    def dispatch(self, message: Any) -> Ending | None:
        """Hand one message to its callback."""
        kind = type(message)
        mailbox = self.me.mailbox
        if kind is Call:
            mailbox.idle_timeout = None  # any message ends a timeout
            caller = message.caller
            result = self.handle_call(message.request, caller)
            if type(result) is Reply and result.then is _NOTHING and result.timeout is None:  # as nearly always
                caller.reply(result.value)
                return None
            return self._do(result, caller)
        if kind is Cast:
            mailbox.idle_timeout = None
            return self._do(self.handle_cast(message.message), None)
        if kind is Down and message.ref.flushed:
            return None  # as if it had never come
        mailbox.idle_timeout = None
        if kind is IdleTimeout:
            return self._do(self.handle_timeout(), None)
        if kind is ExitSignal and (
            message.sender is self.parent or (self.parent is None and message.sender is self.me)
        ):
            return Ending(message.reason)  # as in OTP, a process started without a link is its own parent
        return self._do(self.handle_info(message), None)

    def _do(self, result: Handled, caller: From[Any] | None) -> Ending | None:
        while result is not None:
            kind = type(result)
            if kind is Reply or kind is NoReply:
                if kind is Reply:
                    if caller is None:
                        raise BadReturn("Reply where there is no caller", result)
                    caller.reply(result.value)  # type: ignore[union-attr]
                if result.timeout is not None:  # type: ignore[union-attr]
                    self.me.mailbox.idle_timeout = max(result.timeout, 0.0)  # type: ignore[union-attr]
                if result.then is _NOTHING:  # type: ignore[union-attr]
                    return None
                result, caller = self.handle_continue(result.then), None  # type: ignore[union-attr]
            elif kind is Stop:
                return _ending(result, caller)  # type: ignore[arg-type]
            else:
                raise BadReturn(f"a callback returned a {kind.__name__}", result)
        return None


def _ending(result: Stop, caller: From[Any] | None) -> Ending:
    if caller is None or result.reply is _NOTHING:
        return Ending(result.reason)
    return Ending(result.reason, lambda: caller.reply(result.reply))


class CallDone(Struct, frozen=True):
    """What `call_async` yields: `done.result()` is the answer, or raises."""

    tag: object
    done: From[Any]
