"""The hunt for a test."""

from collections.abc import Iterator

import pytest

from tests.canaries.canary_search import Hunt


@pytest.fixture
def hunt() -> Iterator[Hunt]:
    """All loggers at DEBUG, and nobody's exceptions lost."""
    with Hunt() as hunt:
        yield hunt
