"""The circuit breaker of one endpoint: an outage costs one caller's wait, not everyone's. PURE.

Rule 1: closed, everything goes. It opens when *failures* operations in a row found the endpoint out: each has been
        tried several times already, over seconds. One that began before another ended well does not count.
Rule 2: open, nothing goes for a pause. Then it is half open: one operation goes, the probe, and nothing else until it
        is back. Its success closes the breaker; its failure opens it again, for twice as long, up to *longest* seconds.
Rule 3: one whose caller was in a hurry had not time enough to say much. But silence adds up: when the operations that
        nobody answered have waited for *fair* seconds together since the last answer, that counts as one failure.
Rule 4: any answer is a success, a refusal too: a store that says no is there. One that says that it has failed is
        there, but not well: that may be this one operation's fault, and counts for less.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class Circuit(StrEnum):
    """The three states."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerRules(Struct, frozen=True):
    """*failures*: operations in a row after which it opens (0: never). *first* and *longest*: seconds of a pause; each
    is made shorter by up to *jitter*, so that many programs do not probe at once. *fair*: seconds within which an
    endpoint that is there has answered; AWS's answers take tens of milliseconds. A little less than a whole second:
    callers in a hurry give a second, and some of it is over before anything is sent."""

    failures: int = 1
    first: float = 0.5
    longest: float = 30.0
    jitter: float = 0.5
    fair: float = 0.95


class Breaker:
    """One endpoint's. Operations are known by number; times are clock seconds; *chance* gives numbers from 0 to 1."""

    def __init__(self, rules: BreakerRules, chance: Callable[[], float]) -> None:
        self._rules, self._chance = rules, chance
        self._failures, self._pauses = 0.0, 0
        self._succeeded_at = float("-inf")
        self._silence, self._heard_until = 0.0, float("-inf")  # seconds waited in vain, and until when they are counted
        self._until: float | None = None  # the end of the pause; None: closed
        self._probe: int | None = None

    @property
    def state(self) -> Circuit:
        """The state; open until somebody comes after the pause."""
        if self._until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._probe is None else Circuit.HALF_OPEN

    def admits(self, operation: int, now: float) -> bool:
        """Whether *operation* may go. After a pause, the first that asks is the probe."""
        if self._until is None or self._probe == operation:
            return True
        if self._probe is None and now >= self._until:
            self._probe = operation
            return True
        return False

    def shut(self, now: float) -> bool:
        """Whether a new operation would be refused."""
        return self._until is not None and (self._probe is not None or now < self._until)

    def is_probe(self, operation: int) -> bool:
        """Whether *operation* is the one that goes ahead."""
        return self._probe == operation

    def pause(self, now: float) -> float:
        """Seconds until the next probe may go; 0 while one is under way."""
        return 0.0 if self._until is None or self._probe is not None else max(0.0, self._until - now)

    def succeeded(self, now: float) -> bool:
        """The endpoint has answered. Whether that closes the breaker."""
        was_open = self._until is not None
        self._failures, self._pauses = 0.0, 0
        self._until = self._probe = None
        self._succeeded_at = self._heard_until = now
        self._silence = 0.0
        return was_open

    def failed(self, operation: int, begun: float, now: float, weight: float = 1.0) -> bool:
        """The endpoint did not answer *operation*, which was sent at *begun*. Whether that opens the breaker."""
        if self._probe == operation:
            return self._open(now)
        if self._until is not None or self._succeeded_at > begun or not self._rules.failures:
            return False
        self._failures += weight
        return self._failures >= self._rules.failures and self._open(now)

    def timed_out(self, operation: int, begun: float, allowed: float, now: float) -> bool:
        """Nobody had answered *operation*, which was sent at *begun*, by the end of the *allowed* seconds. Whether that
        opens the breaker."""
        self._silence += max(0.0, now - max(begun, self._heard_until))
        self._heard_until = max(now, self._heard_until)
        if max(allowed, self._silence) < self._rules.fair:
            self.withdrawn(operation)
            return False
        self._silence = 0.0
        return self.failed(operation, begun, now)

    def hears_nothing(self, begun: float, now: float) -> bool:
        """Whether it is closed, and an operation that was sent at *begun* has met as much silence as is a failure."""
        return self._until is None and now - max(begun, self._heard_until) >= self._rules.fair

    def withdrawn(self, operation: int) -> None:
        """*operation* came to nothing without a word about the endpoint: if it was the probe, the next one is."""
        if self._probe == operation:
            self._probe = None

    def _open(self, now: float) -> bool:
        rules = self._rules
        pause = min(rules.longest, rules.first * 2 ** min(self._pauses, 30))
        self._pauses += 1
        self._until = now + pause * (1.0 - rules.jitter * self._chance())
        self._probe = None
        return True
