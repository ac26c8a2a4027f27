"""What all workers of a backend share about trying again: the quota, and the send rate in adaptive mode.

A thin shell: one lock around two pure values. Nothing waits in here; whoever is to wait is told for how long.
"""

import threading
from collections.abc import Callable

from secrets_actor.backends.aws.retry import COSTS, FailureKind, RetryPolicy
from secrets_actor.backends.aws.retry_budget import CAPACITY, REFUND, Quota, SendRate
from secrets_actor.clock import now


class RetryState:
    """For any thread. *clock* gives seconds."""

    def __init__(self, policy: RetryPolicy | None = None, clock: Callable[[], float] = now) -> None:
        self.policy = policy or RetryPolicy()
        self._clock = clock
        self._lock = threading.Lock()
        self._quota = Quota()
        self._rate = SendRate.at(clock()) if self.policy.adaptive else None

    def hold(self) -> float:
        """0.0 when a request may be sent now, which then counts as sent; else the seconds until asking again."""
        if self._rate is None:
            return 0.0
        with self._lock:
            self._rate, seconds = self._rate.admit(self._clock())
        return seconds

    def failed(self, kind: FailureKind) -> None:
        """An attempt ended in an error of *kind*."""
        self._answered(throttled=kind is FailureKind.THROTTLING)

    def succeeded(self, paid: FailureKind | None) -> None:
        """A call went well, on a try paid for after a failure of kind *paid*; None: at once."""
        self._answered(throttled=False)
        if self._quota.available < CAPACITY:
            with self._lock:
                self._quota = self._quota.give(REFUND if paid is None else COSTS[paid])

    def pay(self, kind: FailureKind) -> bool:
        """Pay for another try after a failure of *kind*. False: the quota is used up, and there is to be none."""
        with self._lock:
            left = self._quota.take(COSTS[kind])
            if left is not None:
                self._quota = left
        return left is not None

    def _answered(self, *, throttled: bool) -> None:
        if self._rate is not None:
            with self._lock:
                self._rate = self._rate.answered(self._clock(), throttled=throttled)

    def __repr__(self) -> str:
        rate = "" if self._rate is None or not self._rate.on else f", {self._rate.rate:.3g} requests/s"
        return f"<Pace [{self._quota.available} of {CAPACITY} left for tries{rate}]>"
