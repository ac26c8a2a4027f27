"""How much trying again all workers of one backend may do together: the retry quota, and the send rate of AWS's
adaptive mode. PURE: the clock's reading is an argument.
"""

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

CAPACITY: Final = 500
# What a call gives back that went well at once.
REFUND: Final = 1


class Quota(Struct, frozen=True):
    """A bucket with *available* of `CAPACITY`."""

    available: int = CAPACITY

    def take(self, cost: int) -> "Quota | None":
        """The bucket less *cost*; None when it holds less."""
        return Quota(self.available - cost) if cost <= self.available else None

    def give(self, amount: int) -> "Quota":
        """The bucket with *amount* more, and never more than it holds."""
        return self if self.available >= CAPACITY else Quota(min(CAPACITY, self.available + amount))


BETA: Final = 0.7
SCALE: Final = 0.4
# The share of the newest half second in the measured rate.
SMOOTHING: Final = 0.8
HALF_SECOND: Final = 0.5
# Requests a second.
MIN_RATE: Final = 0.5
# The rate may be this many times what is measured.
HEADROOM: Final = 2.0


class SendRate(Struct, frozen=True):
    """One account's requests. Rates in requests a second; times in seconds, on the clock of *now*."""

    on: bool
    # What is really sent: answers counted since `counted_from`, and the smoothed rate before it.
    measured: float
    counted: int
    counted_from: float
    # CUBIC: the rate that was too much, when, and how long until the curve is there again.
    too_much: float
    throttled_at: float
    way_back: float
    # The bucket of tokens.
    rate: float
    capacity: float
    tokens: float
    filled_at: float

    @classmethod
    def at(cls, now: float) -> "SendRate":
        """Off, nothing measured yet."""
        return cls(False, 0.0, 0, math.floor(now), 0.0, now, 0.0, 1.0, 1.0, 0.0, now)

    def admit(self, now: float) -> "tuple[SendRate, float]":
        """(the rate after it, 0.0) when a request may go now; else (the rate, the seconds until it may be asked
        again)."""
        if not self.on:
            return self, 0.0
        filled = self._filled(now)
        if filled.tokens >= 1.0:
            return replace(filled, tokens=filled.tokens - 1.0), 0.0
        return filled, (1.0 - filled.tokens) / filled.rate

    def answered(self, now: float, *, throttled: bool) -> "SendRate":
        """A request ended, in an answer or not; *throttled*: AWS said that it was too much."""
        counted = self._counted(now)
        if throttled:
            sent = min(counted.measured, counted.rate) if counted.on else counted.measured
            way_back = (sent * (1 - BETA) / SCALE) ** (1 / 3)
            aimed = replace(counted, on=True, too_much=sent, throttled_at=now, way_back=way_back)
            return aimed._at_rate(sent * BETA, now)
        since = now - counted.throttled_at
        return counted._at_rate(SCALE * (since - counted.way_back) ** 3 + counted.too_much, now)

    def _at_rate(self, rate: float, now: float) -> "SendRate":
        filled = self._filled(now)  # at the old rate, until now
        aimed = min(rate, HEADROOM * self.measured)
        capacity = max(aimed, 1.0)
        return replace(filled, rate=max(aimed, MIN_RATE), capacity=capacity, tokens=min(filled.tokens, capacity))

    def _filled(self, now: float) -> "SendRate":
        tokens = min(self.capacity, self.tokens + (now - self.filled_at) * self.rate)
        return replace(self, tokens=tokens, filled_at=now)

    def _counted(self, now: float) -> "SendRate":
        begun = math.floor(now / HALF_SECOND) * HALF_SECOND
        counted = self.counted + 1
        if begun <= self.counted_from:
            return replace(self, counted=counted)
        newest = counted / (begun - self.counted_from)
        measured = newest * SMOOTHING + self.measured * (1 - SMOOTHING)
        return replace(self, measured=measured, counted=0, counted_from=begun)
