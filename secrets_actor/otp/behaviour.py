"""What runs inside a process, as the process sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from secrets_actor.otp.reasons import ExitReason

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class Ending(Struct):
    """A behaviour wants its process to end. *last_words* run after terminate, whether or not it raised."""

    reason: ExitReason
    last_words: Callable[[], object] | None = None


class Behaviour(Protocol):
    """What runs inside a process. All but `abandon` and `translate` is called in the process's own thread."""

    trap_exit: bool
    may_wait: bool

    def start(self, me: Pid) -> Ending | None:
        """Initialise. An `Ending` means the process shall not come up: IGNORE for "ignore me"."""

    def after_start(self) -> Ending | None:
        """Whatever follows init before the first message, when the starter has been told already."""

    def dispatch(self, message: Any) -> Ending | None:
        """Handle one message."""

    def terminate(self, reason: ExitReason) -> object:
        """Clean up."""

    def abandon(self) -> None:
        """The process was cut off: from any thread, unblock whatever its own thread may be waiting for."""

    def translate(self, error: BaseException) -> BaseException:
        """What a plain pykka `ask` shall raise for *error*."""
