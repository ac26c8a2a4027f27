"""The hunt for a test, and the count of places searched at the end of a run."""

from collections.abc import Iterator

import pytest

from tests.canaries.hunt import TOTALS, Hunt


@pytest.fixture
def hunt() -> Iterator[Hunt]:
    """All loggers at DEBUG, and nobody's exceptions lost."""
    with Hunt() as hunt:
        yield hunt


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was searched."""
    if TOTALS["texts"]:
        terminalreporter.section("the hunt for canaries")
        terminalreporter.line(f"searched {TOTALS['texts']:,} texts, {TOTALS['bytes']:,} bytes, {TOTALS['files']} files")
        kinds = sorted(set(TOTALS) - {"texts", "bytes", "files"}, key=lambda kind: -TOTALS[kind])
        terminalreporter.line(", ".join(f"{kind} {TOTALS[kind]:,}" for kind in kinds))
