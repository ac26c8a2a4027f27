"""Whoever is killed while he writes leaves a whole store: a few kills; more are marked slow."""

from pathlib import Path

import pytest

from tests.crashes.driver import Driver


@pytest.mark.parametrize(("seed", "kills"), [(5, 6), pytest.param(6, 60, marks=pytest.mark.slow)])
def test_after_a_kill_the_store_holds_what_was_acknowledged(seed: int, kills: int, tmp_path: Path) -> None:
    report = Driver(tmp_path, seed).run(kills)

    print(report)
    assert report.problems == []
    assert report.kills.total() == kills
    assert report.acknowledged.total() > kills
