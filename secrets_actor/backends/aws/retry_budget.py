"""The retry quota and the send rate of AWS's adaptive mode, which limit all workers of one backend together. PURE: the
clock's reading is an argument.

Both keep an outage from becoming worse: without them, each call that fails would become three. Source of all numbers:
botocore's retries/quota.py and standard.py, and adaptive.py with throttling.py and bucket.py.
"""

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

CAPACITY: Final = 500
# A call that succeeds at its first attempt gives this back.
REFUND: Final = 1


class Quota(Struct, frozen=True):
    """The retry quota: *available* of `CAPACITY` are left. A further attempt takes some, a success returns some."""

    available: int = CAPACITY

    def take(self, cost: int) -> "Quota | None":
        """Return the quota less *cost*, or None when less than *cost* is left."""
        return Quota(self.available - cost) if cost <= self.available else None

    def give(self, amount: int) -> "Quota":
        """Return the quota with *amount* more, `CAPACITY` at most."""
        return self if self.available >= CAPACITY else Quota(min(CAPACITY, self.available + amount))


# CUBIC, the congestion control of TCP (RFC 9438): after throttling the rate falls to this share of itself ...
BETA: Final = 0.7
# ... and then grows along a cubic curve, as steep as this says.
SCALE: Final = 0.4
# The share of the newest half second in the measured rate.
SMOOTHING: Final = 0.8
HALF_SECOND: Final = 0.5
# Requests a second.
MIN_RATE: Final = 0.5
# The rate may be this many times the measured one, so that it does not grow while a program is idle.
HEADROOM: Final = 2.0


class SendRate(Struct, frozen=True):
    """The rate at which requests may be sent: a token bucket whose rate follows AWS's throttling.

    Rates are in requests a second; times in seconds, on the clock of *now*. It is off, and holds nothing back, until
    AWS throttles for the first time.
    """

    on: bool
    # The rate of real requests: the answers counted since `counted_from`, and the smoothed rate before that.
    measured: float
    counted: int
    counted_from: float
    # CUBIC: the rate at which AWS throttled, when it did, and the seconds until the curve reaches that rate again.
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
        """Return a rate that is off and has measured nothing yet."""
        return cls(False, 0.0, 0, math.floor(now), 0.0, now, 0.0, 1.0, 1.0, 0.0, now)

    def admit(self, now: float) -> "tuple[SendRate, float]":
        """Ask for leave to send a request.

        Returns (the rate after the request, 0.0) when it may be sent now, and else (the rate, the seconds after which
        to ask again).
        """
        if not self.on:
            return self, 0.0
        filled = self._filled(now)
        if filled.tokens >= 1.0:
            return replace(filled, tokens=filled.tokens - 1.0), 0.0
        return filled, (1.0 - filled.tokens) / filled.rate

    def answered(self, now: float, *, throttled: bool) -> "SendRate":
        """Return the rate after a request has ended, with an answer or without. *throttled*: AWS throttled it."""
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
