"""The process that fires delayed messages. One for each node; put it early into the tree.

What it waits by stands still while the machine sleeps, and the clock does not: so it looks at least every `LOOK`
seconds, and no message is later than that after the machine has woken up.
"""

from __future__ import annotations

from typing import Any, Final

from secrets_actor.otp.gen_server import GenServer, Handled, InitResult, NoReply, Ok

# Seconds. A look takes some 20 microseconds.
LOOK: Final = 1.0


class TimerServer(GenServer):
    """Works the node's timer table. The table outlives it, so a restart takes over where it ended."""

    may_wait = False

    def init(self) -> InitResult:
        """Take over the table as it is."""
        self.node.timers.keeper = self.me
        return Ok(timeout=0.0)

    def handle_timeout(self) -> Handled:
        """The next one is due: fire, and sleep until the one after it."""
        left = self.node.timers.fire_due()
        return NoReply(timeout=None if left is None else min(left, LOOK))

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """Woken up: there is an earlier one, or the clock jumped."""
        return self.handle_timeout()
