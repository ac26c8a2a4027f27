"""The watchdog: a process of the tree that asks, again and again, whether the tree still answers.

Its question goes to the root supervisor, from there to the supervisor `core`, from there to the secrets actor, and
back: each is asked for the next. A timer starts it, so the process `timers` takes part, too. Only a whole round counts:
then *beat* is called, which feeds systemd's watchdog. A thread with a timer would feed it while all the rest hangs.

Rule 1: nothing waits here. What does not answer is asked again with the next round, and answers to an earlier round do
        not count.
Rule 2: that a process is just being restarted is no failure: the next round finds the new one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor.messages import Ping
from secrets_actor.otp import CallDone, Child, GenServer, Handled, InitResult, Ok, Pid, WhichChildren

# Its id, and its registered name.
WATCHDOG: Final = "watchdog"


class _Round(Struct, frozen=True):
    """Timer: ask again."""


class _Asked(Struct, frozen=True):
    """The tag of a question: the number of its round, and the names of those that are still to be asked."""

    round: int
    rest: tuple[str, ...]


class Watchdog(GenServer):
    """Asks along *path*, ids of children below the root, every *seconds*, and calls *beat* after each whole round."""

    may_wait = False

    def __init__(self, path: tuple[str, ...], seconds: float, beat: Callable[[], object]) -> None:
        self._path, self._seconds, self._beat = path, seconds, beat
        self._round = 0

    def init(self) -> InitResult:
        """Begin the first round at once, when the start is over."""
        return Ok(then=_Round())

    def status(self) -> str:
        """Return the number of rounds."""
        return f"round {self._round}"

    def handle_continue(self, message: Any) -> Handled:
        """Begin a round."""
        return self.handle_info(message)

    def handle_info(self, message: Any) -> Handled:
        """Begin a round, or take an answer."""
        if isinstance(message, _Round):
            self._round += 1
            self.send_after(self._seconds, _Round())
            self._ask(_root_of(self.me), self._path)
        elif isinstance(message, CallDone) and isinstance(message.tag, _Asked) and message.tag.round == self._round:
            self._answered(message.tag.rest, message.done)
        return None

    def _ask(self, pid: Pid, rest: tuple[str, ...]) -> None:
        self.call_async(pid, WhichChildren() if rest else Ping(), _Asked(self._round, rest))

    def _answered(self, rest: tuple[str, ...], done: Any) -> None:
        if done.error is not None:  # rule 2
            return
        if not rest:
            self._beat()
            return
        children: tuple[Child, ...] = done.result()
        found = next((child.pid for child in children if child.spec.id == rest[0]), None)
        if found is not None:
            self._ask(found, rest[1:])


def _root_of(pid: Pid) -> Pid:
    while pid.parent is not None:
        pid = pid.parent
    return pid
