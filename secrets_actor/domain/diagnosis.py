"""What an examination of a store finds. PURE."""

from enum import StrEnum

from secrets_actor.records import dataclass


class Verdict(StrEnum):
    """How bad it is: nothing, worth a look, or in the way. `SKIPPED`: could not be tried, because of another fault."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report: what was looked at, how it is, and what to do, if anything."""

    check: str
    verdict: Verdict
    fact: str
    remedy: str | None = None
