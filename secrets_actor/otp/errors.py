"""The errors that the kernel raises to code that starts, calls or configures processes.

They can be pickled and copied. A pickle has no process and no object of a program's in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from secrets_actor.otp.reasons import ExitReason
from secrets_actor.pickling import PortableError, plain_form

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class OtpError(PortableError):
    """The base of the kernel's errors. It is never raised itself."""


class CallFailed(OtpError):
    """A call got no answer, because the process that owed it has ended. `reason` is the exit reason of that process."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(f"the process ended before it answered: {reason}")
        self.reason = reason


class NoProcess(CallFailed):
    """There is no such process: its name is not registered, or it has ended. `who` is its name or its label, "" if
    neither is known."""

    def __init__(self, reason: ExitReason, who: str = "") -> None:
        super().__init__(reason)
        self.who = who

    def __str__(self) -> str:
        return (
            f"there is no process {self.who}: {self.reason}" if self.who else f"there is no such process: {self.reason}"
        )


class EndedFirst(CallFailed):
    """A process that was asked to stop ended by itself, for any reason, before it came to that request."""


class ForkedProcess(NoProcess):
    """The process lives in the program that this one was forked from; a fork copies none of its threads. Start a tree
    of your own after the fork."""

    def __str__(self) -> str:
        what = f"the process {self.who}" if self.who else "the tree"
        return f"{what} lives in the program that this one was forked from: {self.reason}"


class CallTimeout(OtpError, TimeoutError):
    """The answer did not come in time. The server carries the request out all the same, unless it ends first; a late
    answer is dropped."""


class CallingSelf(OtpError):
    """A process called itself, or one that may be waiting for it, and would have waited forever."""


class Overloaded(OtpError):
    """The mailbox is full: the request was not accepted and will not be carried out. Slow down, or ask again later."""


class StartError(OtpError):
    """A process could not be started; `reason` says why."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(f"the process did not start: {reason}")
        self.reason = reason


class NameTaken(OtpError):
    """Another live process has the name; `holder` is that process; None in another program,
    where the error came by a pickle."""

    _local: ClassVar = frozenset({"holder"})
    holder: object = None

    def __init__(self, name: str, holder: object) -> None:
        super().__init__(f"the name {name} belongs to a live process")
        self.name, self.holder = name, holder


class InvalidTree(OtpError, ValueError):
    """A child spec or the flags of a supervisor are wrong; nothing was started.

    `part` is "flags" or "child". `problem` is OTP's word for the mistake, followed by the wrong values, such as
    ("invalid_strategy", value). In a pickle, a value that is no text and no number is the name of its type.
    """

    def __init__(self, text: str, part: str = "child", problem: tuple[object, ...] = ()) -> None:
        super().__init__(text)
        self.part, self.problem = part, problem

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"problem": plain_form(self.problem)}


class NoTimerServer(OtpError):
    """A delayed message cannot be sent, because no `TimerServer` was ever started on this node."""

    def __init__(self) -> None:
        super().__init__("no TimerServer runs on this node: start one first, such as the first child of the tree")


class ChildError(OtpError):
    """A supervisor refused a request about a child. `problem` is OTP's word for the reason: not_found, running,
    restarting, already_started (then `pid` is the child's process), already_present, max_children,
    simple_one_for_one. A pickle leaves `pid` out."""

    _local: ClassVar = frozenset({"pid"})
    pid: Pid | None = None

    def __init__(self, child: str, problem: str, pid: Pid | None = None) -> None:
        super().__init__(f"child {child}: {problem}")
        self.child, self.problem, self.pid = child, problem, pid


class BadReturn(OtpError, TypeError):
    """A callback returned something that it may not return. `value` is that object; it is in no text and no
    pickle, for it may hold a secret."""

    _local: ClassVar = frozenset({"value"})
    value: object = None

    def __init__(self, text: str, value: object = None) -> None:
        super().__init__(text)
        self.value = value


class Exit(PortableError):  # Erlang's exit/1
    """An exception that a callback raises to end its process with *reason*."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(str(reason))
        self.reason = reason
