"""Logs of our own, written where a test can read them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.telemetry.logs import Log, make_logger

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def log(log_file: Path) -> Log:
    return make_logger(format="json", output=str(log_file))


@pytest.fixture
def lines(log_file: Path) -> Lines:
    return lambda: [json.loads(line) for line in log_file.read_text().splitlines()]
