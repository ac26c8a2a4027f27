"""What the kernel itself puts into mailboxes. Anything else in a mailbox is for `handle_info`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from secrets_actor.otp.reasons import ExitReason
from secrets_actor.otp.reply import From
from secrets_actor.records import dataclass

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


@dataclass(slots=True, eq=False)
class StopRequest:
    """End with *reason* when it is this message's turn; `taken` says that it was."""

    reason: ExitReason
    taken: bool = False


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """A linked process ended, or *sender* (None: the starter outside any process) asks a trapping process to end."""

    sender: Pid | None
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class Down:
    """A monitored process has ended."""

    ref: MonitorRef
    pid: Pid | None
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class IdleTimeout:
    """No message came within the time that the last callback asked for."""


class Tellable(Protocol):
    """Whatever can be told something: a pykka ActorRef, for one."""

    def tell(self, message: Any) -> None:
        """Take *message*, without waiting for anything to come of it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """`ref.tell(Ask(request, reply_to=me, tag=...))`: ask without blocking; an `Answered` is told to *reply_to*."""

    request: Any
    reply_to: Tellable
    tag: object = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to an `Ask` with this *tag*: a value, or an error."""

    tag: object
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value
