"""The messages that the kernel itself puts into mailboxes, beside `ExitSignal` and `Down` of pid.py. Any other message
goes to `handle_info` as it is."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from secrets_actor.otp.reasons import ExitReason
from secrets_actor.otp.reply import From


class Call:
    """A request that wants an answer. A plain class, like Cast: a frozen one doubles the cost of the most frequent
    message."""

    __slots__ = __match_args__ = ("request", "caller")

    def __init__(self, request: Any, caller: From[Any]) -> None:
        self.request, self.caller = request, caller


class Cast:
    """A message that wants no answer."""

    __slots__ = __match_args__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class StopRequest(Struct, eq=False):
    """The request to end with *reason* when the process comes to this message. The process sets `taken` then."""

    reason: ExitReason
    taken: bool = False


class IdleTimeout(Struct, frozen=True):
    """The message that no other message has come within the timeout that the last callback returned."""


class Tellable(Protocol):
    """An object that can be told a message, such as a pykka ActorRef."""

    def tell(self, message: Any) -> None:
        """Accept *message* and return at once, without an answer."""


class Ask(Struct, frozen=True):
    """A request of a pykka actor that does not want to block: `ref.tell(Ask(request, reply_to=me, tag=...))`. The
    answer is told to *reply_to* as an `Answered` with the same *tag*."""

    request: Any
    reply_to: Tellable
    tag: object = None


class Answered(Struct, frozen=True):
    """The answer to the `Ask` with this *tag*: a value, or an error."""

    tag: object
    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        """Return the value; raise the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value
