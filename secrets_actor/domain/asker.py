"""Who asks: what travels with a call, and is not part of the question."""

from __future__ import annotations


class Asker:
    """*label* is what the asking part of the program calls itself, for the audit log; `recorded` is set by whoever
    writes the audit record of this call, so that it is written once."""

    __slots__ = ("label", "recorded")

    def __init__(self, label: str | None = None) -> None:
        self.label = label
        self.recorded = False
