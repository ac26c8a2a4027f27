"""The findings of a check of a store, as `secrets-actor doctor` shows them. PURE."""

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """How bad a finding is. `FAULT`: the store does not work. `SKIPPED`: not checked, because of another fault."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"
    SKIPPED = "skipped"


class Finding(Struct, frozen=True):
    """One line of the report: what was checked, how bad it is, what was found, and what to do, if anything."""

    check: str
    verdict: Verdict
    fact: str
    remedy: str | None = None
