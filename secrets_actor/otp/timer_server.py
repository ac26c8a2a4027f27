"""The timer server: the process that sends delayed messages. Each node has one; put it early into the tree.

The wait for a message stands still while the machine sleeps, and the clock does not. So the timer server looks at the
table at least every `MAX_SLEEP` seconds: after the machine wakes up, no message is later than that.

The server is not in `timers.py`, because the node has a timer table, and a server is made of modules that know the
node.
"""

from __future__ import annotations

from typing import Any, Final

from secrets_actor.otp.gen_server import GenServer, Handled, InitResult, NoReply, Ok

# Seconds between two looks at the table. A look takes some 20 microseconds.
MAX_SLEEP: Final = 1.0


class TimerServer(GenServer):
    """The process that sends the messages in its node's timer table. The table outlives it, so that after a restart no
    timer is lost."""

    may_wait = False

    def init(self) -> InitResult:
        """Take over the timers of the node, and look at them at once."""
        self.node.timers.keeper = self.me
        return Ok(timeout=0.0)

    def handle_timeout(self) -> Handled:
        """Send all messages that are due, and sleep until the next one is."""
        left = self.node.timers.fire_due()
        return NoReply(timeout=None if left is None else min(left, MAX_SLEEP))

    def handle_info(self, message: Any) -> Handled:  # noqa: ARG002
        """Look at the table again: an earlier timer was set, the table is to be tidied, or the clock jumped."""
        return self.handle_timeout()
