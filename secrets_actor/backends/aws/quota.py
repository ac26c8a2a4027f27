"""How many more tries all calls of a kit may cost together. PURE.

Tries against a service in trouble add to its trouble; a full bucket pays for 35 of them at once, then they must be
earned. A try that ended well gives its cost back; a call that needed none gives back one. Source: botocore's
retries/quota.py and `RetryQuotaChecker`, in their form of 2026.
"""

from typing import Final

from secrets_actor.records import dataclass

CAPACITY: Final = 500
# What a call gives back that went well at once.
REFUND: Final = 1


@dataclass(frozen=True, slots=True)
class Quota:
    """A bucket with *available* of `CAPACITY`."""

    available: int = CAPACITY

    def take(self, cost: int) -> "Quota | None":
        """The bucket less *cost*; None when it holds less."""
        return Quota(self.available - cost) if cost <= self.available else None

    def give(self, amount: int) -> "Quota":
        """The bucket with *amount* more, and never more than it holds."""
        return self if self.available >= CAPACITY else Quota(min(CAPACITY, self.available + amount))
