"""The time limit of callbacks: a process whose callback takes too long is killed by its supervisor.

Rule 1: only the process notes when a callback begins and when it waits for a message again.
Rule 2: there is not one timer for each callback, for that would make every message slower. One timer is under way for
        the process. When it fires, the supervisor looks: it kills the process, or sets the timer again for the callback
        that runs now, or, if none runs, leaves that to the next callback.
Rule 3: the process first notes that a callback begins and then looks whether a timer is set; the supervisor first notes
        that no timer is set and then looks whether a callback runs. So no callback goes unwatched.
Rule 4: the supervisor decides, because the supervisor has to act. While it waits for the end of a child it does not
        look: the child's shutdown time holds then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from secrets_actor.otp.pid import Pid


class CallbackTimeout:
    """The watch over the callbacks of *pid*: each may take *seconds*, the terminate in which it may end included."""

    __slots__ = ("_armed", "_pid", "_seconds", "_since", "_take")

    def __init__(self, pid: Pid, seconds: float) -> None:
        self._pid, self._seconds = pid, seconds
        self._take: Callable[[], Any] = pid.mailbox.take
        self._since: float | None = None  # clock seconds at which the present callback began; None: none runs
        self._armed = False  # whether a timer is under way

    def take(self) -> Any:
        """Wait for the next message and return it. The callback before it is over; the one for it is watched."""
        self._since = None
        message = self._take()
        self.begins()
        return message

    def begins(self) -> None:
        """Note that a callback begins, and set the timer unless it is under way."""
        self._since = self._pid.node.clock.now()
        if not self._armed:
            self._arm(self._seconds)

    def _arm(self, delay: float) -> None:
        judge = self._pid.parent
        if judge is not None:  # without a supervisor nobody would kill the process
            self._armed = True
            self._pid.node.timers.send_after(delay, judge, CallbackOverdue(self))

    def check(self) -> None:
        """Kill the process if its callback is overdue, else set the timer again. Called in the supervisor's thread."""
        self._armed = False  # before the look at `_since`: rule 3
        since = self._since
        if since is None or not self._pid.is_alive():
            return
        left = since + self._seconds - self._pid.node.clock.now()
        if left <= 0.0:
            self._pid.kill()
        else:
            self._arm(left)


class CallbackOverdue(Struct, frozen=True):
    """The message to a supervisor that a child's callback may have taken too long."""

    watch: CallbackTimeout
