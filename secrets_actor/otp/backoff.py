"""The wait before a child is started again, as a rule with numbers. PURE: callers pass run time, tries and chance."""

from __future__ import annotations

import math

from msgspec import Struct


class Backoff(Struct, frozen=True):
    """The rule for the wait before a restart: *initial* seconds before the first one, *factor* times longer before each
    next one, at most *maximum* seconds. The first *at_once* restarts are made without any wait and are not counted
    here.

    *jitter*, 0 to 1, is the share of the wait that chance may take off, so that children that failed together do not
    all come back at the same moment. A child that ran for *stable* seconds before it ended starts again from the first
    wait. OTP has no backoff: it restarts at once.
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.2
    stable: float = 60.0
    at_once: int = 0

    @property
    def problem(self) -> str | None:
        """A text that says which fields are wrong and what they must be; None if all are right."""
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
        """Return the number of the next try, from 1. *tries* were made in a row without a stable run; the last process
        ran for *ran* seconds."""
        return 1 if ran >= self.stable else tries + 1

    def delay(self, tries: int, chance: float) -> float:
        """Return the seconds to wait before try number *tries*, from 1; *chance* is a random number, 0 to 1."""
        if tries <= self.at_once:
            return 0.0
        try:
            full = min(self.initial * self.factor ** (tries - self.at_once - 1), self.maximum)
        except OverflowError:  # a float power raises beyond 1e308, which a child that never comes up reaches one day
            full = self.maximum
        return full * (1 - self.jitter * chance)
