"""The gen_server behaviour: a server is a class whose callbacks handle one message each and say what happens next.

Rule 1: a callback returns what is to happen (`Reply`, `NoReply`, `Stop`; None means `NoReply()`), and the methods under
        "the shell" do it.
Rule 2: a call need not be answered when its callback returns: keep the caller, return `NoReply`, and let
        `caller.reply` be called later, from any thread.
Rule 3: `Stop(reason, reply)` runs terminate first and replies then, even if terminate raises.
Rule 4: a continuation (*then*) runs before any message, and after the starter or the caller has its answer.
Rule 5: an exit signal from its parent ends a server that traps exits, after terminate. Exit signals from other
        processes come to its `handle_info`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from msgspec import Struct

from secrets_actor.otp.behaviour import Ending
from secrets_actor.otp.calls import Address
from secrets_actor.otp.errors import BadReturn, NoTimerServer
from secrets_actor.otp.messages import Call, Cast, IdleTimeout
from secrets_actor.otp.node import Node
from secrets_actor.otp.pid import Down, ExitSignal, MonitorRef, Pid, current
from secrets_actor.otp.reasons import IGNORE, NORMAL, ExitReason
from secrets_actor.otp.reply import From, answer_all
from secrets_actor.otp.timers import Timer

T = TypeVar("T")
_NOTHING: Final = object()
# The longest time in seconds that a thread whose answer is there waits until the threads before it have woken it. They
# normally do so within milliseconds; this bounds the wait if one of them is held up.
WAKE_ALL_AFTER: Final = 0.25


class Ok(Struct, frozen=True):
    """The result of an init that went well. *then* is passed to `handle_continue`. If no message comes for *timeout*
    seconds, `handle_timeout` is called. *info* is for the starter, which finds it in `pid.info`."""

    then: Any = _NOTHING
    timeout: float | None = None
    info: Any = None


class Ignore(Struct, frozen=True):
    """The result of an init that finds the process not needed: it is not started, and that is no error."""


class Reply(Struct):
    """The result of a callback that answers the call with *value*. *then* and *timeout* (seconds) are as in `Ok`."""

    value: Any
    then: Any = _NOTHING
    timeout: float | None = None


class NoReply(Struct):
    """The result of a callback that has nothing to answer, or not yet. *then* and *timeout* are as in `Ok`."""

    then: Any = _NOTHING
    timeout: float | None = None


class Stop(Struct, frozen=True):
    """The result of a callback that ends the process. In a call, *reply* is the answer: it is sent after terminate and
    before the process ends."""

    reason: ExitReason = NORMAL
    reply: Any = _NOTHING


InitResult = Ok | Ignore | Stop | None
Handled = Reply | NoReply | Stop | None


class GenServer:
    """The base class of servers. Subclass it, override the callbacks, and keep the state in attributes.

    All callbacks run in the server's own thread, one at a time. `me`, `node` and `parent` are set before `init`.
    Set `trap_exit` to have `terminate` run when the supervisor shuts the server down. Set `may_wait` to False for a
    server that others of its node wait for: any call from its thread, even by a log handler that happens to run there,
    then raises `CallingSelf` at once, where it might otherwise wait forever.

    Set `explains` to True to have the text and the traceback of a crash in the log, in crash reports and in exit
    reasons, to False to keep them out. None is as the node says (see `Node`): in a `secrets_actor.System`, the log
    tells only the type of the error and its place, because the text may quote a secret.
    """

    trap_exit: bool = False
    may_wait: bool = True
    explains: bool | None = None
    me: Pid
    node: Node
    parent: Pid | None

    # --- callbacks ------------------------------------------------------------------------------------------------

    def init(self) -> InitResult:
        """Set the server up. The starter waits for it. Touch no network here: a tree must come up during an outage."""
        return None

    def handle_call(self, request: Any, caller: From[Any]) -> Handled:  # noqa: ARG002
        """Answer *request* now (`Reply`), or later (`NoReply`, and `caller.reply` when the answer is there)."""
        raise BadReturn(f"{type(self).__name__} handles no calls of type {type(request).__name__}")

    def handle_cast(self, message: Any) -> Handled:
        """Handle a message that was sent by `cast`, which has no answer."""
        raise BadReturn(f"{type(self).__name__} handles no casts of type {type(message).__name__}")

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """Handle any other message: of a timer, `Down`, `ExitSignal`, or what a pykka actor tells. The default ignores
        it."""
        return None

    def handle_continue(self, message: Any) -> Handled:
        """Go on with *message*, which init or a callback has returned as *then*."""
        raise BadReturn(f"{type(self).__name__} continues with nothing, not even {type(message).__name__}")

    def handle_timeout(self) -> Handled:
        """React to silence: no message has come within the timeout that the last callback returned."""
        return None

    def terminate(self, reason: ExitReason) -> object:
        """Clean up. It is not called after a failed init, after a kill, or for an exit signal that is not trapped."""

    def abandon(self) -> None:
        """Unblock the server's thread, whatever it waits for: the process was killed. Called in another thread."""

    def status(self) -> str:
        """Return a few words for the picture of the tree. Called in any thread, at any time after init: it must change
        nothing."""
        return ""

    def translate(self, error: BaseException) -> BaseException:
        """Return the exception that a plain pykka `ask` of this server raises in place of *error*."""
        return error

    # --- for use in callbacks -------------------------------------------------------------------------------------

    def send_after(self, delay: float, message: Any) -> Timer:
        """Send *message* to this server's `handle_info` in *delay* seconds. Raises `NoTimerServer` if the node has
        none."""
        if self.node.timers.keeper is None:
            raise NoTimerServer
        return self.node.timers.send_after(delay, self.me, message)

    def reply_all(self, callers: Sequence[From[T]], value: T) -> None:
        """Answer all of *callers* with *value*. The threads of many callers wake one another, all within HURRY
        seconds."""
        group = answer_all(callers, value)
        if group is not None and self.node.timers.keeper is None:
            group.post()
        elif group is not None:
            self.node.timers.send_after(WAKE_ALL_AFTER, group, None)

    def cancel_timer(self, timer: Timer) -> float | None:
        """Cancel a timer. Return the seconds that it had left; None if it has fired or was cancelled before."""
        return self.node.timers.cancel(timer)

    def monitor(self, pid: Pid) -> MonitorRef:
        """Have a `Down` come to `handle_info` when *pid* ends."""
        me = self.me

        def hear(down: Down) -> None:
            if current() is me:  # this server has brought the Down about itself: see `demonitor`
                down.ref.heard = me.waits
            me.post(down)

        return pid.monitor(hear)

    def demonitor(self, ref: MonitorRef, flush: bool = False) -> bool:
        """Take a monitor back. Return False if it had fired. *flush* drops a `Down` that is already in the mailbox.

        On OTP a `Down` that the server brings about itself, by monitoring a dead process or by ending a live one, is
        not there before the server next waits for a message or an answer. Ours is in the mailbox at once. So until the
        server has waited, it is dropped even without *flush*.
        """
        ref.flushed = flush or ref.heard == self.me.waits
        return ref.pid.demonitor(ref)

    def call_async(self, server: Address, request: Any, tag: object) -> None:
        """Call *server* without waiting: a `CallDone` with *tag* comes to `handle_info` when the answer is there."""
        me = self.me
        caller: From[Any] = From()
        caller.on_settled(lambda done: me.post(CallDone(tag, done)))
        server.deliver(request, caller)

    # --- the shell (called by the process) ------------------------------------------------------------------------

    def start(self, me: Pid) -> Ending | None:
        """Run init and carry out its result."""
        self.me, self.node, self.parent = me, me.node, me.parent
        if type(self).abandon is GenServer.abandon:
            me.abandon = None  # the hook does nothing, so that a kill need not start a thread to call it in
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
        """Run the continuation that init has asked for, if any."""
        then, self._then = self._then, _NOTHING
        return None if then is _NOTHING else self._do(self.handle_continue(then), None)

    def dispatch(self, message: Any) -> Ending | None:
        """Hand one message to its callback."""
        kind = type(message)
        mailbox = self.me.mailbox
        if kind is Call:
            mailbox.idle_timeout = None  # as in OTP, any message ends the timeout that the callback before asked for
            caller = message.caller
            result = self.handle_call(message.request, caller)
            # Nearly every call ends here: this saves it the general `_do`.
            if type(result) is Reply and result.then is _NOTHING and result.timeout is None:
                caller.reply(result.value)
                return None
            return self._do(result, caller)
        if kind is Cast:
            mailbox.idle_timeout = None
            return self._do(self.handle_cast(message.message), None)
        if kind is Down and message.ref.flushed:
            return None  # `demonitor` has dropped it: it does not even end a timeout
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
    """The message that ends a `call_async`: `done.result()` returns the answer, or raises the error."""

    tag: object
    done: From[Any]
