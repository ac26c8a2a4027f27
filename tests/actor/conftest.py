"""Every test of a running actor leaves no thread of a tree behind."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import System
from tests.actor.rig import RigStore, Watch, eventually, running, settings


def trees_threads() -> list[str]:
    """The threads of processes: their names have a serial."""
    return [one.name for one in threading.enumerate() if "#" in one.name]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(trees_threads())
    yield
    eventually(lambda: set(trees_threads()) <= before, f"the end of all threads ({trees_threads()})")


@pytest.fixture
def rig_store() -> RigStore:
    """An empty store in memory."""
    return RigStore()


@pytest.fixture
def watch() -> Watch:
    """The observer of `system`."""
    return Watch()


@pytest.fixture
def system(tmp_path: Path, rig_store: RigStore, watch: Watch) -> Iterator[System]:
    """A system over `rig_store`, running."""
    with running(System(settings(tmp_path), backend=rig_store.factory(), observer=watch), rig_store) as started:
        yield started


@pytest.fixture
def local(tmp_path: Path, watch: Watch) -> Iterator[System]:
    """A system over the encrypted local store, running."""
    with running(System(settings(tmp_path), observer=watch)) as started:
        yield started
