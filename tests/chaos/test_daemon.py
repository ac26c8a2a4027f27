"""A storm over a whole daemon: each request has an answer, or an end that its client sees; a longer one is slow."""

from pathlib import Path

import pytest

from tests.chaos.daemon import ONCE, RATES, Storm


@pytest.mark.parametrize(("seed", "seconds"), [(3, 3.0), pytest.param(4, 30.0, marks=pytest.mark.slow)])
def test_after_a_storm_every_request_is_accounted_for_and_no_value_is_found(
    seed: int, seconds: float, tmp_path: Path
) -> None:
    report = Storm(seed, tmp_path).run(seconds)

    assert report.problems == [], str(report)
    assert report.statuses[200] > 200
    assert report.searched > 100_000
    if seconds >= 30:  # a short storm need not have them all
        assert set(report.deeds) == {*RATES, *ONCE}
    assert len(report.deeds) > 2
