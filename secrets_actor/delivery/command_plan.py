"""What is done with a command that runs, when something happens: a signal, a change, its end. PURE.

| phase | a change | TERM, or the end is wanted | the grace is over | it has ended |
|---|---|---|---|---|
| running | stop it: restarting | stop it: ending | - | its end is told; OTP decides on a restart |
| restarting | -, for it will start with the newest | ending, in the grace that runs | killed | started |
| ending | - | killed: somebody is in a hurry | killed | its end is told, and it is not started again |

Rule 1: a change that comes while the command is being stopped, or is not there, starts nothing more: what is started
        next is the newest. So a change and a crash at once are one start.
Rule 2: a restart because of a change counts in no restart window: it is no failure.
Rule 3: a signal that somebody has sent to end the command (TERM, INT, QUIT, and any other that it dies of) is meant
        for good: it is not started again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:  # the front door of otp leads to threads, too
    from secrets_actor.otp import Restart

# Signals after which an end within the grace was wanted (rule 3): a terminal sends them, too.
_INT, _QUIT, _TERM = 2, 3, 15  # as everywhere: signal(7)
_WANTED: Final = (_INT, _QUIT, _TERM)


class Phase(StrEnum):
    """What is meant to become of the command."""

    RUNNING = "running"
    RESTARTING = "restarting"
    ENDING = "ending"


class Act(StrEnum):
    """What is to be done."""

    SEND = "send"  # the signal
    STOP = "stop"  # the stop signal, and an alarm for the end of the grace
    KILL = "kill"
    START = "start"  # kill what is left of its group, and start the newest
    OVER = "over"  # kill what is left of its group: it is not started again
    ENDED = "ended"  # by itself: its supervisor decides


class Course(Struct, frozen=True):
    """The state of a command that runs. *restart* and *grace* (seconds) are as configured. *signals* are those that
    were handed to it, *wanted_until* is until when its end counts as wanted (rule 3)."""

    restart: Restart
    grace: float
    phase: Phase = Phase.RUNNING
    signals: frozenset[int] = frozenset()
    wanted_until: float = 0.0

    def changed(self) -> tuple[Course, tuple[Act, ...]]:
        """Take a change that is told by a restart."""
        if self.phase is not Phase.RUNNING:
            return self, ()
        return replace(self, phase=Phase.RESTARTING), (Act.STOP,)

    def signalled(self, number: int, now: float) -> tuple[Course, tuple[Act, ...]]:
        """Take the signal *number*, which somebody has sent to us."""
        noted = replace(self, signals=self.signals | {number})
        if number in _WANTED:
            noted = replace(noted, wanted_until=now + self.grace)
        if number != _TERM:
            return noted, (Act.SEND,)
        acts = {Phase.RUNNING: (Act.STOP,), Phase.RESTARTING: (), Phase.ENDING: (Act.KILL,)}
        return replace(noted, phase=Phase.ENDING), acts[self.phase]

    def out_of_grace(self) -> tuple[Act, ...]:
        """Take the end of the grace."""
        return () if self.phase is Phase.RUNNING else (Act.KILL,)

    def ended(self, status: int, now: float) -> Act:
        """Take the end of the command: *status* is its exit code, or -n if signal n has ended it."""
        if self.phase is Phase.RESTARTING and now > self.wanted_until:
            return Act.START
        final = self.phase is not Phase.RUNNING or now <= self.wanted_until or -status in self.signals
        return Act.OVER if final or not restarts(self.restart, status) else Act.ENDED


def restarts(restart: Restart, status: int) -> bool:
    """Whether a command that has ended by itself with *status* is started again."""
    return restart == "permanent" or (restart == "transient" and status != 0)
