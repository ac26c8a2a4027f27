"""The functions that clients use on a server: call, cast and stop."""

from __future__ import annotations

import sys
from typing import Any, Final, Protocol, TypeVar, overload

from secrets_actor.forks import notice_fork
from secrets_actor.otp.errors import CallFailed, CallingSelf, CallTimeout, EndedFirst, ForkedProcess, NoProcess
from secrets_actor.otp.events import AnswerForgotten
from secrets_actor.otp.messages import Cast, StopRequest
from secrets_actor.otp.pid import Down, Pid, current
from secrets_actor.otp.reasons import FORKED, NOPROC, NORMAL, ExitReason
from secrets_actor.otp.registry import Registry
from secrets_actor.otp.reply import From

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
# Seconds that a call waits if it is given no timeout. Precedent: gen_server:call/2 waits 5000 ms.
CALL_TIMEOUT: Final = 5.0


class Address(Protocol):
    """The address of a process: a `Pid` or a `Name`."""

    def send(self, message: Any) -> bool:
        """Put *message* into the mailbox. Return False if there is no such process."""

    def deliver(self, request: Any, caller: From[Any]) -> None:
        """Put a call into the mailbox. *caller* gets the answer, or an error if there is no such process."""

    def resolve(self) -> Pid | None:
        """Return the process that has this address now; None if there is none."""

    @property
    def registry(self) -> Registry:
        """The names of the node that this address belongs to."""


class TypedRequest(Protocol[T_co]):
    """A request that says of which type its answer is, to type checkers only: then `call` returns that type."""

    def _answer(self) -> T_co: ...


@overload
def call(server: Address, request: TypedRequest[T], timeout: float | None = CALL_TIMEOUT) -> T: ...


@overload
def call(server: Address, request: Any, timeout: float | None = CALL_TIMEOUT) -> Any: ...


def call(server: Address, request: Any, timeout: float | None = CALL_TIMEOUT) -> Any:
    """Send *request* to *server* and wait for the answer, up to *timeout* seconds (None: as long as it takes).

    Raises `CallTimeout` when the time is up, `CallFailed` with the exit reason if the server ends first, `NoProcess` if
    it does not exist (`ForkedProcess` if it is in the program that this one was forked from), `Overloaded` if its
    mailbox is full, `CallingSelf` in the server's own callbacks and in a process of the same node that others wait for
    (see `holds_up`), and any error that the server replies with.
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
    caller.patience = timeout  # `deliver` takes off it the time that the caller waits for room in the mailbox
    try:
        server.deliver(request, caller)
        return caller.wait(caller.patience)
    except CallTimeout as error:
        error.__traceback__ = None  # its frames hold the handle, too, and would be counted in the next line
        if sys.getrefcount(caller) == _OUR_REFERENCES:
            _tell_forgotten(server, request)
        raise
    finally:
        if not caller.settled:  # a signal handler raised: settle it, so that no table keeps the handle
            caller.fail(CallTimeout("nobody waits any more"))


# References to a handle that only `call` still has: its local variable, and the argument of `getrefcount`.
_OUR_REFERENCES: Final = 2


def _tell_forgotten(server: Address, request: Any) -> None:
    """Report a call that timed out and that the server can no longer answer, because it has not kept the handle."""
    pid = server.resolve()
    if pid is not None and pid.is_alive():
        pid.node.observe(AnswerForgotten(pid.label, pid.serial, type(request).__name__))


def holds_up(server: Address) -> bool:
    """Whether this thread belongs to a process that must not wait for *server*: to a supervisor of the same node, for
    example, which may be the one that has to start *server* again. A supervisor of ours never calls anybody, but other
    people's code runs in its thread, too: finalizers and log handlers."""
    here = current()
    return here is not None and not here.may_wait and here.reason is None and here.registry is server.registry


def cast(server: Address, message: Any) -> None:
    """Send *message* to `handle_cast`. It never raises: if there is no such process, the message is dropped."""
    server.send(Cast(message))


def stop(server: Address, reason: ExitReason = NORMAL, timeout: float | None = None) -> None:
    """Ask *server* to end with *reason* after the messages that it has already, and wait until it has ended, up to
    *timeout* seconds (None: as long as it takes).

    Raises `CallFailed` if it ended for another reason, `EndedFirst` (a `CallFailed`) if it ended by itself before it
    came to this message, `NoProcess` if there is no such process, `CallTimeout` when the time is up. Any reason may be
    given, `NOPROC` too.
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
        raise ForkedProcess(FORKED, pid.label)
    ref = pid.monitor(settle)
    request = StopRequest(reason)
    pid.send(request)
    try:
        found = ended.wait(timeout)
    finally:
        pid.demonitor(ref)
    # `taken` tells "there was no such process" from "it was stopped with NOPROC": the reason alone is the same.
    if found == NOPROC and not request.taken:
        raise NoProcess(NOPROC, pid.label)
    if not request.taken:
        raise EndedFirst(found)
    if found != reason:
        raise CallFailed(found)
