"""One alarm for each job that is with a worker."""

from __future__ import annotations

from secrets_actor.actor.jobs import Overdue
from secrets_actor.otp import GenServer, Timer


class Alarms:
    """Sends *server* an `CallbackOverdue` for each job that is not done in time."""

    def __init__(self, server: GenServer) -> None:
        self._server = server
        self._set: dict[int, tuple[int, Timer]] = {}
        self._sendings = 0

    def arm(self, job: int, delay: float) -> None:
        """*job* was sent, and should be back in *delay* seconds."""
        self._sendings += 1
        self._set[job] = self._sendings, self._server.send_after(delay, Overdue(job, self._sendings))

    def disarm(self, job: int) -> None:
        """*job* is back, or its worker has ended."""
        alarm = self._set.pop(job, None)
        if alarm is not None:
            self._server.cancel_timer(alarm[1])

    def rings(self, overdue: Overdue) -> bool:
        """Whether *overdue* is news: its job has not come back meanwhile, nor been sent anew."""
        return overdue.flight in self._set and self._set[overdue.flight][0] == overdue.sending
