"""Random supervisor scenarios recorded on OTP 25, played on our processes."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.otp.replay.runner import replay

FILES = sorted((Path(__file__).parent / "traces_more").glob("*.json"))
AT_ONCE = 6  # they mostly wait


def problems(file: Path) -> list[str]:
    """What went another way than on OTP."""
    return [f"{file.stem}: {problem}" for problem in replay(json.loads(file.read_text()), 1000.0).problems]


def test_random_scenarios_go_as_on_otp() -> None:
    assert len(FILES) == 36
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert [problem for found in pool.map(problems, FILES) for problem in found] == []
