"""The process that fires delayed messages. One for each node; put it early into the tree."""

from __future__ import annotations

from typing import Any

from secrets_actor.otp.gen_server import GenServer, Handled, InitResult, NoReply, Ok


class TimerServer(GenServer):
    """Works the node's timer table. The table outlives it, so a restart takes over where it ended."""

    def init(self) -> InitResult:
        """Take over the table as it is."""
        self.node.timers.keeper = self.me
        return Ok(timeout=0.0)

    def handle_timeout(self) -> Handled:
        """The next one is due: fire, and sleep until the one after it."""
        return NoReply(timeout=self.node.timers.fire_due())

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """Woken up: there is an earlier one, or the clock jumped."""
        return self.handle_timeout()
