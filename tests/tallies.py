"""What a whole run has counted, told at its end. Tests may run in several processes: each hands its part on."""

from collections import Counter
from typing import Any, Final

import pytest

# How much the hunts for canaries have searched: texts, bytes, files, and pieces by their kind.
SEARCHED: Final[Counter[str]] = Counter()
# The known divergences of the emulators that were met: which emulator, and what about.
MET: Final[set[tuple[str, str]]] = set()
_KEY: Final = "tallies"


def hand_on(config: pytest.Config) -> None:
    """At the end of a process that works for another one: give what was counted here."""
    given: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if given is not None:
        given[_KEY] = dict(SEARCHED), sorted(MET)


def take_in(given: dict[str, Any]) -> None:
    """In the process that others work for: add what one of them gave."""
    searched, met = given.get(_KEY, ({}, ()))
    SEARCHED.update(searched)
    MET.update((where, topic) for where, topic in met)


def tell(reporter: pytest.TerminalReporter) -> None:
    """Say where the emulators are known to differ from AWS and which of these were met, and how much was searched."""
    from tests.contract.divergences import DIVERGENCES

    if MET:
        reporter.section("known divergences of the emulators")
        for (where, topic), known in sorted(DIVERGENCES.items()):
            met = "met" if (where, topic) in MET else "not met in this run"
            reporter.line(f"{where} {topic} ({met}): {known.instead}; AWS: {known.aws}")
    if SEARCHED["texts"]:
        reporter.section("the hunt for canaries")
        texts, size, files = (SEARCHED[one] for one in ("texts", "bytes", "files"))
        reporter.line(f"searched {texts:,} texts, {size:,} bytes, {files} files")
        kinds = sorted(set(SEARCHED) - {"texts", "bytes", "files"}, key=lambda kind: -SEARCHED[kind])
        reporter.line(", ".join(f"{kind} {SEARCHED[kind]:,}" for kind in kinds))
