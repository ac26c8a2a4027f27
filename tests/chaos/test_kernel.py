"""The books balance after a spell of chaos; a longer one is marked slow."""

import pytest

from tests.chaos.kernel import Chaos


@pytest.mark.parametrize(("seed", "seconds"), [(1, 2.0), pytest.param(2, 30.0, marks=pytest.mark.slow)])
def test_after_chaos_every_call_is_accounted_for_and_the_tree_is_whole(seed: int, seconds: float) -> None:
    report = Chaos(seed).run(seconds)
    assert report.problems == [], str(report)
    assert report.outcomes["answered"] > 100
    assert report.made == sum(report.outcomes.values())
    assert len(report.deeds) == 6
    assert report.disowned > 0
