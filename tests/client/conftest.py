"""The client is tested over the same systems as the actor, and through both clients."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import System
from tests.actor.conftest import _no_thread_is_left, local, rig_store, watch
from tests.actor.rig import RigStore, Watch, running, settings
from tests.both_clients import CLIENTS, THREADS, seen_through

__all__ = ["_no_thread_is_left", "local", "rig_store", "watch"]
# Messages have no face; what is about asyncio has one only.
FACELESS = ("test_pykka_actors", "test_asyncio", "test_asyncio_ends")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test that uses a face runs once for each."""
    if "face" in metafunc.fixturenames and not metafunc.module.__name__.endswith(FACELESS):
        metafunc.parametrize("face", CLIENTS, indirect=True)


@pytest.fixture
def face(request: pytest.FixtureRequest) -> Iterator[Callable[[System], Any]]:
    """What makes of a system one that is used through the face of this run."""
    with seen_through(getattr(request, "param", THREADS)) as seen:
        yield seen


@pytest.fixture
def system(tmp_path: Path, rig_store: RigStore, watch: Watch, face: Callable[[System], Any]) -> Iterator[Any]:
    """A system over `rig_store`, running."""
    with running(System(settings(tmp_path), backend=rig_store.factory(), observer=watch), rig_store) as started:
        yield face(started)
