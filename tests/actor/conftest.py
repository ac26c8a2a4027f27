"""Every test of a running actor leaves no thread of a tree behind."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import System
from tests.actor.rig import Shelf, Watch, eventually, running, settings


def trees_threads() -> list[str]:
    """The threads of processes: their names have a serial."""
    return [one.name for one in threading.enumerate() if "#" in one.name]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(trees_threads())
    yield
    eventually(lambda: set(trees_threads()) <= before, f"the end of all threads ({trees_threads()})")


@pytest.fixture
def shelf() -> Shelf:
    """An empty store in memory."""
    return Shelf()


@pytest.fixture
def watch() -> Watch:
    """The observer of `system`."""
    return Watch()


@pytest.fixture
def system(tmp_path: Path, shelf: Shelf, watch: Watch) -> Iterator[System]:
    """A system over `shelf`, running."""
    with running(System(settings(tmp_path), backend=shelf.factory(), observer=watch), shelf) as started:
        yield started


@pytest.fixture
def local(tmp_path: Path, watch: Watch) -> Iterator[System]:
    """A system over the encrypted local store, running."""
    with running(System(settings(tmp_path), observer=watch)) as started:
        yield started
