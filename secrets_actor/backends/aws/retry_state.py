"""The retry state that all workers of a backend share: the retry quota, and the send rate in adaptive mode.

A thin shell: one lock around two pure values. Nothing waits in here: `hold` tells its caller how long to wait.
"""

import threading
from collections.abc import Callable

from secrets_actor.backends.aws.retry import COSTS, FailureKind, RetryPolicy
from secrets_actor.backends.aws.retry_budget import CAPACITY, REFUND, Quota, SendRate
from secrets_actor.clock import now


class RetryState:
    """The retry quota and the send rate under one retry *policy*. For any thread. *clock* returns seconds."""

    def __init__(self, policy: RetryPolicy | None = None, clock: Callable[[], float] = now) -> None:
        self.policy = policy or RetryPolicy()
        self._clock = clock
        self._lock = threading.Lock()
        self._quota = Quota()
        self._rate = SendRate.at(clock()) if self.policy.adaptive else None

    def hold(self) -> float:
        """Return 0.0 when a request may be sent now, and count it; else the seconds after which to ask again."""
        if self._rate is None:
            return 0.0
        with self._lock:
            self._rate, seconds = self._rate.admit(self._clock())
        return seconds

    def failed(self, kind: FailureKind) -> None:
        """Note that an attempt ended in an error of *kind*."""
        self._answered(throttled=kind is FailureKind.THROTTLING)

    def succeeded(self, paid: FailureKind | None) -> None:
        """Note that a call succeeded, at an attempt that was paid for after a failure of kind *paid*.

        None: it succeeded at its first attempt. The quota gets back what was paid, or a little for a first attempt.
        """
        self._answered(throttled=False)
        # Read without the lock: usually the quota is full, and a call needs no lock. A stale reading costs one refund.
        if self._quota.available < CAPACITY:
            with self._lock:
                self._quota = self._quota.give(REFUND if paid is None else COSTS[paid])

    def pay(self, kind: FailureKind) -> bool:
        """Pay for another attempt after a failure of *kind*. Returns False when the quota does not allow one."""
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
        return f"<RetryState [{self._quota.available} of {CAPACITY} left for tries{rate}]>"
