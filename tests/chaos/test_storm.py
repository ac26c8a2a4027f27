"""A storm over the whole system: the books balance; a longer one is marked slow."""

from pathlib import Path

import pytest

from tests.chaos.storm import ONCE, RATES, Storm


@pytest.mark.parametrize(("seed", "seconds"), [(3, 3.0), pytest.param(4, 30.0, marks=pytest.mark.slow)])
def test_after_a_storm_every_call_is_accounted_for_and_the_tree_is_whole(
    seed: int, seconds: float, tmp_path: Path
) -> None:
    report = Storm(seed, tmp_path).run(seconds)

    assert report.problems == [], str(report)
    assert report.outcomes["answered"] > 200
    if seconds >= 30:  # a short storm need not have them all
        assert set(report.deeds) == {*RATES, *ONCE}
    assert len(report.deeds) > 2
