"""A store in a fresh folder, and backends on it that are closed at the end."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from secrets_actor.backends.local.backend import LocalBackend, kit
from tests.backends.local.helpers import WallClock

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
        backend = kit(path=folder, recovery_window=30, wall_clock=clock).connect()
        assert isinstance(backend, LocalBackend)
        opened.append(backend)
        return backend

    yield one_more
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Connect) -> LocalBackend:
    return connect()
