"""What clients do: call, cast, stop."""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol

from secrets_actor.forks import notice_fork
from secrets_actor.otp.errors import CallFailed, CallingSelf, CallTimeout, EndedFirst, ForkedProcess, NoProcess
from secrets_actor.otp.events import AnswerForgotten
from secrets_actor.otp.messages import Cast, Down, StopRequest
from secrets_actor.otp.pid import Pid, current
from secrets_actor.otp.reasons import FORKED, NOPROC, NORMAL, ExitReason
from secrets_actor.otp.registry import Registry
from secrets_actor.otp.reply import From

# Seconds a call waits when not told otherwise. Precedent: gen_server:call/2.
CALL_TIMEOUT: Final = 5.0


class Address(Protocol):
    """A `Pid` or a `Name`."""

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox; False if nobody is there."""

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox."""

    def resolve(self) -> Pid | None:
        """The process behind it now."""

    @property
    def registry(self) -> Registry:
        """Of its node."""


def call(server: Address, request: Any, timeout: float | None = CALL_TIMEOUT) -> Any:
    """Ask *server* and wait for the answer.

    Raises `CallTimeout` after *timeout* seconds, `CallFailed` with the exit reason if the server ends first,
    `NoProcess` if it does not exist (`ForkedProcess`, if it is in the program that this one was forked from),
    `Overloaded` if its mailbox is full, `CallingSelf` from the server's own callbacks and from a process of the same
    node that others wait for (see `holds_up`), and what error it replied with.
    """
    notice_fork()
    caller: From[Any] = From()
    here = current()
    if here is not None:
        if server.resolve() is here:
            raise CallingSelf("a server that calls itself waits forever")
        if holds_up(server):
            raise CallingSelf(f"{here.label} may not wait for an answer: others wait for it")
        here.waits += 1
    caller.patience = timeout
    try:
        server.deliver(request, caller)
        return caller.wait(caller.patience)
    except CallTimeout as error:
        error.__traceback__ = None  # its frames hold the handle, too
        if sys.getrefcount(caller) == _MINE:
            _tell_forgotten(server, request)
        raise
    finally:
        if not caller.settled:  # cut off in the middle: nothing stays behind
            caller.fail(CallTimeout("nobody waits any more"))


# References to a handle that only `call` has left: its own, and that of the count itself.
_MINE: Final = 2


def _tell_forgotten(server: Address, request: Any) -> None:
    """Nobody has kept the handle of a call whose time is up, so nobody can have meant to answer it."""
    pid = server.resolve()
    if pid is not None and pid.is_alive():
        pid.node.observe(AnswerForgotten(pid.label, pid.serial, type(request).__name__))


def holds_up(server: Address) -> bool:
    """Whether this thread is that of a process which must not wait for *server*: a supervisor of its node, say, which
    may be the one to start it again. Code of others comes to run there, too: finalizers, and handlers of logs."""
    here = current()
    return here is not None and not here.may_wait and here.reason is None and here.registry is server.registry


def cast(server: Address, message: Any) -> None:
    """Send *message* to `handle_cast`. Never fails."""
    server.send(Cast(message))


def stop(server: Address, reason: ExitReason = NORMAL, timeout: float | None = None) -> None:
    """Have *server* end with *reason* when its turn comes, and wait until it has.

    Raises `CallFailed` if it ended for another reason, `EndedFirst` (a `CallFailed`) if it ended by itself before its
    turn to stop came, `NoProcess` if there is none, `CallTimeout`. Any reason will do, `NOPROC` too.
    """
    notice_fork()
    pid = server.resolve()
    if pid is None:
        raise NoProcess(NOPROC, getattr(server, "name", ""))
    if pid is current():
        raise CallingSelf("a server that waits for its own end waits forever: return Stop")
    ended: From[ExitReason] = From()

    def settle(down: Down) -> None:
        ended.reply(down.reason)

    if pid.reason is FORKED:
        raise ForkedProcess(FORKED)
    ref = pid.monitor(settle)
    request = StopRequest(reason)
    pid.send(request)
    try:
        found = ended.wait(timeout)
    finally:
        pid.demonitor(ref)
    if found == NOPROC and not request.taken:
        raise NoProcess(NOPROC, pid.label)
    if not request.taken:
        raise EndedFirst(found)
    if found != reason:
        raise CallFailed(found)
