"""The oracle agrees with the recordings, and the kernel with the oracle where nothing was recorded."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.otp.oracle import Oracle, covers
from tests.otp.oracle.scenarios import scenario
from tests.otp.replay.canonical import canonical, differences
from tests.otp.replay.runner import load, replay

FILES = sorted((Path(__file__).parent / "traces" / "supervisor").glob("*.json"))
COVERED = [path for path in FILES if covers(load(path))]
SEEDS = range(100)
LATE_MS = 1000.0  # nothing in these scenarios is about time


@pytest.mark.parametrize("path", COVERED, ids=lambda path: path.stem)
def test_the_oracle_foretells_what_was_recorded(path: Path) -> None:
    document = load(path)
    assert differences(Oracle(document["scenario"]).run(), document, {}) == []


def test_the_oracle_covers_most_of_the_recordings() -> None:
    assert len(COVERED) >= 95


def foretold(seed: int) -> dict[str, Any]:
    """A scenario that nobody recorded, with the trace it must give."""
    made = scenario(Random(seed))
    trace = canonical(Oracle(made).run(), made)
    return {"name": f"seed {seed}", "family": "supervisor/foretold", "scenario": made, "trace": trace}


def test_random_trees_under_random_steps_go_as_the_oracle_says() -> None:
    documents = [foretold(seed) for seed in SEEDS]
    events = [event["ev"] for document in documents for event in document["trace"]]
    assert {"init_failed", "init_ignored", "start_call", "terminate", "sup_down", "info"} <= set(events)
    with ThreadPoolExecutor(max_workers=16) as pool:  # they mostly wait
        outcomes = list(pool.map(lambda document: replay(document, LATE_MS), documents))
    assert [problem for outcome in outcomes for problem in outcome.problems] == []
