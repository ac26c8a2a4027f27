"""The interface between a process and the code that runs inside it, such as a gen_server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from secrets_actor.otp.reasons import ExitReason

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class Ending(Struct):
    """A behaviour's wish to end its process. *last_words* are called after terminate, even if terminate raised."""

    reason: ExitReason
    last_words: Callable[[], object] | None = None


class Behaviour(Protocol):
    """The code that runs inside a process. The process calls it in its own thread, except for `abandon` and
    `translate`, which any thread may call."""

    trap_exit: bool
    may_wait: bool

    def start(self, me: Pid) -> Ending | None:
        """Initialise. Return an `Ending` if the process is not to come up; its reason is IGNORE if that is no error."""

    def after_start(self) -> Ending | None:
        """Do the work that follows init and precedes the first message. The starter has been told already that the
        process is up."""

    def dispatch(self, message: Any) -> Ending | None:
        """Handle one message."""

    def terminate(self, reason: ExitReason) -> object:
        """Clean up."""

    def abandon(self) -> None:
        """Unblock the process's own thread, whatever it waits for: the process was killed from outside. Called from
        another thread."""

    def translate(self, error: BaseException) -> BaseException:
        """Return the exception that a plain pykka `ask` raises in place of *error*."""
