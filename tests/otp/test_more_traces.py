"""Random supervisor scenarios recorded on OTP 25, played on our processes."""

import json
from pathlib import Path

import pytest

from tests.otp.replay.runner import replay

FILES = sorted((Path(__file__).parent / "traces_more").glob("*.json"))


def test_they_are_there() -> None:
    assert len(FILES) == 36


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_random_scenario_goes_as_on_otp(file: Path) -> None:
    outcome = replay(json.loads(file.read_text()), 1000.0)
    assert not outcome.problems, outcome.problems
