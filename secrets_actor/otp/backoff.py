"""How long to wait before a child is started again. PURE: time run, tries and chance come in."""

from __future__ import annotations

import math

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """Wait *initial* seconds before the first restart, *factor* times longer before each next, at most *maximum*.
    The first *at_once* restarts are not delayed at all, and not counted here.

    *jitter* takes up to that part off at random, 0 to 1. A child that ran *stable* seconds before it ended begins
    anew. OTP has none of this: it restarts at once.
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.2
    stable: float = 60.0
    at_once: int = 0

    @property
    def problem(self) -> str | None:
        """What does not hold; None if all does."""
        numbers = (self.initial, self.factor, self.maximum, self.jitter, self.stable, self.at_once)
        if any(isinstance(one, bool) or not isinstance(one, (int, float)) or not math.isfinite(one) for one in numbers):
            return "numbers"
        if self.initial < 0 or self.maximum < self.initial or self.stable < 0:
            return "initial, maximum and stable: seconds, 0 or more, and maximum no less than initial"
        if self.factor < 1:
            return "factor: 1 or more"
        if self.at_once < 0:
            return "at_once: 0 or more"
        return None if 0 <= self.jitter <= 1 else "jitter: 0 to 1"

    def next_try(self, tries: int, ran: float) -> int:
        """Which try in a row the next one is, from 1, after *tries* without a stable time and *ran* seconds of life."""
        return 1 if ran >= self.stable else tries + 1

    def delay(self, tries: int, chance: float) -> float:
        """Seconds to wait before try number *tries*, from 1; *chance* is 0 to 1."""
        if tries <= self.at_once:
            return 0.0
        try:
            full = min(self.initial * self.factor ** (tries - self.at_once - 1), self.maximum)
        except OverflowError:
            full = self.maximum
        return full * (1 - self.jitter * chance)
