"""What the kernel itself puts into mailboxes. Anything else in a mailbox is for `handle_info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from secrets_actor.otp.reasons import ExitReason
from secrets_actor.otp.reply import From

if TYPE_CHECKING:
    from secrets_actor.otp.pid import MonitorRef, Pid


class Call:
    """A request that wants an answer. Plain, like Cast: freezing doubles the cost of the commonest message."""

    __slots__ = __match_args__ = ("request", "caller")

    def __init__(self, request: Any, caller: From[Any]) -> None:
        self.request, self.caller = request, caller


class Cast:
    """A message that wants none."""

    __slots__ = __match_args__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class StopRequest(Struct, eq=False):
    """End with *reason* when it is this message's turn; `taken` says that it was."""

    reason: ExitReason
    taken: bool = False


class ExitSignal(Struct, frozen=True):
    """A linked process ended, or *sender* (None: the starter outside any process) asks a trapping process to end."""

    sender: Pid | None
    reason: ExitReason


class Down(Struct, frozen=True):
    """A monitored process has ended."""

    ref: MonitorRef
    pid: Pid | None
    reason: ExitReason


class IdleTimeout(Struct, frozen=True):
    """No message came within the time that the last callback asked for."""


class Tellable(Protocol):
    """Whatever can be told something: a pykka ActorRef, for one."""

    def tell(self, message: Any) -> None:
        """Take *message*, without waiting for anything to come of it."""


class Ask(Struct, frozen=True):
    """`ref.tell(Ask(request, reply_to=me, tag=...))`: ask without blocking; an `Answered` is told to *reply_to*."""

    request: Any
    reply_to: Tellable
    tag: object = None


class Answered(Struct, frozen=True):
    """The answer to an `Ask` with this *tag*: a value, or an error."""

    tag: object
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value
