"""A callback that takes too long: its process is cut off and disowned.

Rule 1: the process notes when a callback begins and when it waits again; nobody else touches that.
Rule 2: no timer for each callback: one is under way. When it fires, the supervisor looks: it cuts the process off, or
        sets the timer for the callback that runs now, or leaves that to the next one.
Rule 3: either side first says what it does and then looks at what the other has said: no callback goes unwatched.
Rule 4: the supervisor is the judge, for it is the one to act. While it waits for a child's end it judges nobody: there
        the shutdown time holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class CallbackDeadline:
    """Over the callbacks of *pid*: *seconds* for each, terminate included."""

    __slots__ = ("_armed", "_pid", "_seconds", "_since", "_take")

    def __init__(self, pid: Pid, seconds: float) -> None:
        self._pid, self._seconds = pid, seconds
        self._take: Callable[[], Any] = pid.mailbox.take
        self._since: float | None = None  # when the callback began that runs now
        self._armed = False

    def take(self) -> Any:
        """The next message: what goes before it is over, what comes after it is watched."""
        self._since = None
        message = self._take()
        self.begins()
        return message

    def begins(self) -> None:
        """A callback begins."""
        self._since = self._pid.node.clock.now()
        if not self._armed:
            self._arm(self._seconds)

    def _arm(self, delay: float) -> None:
        judge = self._pid.parent
        if judge is not None:
            self._armed = True
            self._pid.node.timers.send_after(delay, judge, CallbackOverdue(self))

    def judge(self) -> None:
        """In the supervisor: cut the process off if it is overdue."""
        self._armed = False
        since = self._since
        if since is None or not self._pid.is_alive():
            return
        left = since + self._seconds - self._pid.node.clock.now()
        if left <= 0.0:
            self._pid.kill()
        else:
            self._arm(left)


class CallbackOverdue(Struct, frozen=True):
    """To a supervisor: it may be that a child is over its time."""

    watch: CallbackDeadline
