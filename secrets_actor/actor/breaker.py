"""The circuit breaker of one endpoint. With it, only one caller waits for an endpoint that is down, and not all. PURE.

Rule 1: while the breaker is closed, every operation may go. It opens when *failures* operations in a row have failed
        because the endpoint did not answer. A few are enough, because a backend tries each of them several times, over
        seconds. The failure of an operation does not count if another one has succeeded since it began.
Rule 2: while the breaker is open, no operation may go until a pause is over. Then one operation goes, the probe: the
        breaker is half open, and lets nothing else go until the probe is back. If the probe succeeds, the breaker
        closes. If it fails, the breaker opens again, for twice as long as before, up to *longest* seconds.
Rule 3: the time-out of an operation with a short deadline says little about the endpoint. But silence adds up: when the
        operations without an answer have waited for *fair* seconds together since the last answer, that counts as one
        failure.
Rule 4: any answer is a success, even a refusal, because it shows that the store is there. A store that answers that it
        has failed is there, but not well. Perhaps only this one operation fails, so that counts as a part of a failure.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct


class Circuit(StrEnum):
    """The three states of a breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerRules(Struct, frozen=True):
    """The numbers of a breaker.

    *failures*: after how many failed operations in a row it opens (0: never). *first* and *longest*: the seconds of the
    first and of the longest pause. Each pause is made shorter by a random share, up to *jitter*, so that many programs
    do not probe at once. *fair*: seconds in which an endpoint that is there has answered (AWS's answers take tens of
    milliseconds). It is a little less than a second, because callers in a hurry allow one second, and a part of that is
    over before anything is sent.
    """

    failures: int = 1
    first: float = 0.5
    longest: float = 30.0
    jitter: float = 0.5
    fair: float = 0.95


class Breaker:
    """The breaker of one endpoint. Operations are known by number; times are clock seconds; *chance* returns random
    numbers from 0 to 1."""

    def __init__(self, rules: BreakerRules, chance: Callable[[], float]) -> None:
        self._rules, self._chance = rules, chance
        self._failures, self._pauses = 0.0, 0
        self._succeeded_at = float("-inf")
        # The seconds for which operations have waited in vain, and the moment up to which they are counted: operations
        # wait at the same time, and no second must count twice.
        self._silence, self._heard_until = 0.0, float("-inf")
        self._until: float | None = None  # the end of the pause; None: closed
        self._probe: int | None = None

    @property
    def state(self) -> Circuit:
        """The state. After the pause it is still `OPEN`, until an operation asks to go and becomes the probe."""
        if self._until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if self._probe is None else Circuit.HALF_OPEN

    def admits(self, operation: int, now: float) -> bool:
        """Whether *operation* may go. After a pause, the first operation that asks becomes the probe."""
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
        """Whether *operation* is the probe."""
        return self._probe == operation

    def pause(self, now: float) -> float:
        """Seconds until the next probe may go; 0 while one is under way."""
        return 0.0 if self._until is None or self._probe is not None else max(0.0, self._until - now)

    def succeeded(self, now: float) -> bool:
        """The endpoint has answered. Return whether that closes the breaker."""
        was_open = self._until is not None
        self._failures, self._pauses = 0.0, 0
        self._until = self._probe = None
        self._succeeded_at = self._heard_until = now
        self._silence = 0.0
        return was_open

    def failed(self, operation: int, begun: float, now: float, weight: float = 1.0) -> bool:
        """The endpoint failed at *operation*, which was sent at *begun*. This counts as *weight* of a failure. Return
        whether it opens the breaker."""
        if self._probe == operation:
            return self._open(now)
        if self._until is not None or self._succeeded_at > begun or not self._rules.failures:
            return False
        self._failures += weight
        return self._failures >= self._rules.failures and self._open(now)

    def timed_out(self, operation: int, begun: float, allowed: float, now: float) -> bool:
        """The endpoint did not answer *operation*, which was sent at *begun*, within its *allowed* seconds. Return
        whether that opens the breaker (rule 3)."""
        self._silence += max(0.0, now - max(begun, self._heard_until))
        self._heard_until = max(now, self._heard_until)
        if max(allowed, self._silence) < self._rules.fair:
            self.withdrawn(operation)
            return False
        self._silence = 0.0
        return self.failed(operation, begun, now)

    def hears_nothing(self, begun: float, now: float) -> bool:
        """Whether the breaker is closed, and an operation that was sent at *begun* has waited long enough without any
        answer of the endpoint for that to be a failure."""
        return self._until is None and now - max(begun, self._heard_until) >= self._rules.fair

    def withdrawn(self, operation: int) -> None:
        """*operation* ended, and says nothing about the endpoint. If it was the probe, the next operation that asks to
        go becomes the probe."""
        if self._probe == operation:
            self._probe = None

    def _open(self, now: float) -> bool:
        rules = self._rules
        pause = min(rules.longest, rules.first * 2 ** min(self._pauses, 30))
        self._pauses += 1
        self._until = now + pause * (1.0 - rules.jitter * self._chance())
        self._probe = None
        return True
