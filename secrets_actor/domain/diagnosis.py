"""What an examination of a store finds. PURE."""

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How bad it is: nothing, worth a look, or in the way. `SKIPPED`: could not be tried, because of another fault."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


class Finding(Struct, frozen=True):
    """One line of the report: what was looked at, how it is, and what to do, if anything."""

    check: str
    verdict: Verdict
    fact: str
    remedy: str | None = None
