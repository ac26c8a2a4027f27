"""Every recorded scenario of Erlang/OTP gives the same trace on our kernel. They mostly wait, so they overlap."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.otp.replay.runner import Outcome, load, replay

FOLDER = Path(__file__).parent / "traces"
FILES = sorted(FOLDER.rglob("*.json"))
JOBS = 8


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[Path, Future[Outcome]]]:
    """The outcomes to come of the scenarios that this run has selected."""
    selected = {path for item in request.session.items if (path := _scenario(item)) is not None}
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        yield {path: pool.submit(replay, load(path)) for path in FILES if path in selected}


def _scenario(item: pytest.Item) -> Path | None:
    if getattr(item, "originalname", "") != test_a_scenario_goes_as_it_went_in_erlang.__name__:
        return None
    path: Path = getattr(item, "callspec").params["path"]  # noqa: B009  # pytest has no public type for it
    return path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_goes_as_it_went_in_erlang(path: Path, outcomes: dict[Path, Future[Outcome]]) -> None:
    outcome = outcomes[path].result(timeout=60)
    if not outcome.passed:  # its steps are tens of milliseconds apart: a machine that stalled came too late for one
        outcome = replay(load(path))
    assert outcome.passed or outcome.skipped, "\n".join(outcome.problems)


def test_the_corpus_is_whole() -> None:
    assert len(FILES) == 182
