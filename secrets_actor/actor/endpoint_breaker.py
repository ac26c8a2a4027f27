"""The breaker of the store in force: what an error says of its endpoint. PURE; how a breaker works is in breaker.py.

Rule 1: a lost connection, a failure of the store and a time-out speak against the endpoint. A time-out as much as there
        was time: that one caller was in a hurry says little. A caller that gives up before its deadline, because it was
        cancelled, counts as if its deadline had passed.
Rule 2: a store without an endpoint, such as the local one, has no breaker: it never opens.
Rule 3: what was sent to the store before says nothing about the present one (the caller of this module sees to it).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from secrets_actor.actor.breaker import Breaker, BreakerRules
from secrets_actor.domain.errors import (
    BackendTimeout,
    CircuitOpen,
    DeadlineExceeded,
    SecretsError,
    StoreFailure,
    Unreachable,
)
from secrets_actor.otp import LifecycleEvent

# What an answer of 5xx counts: a quarter, for a store may fail at one operation and be well. Exact in binary.
_UNWELL: Final = 0.25
_LOST: Final = (Unreachable, StoreFailure, DeadlineExceeded)
_TIMEOUTS: Final = (BackendTimeout, DeadlineExceeded)


class BreakerOpened(LifecycleEvent, frozen=True):
    """Nothing is sent to *endpoint* for *pause* seconds: the last operation met *problem* (an error's code)."""

    endpoint: str
    problem: str
    pause: float


class BreakerClosed(LifecycleEvent, frozen=True):
    """*endpoint* answers again."""

    endpoint: str


class EndpointBreaker(Breaker):
    """The breaker of *endpoint* (host and port; None: it never opens). *chance* gives numbers from 0 to 1."""

    def __init__(self, rules: BreakerRules, chance: Callable[[], float], endpoint: str | None) -> None:
        super().__init__(rules, chance)
        self.endpoint = endpoint

    def met(self, operation: int, error: SecretsError, sent_at: float, deadline: float, now: float) -> bool:
        """*operation*, which was sent at *sent_at* and had until *deadline*, met *error*. Whether that opens the
        breaker."""
        if self.endpoint is None:
            return False
        if isinstance(error, _TIMEOUTS):
            return self.timed_out(operation, sent_at, deadline - sent_at, now)
        if isinstance(error, _LOST):
            return self.failed(operation, sent_at, now, _UNWELL if isinstance(error, StoreFailure) else 1.0)
        self.withdrawn(operation)
        return False

    def hears_nothing(self, begun: float, now: float) -> bool:
        """Whether the endpoint, thought to be well, has been silent for longer than is fair: since *begun*, when an
        operation was sent, or since its last answer, if that came later."""
        return self.endpoint is not None and super().hears_nothing(begun, now)

    def circuit_open(self, now: float) -> CircuitOpen:
        """The error for an operation that must not go now."""
        pause = self.pause(now)
        when = f"in {pause:.1f} s" if pause else "at this moment"
        text = f"{self.endpoint} did not answer lately, so nothing is sent there; it is tried again {when}"
        return CircuitOpen(text, endpoint=self.endpoint or "", retry_after=pause)


def is_answer(error: SecretsError) -> bool:
    """Whether it takes a store that is there to make *error*."""
    return not isinstance(error, _LOST)
