"""A store in a fresh folder, and backends on it that are closed at the end."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend, local_backend_factory
from secrets_actor.domain.operations import Delete, Set
from tests.backends.local.helpers import SECRETS, WallClock, do

Connect = Callable[[], LocalBackend]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def clock() -> WallClock:
    return WallClock()


@pytest.fixture
def connect(folder: Path, clock: WallClock) -> Iterator[Connect]:
    opened: list[LocalBackend] = []

    def one_more() -> LocalBackend:
        backend = local_backend_factory(
            path=folder, recovery_window=30, wall_clock=clock, seconds=clock.read_seconds
        ).connect()
        assert isinstance(backend, LocalBackend)
        opened.append(backend)
        return backend

    yield one_more
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> LocalBackend:
    return connect()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with `SECRETS` secrets, `s0` with three versions, and nobody at it: to be copied."""
    folder = tmp_path_factory.mktemp("filled") / "store"
    backend = local_backend_factory(path=folder, recovery_window=30, wall_clock=WallClock()).connect()
    for number in range(SECRETS):
        do(backend, Set(f"s{number}", f"value {number}", description="about it"))
    for number in (1, 2):
        do(backend, Set("s0", f"value {number} of s0"))
    do(backend, Delete("s1"))
    backend.close()
    return folder


@pytest.fixture
def store(filled: Path, folder: Path) -> Path:
    """A copy of the filled store."""
    return Path(shutil.copytree(filled, folder))
