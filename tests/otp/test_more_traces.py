"""Further scenarios recorded on OTP 25, played on our processes."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.otp.replay.runner import replay

FILES = sorted((Path(__file__).parent / "traces_more").glob("*.json"))
AT_ONCE = 12  # they mostly wait


def problems(file: Path) -> list[str]:
    """What went another way than on OTP."""
    return [f"{file.stem}: {problem}" for problem in replay(json.loads(file.read_text()), 1000.0).problems]


def test_further_scenarios_go_as_on_otp() -> None:
    assert len(FILES) == 119
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert [problem for found in pool.map(problems, FILES) for problem in found] == []
