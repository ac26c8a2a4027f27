"""A user with a home of his own."""

from pathlib import Path

import pytest

from tests.cli.program import Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program without any configuration: its store will be in the user's home."""
    return Program(tmp_path / "home")
