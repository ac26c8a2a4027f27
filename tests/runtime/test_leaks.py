"""Systems that are started and stopped, over and over, leave nothing behind.

`LEAK_CYCLES=10000 python -m pytest -m slow tests/runtime/test_leaks.py` is the long form.
"""

import gc
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from secrets_actor import System
from secrets_actor.testing import fake_system
from tests.actor.rig import eventually, running, settings
from tests.actor.test_bad_server import system_at
from tests.servers.account import allow_everything
from tests.servers.ministack import Ministack

CYCLES: Final = int(os.environ.get("LEAK_CYCLES", "500"))
WARM_UP: Final = 200  # by then the allocator has the arenas it keeps
# Allocators keep what they have had, in pieces. A cycle that kept one small object would be at 1 KiB each.
SLACK_BYTES: Final = 4 * 2**20
KIB: Final = 1024


def _resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _descriptors() -> Counter[str]:
    found = []
    for one in Path("/proc/self/fd").iterdir():
        try:
            found.append(os.readlink(one))
        except OSError:
            continue  # the one of this very listing
    return Counter(one.split(":")[0] for one in found if not one.startswith("/proc"))  # sockets and pipes: how many


def _cycle(start: Callable[[], AbstractContextManager[System]], drain: float) -> None:
    with start() as system:
        system.secrets.set("a", "v")
        assert system.secrets.get("a", refresh=True).reveal() == "v"
        system.stop(drain=drain)


def _fake() -> AbstractContextManager[Any]:
    class Started:
        def __enter__(self) -> System:
            self.whole = fake_system()
            return self.whole.__enter__()[0]

        def __exit__(self, *error: Any) -> None:
            self.whole.__exit__(*error)

    return Started()


@pytest.fixture(params=["fake", "local", "aws"])
def start(request: Any, tmp_path: Path, fresh_ministack: Ministack) -> Callable[[], AbstractContextManager[System]]:
    """How a system is made, on each kind of store."""
    if request.param == "fake":
        return _fake
    if request.param == "local":
        return lambda: running(System(settings(tmp_path)))
    keys, url = fresh_ministack.account.user(allow_everything()), fresh_ministack.url
    return lambda: running(system_at(url, tmp_path, keys))


@pytest.fixture(autouse=True)
def _no_tracers() -> Iterator[None]:
    """No thread is traced meanwhile: coverage keeps a tracer for each thread that ever was."""
    trace = threading.gettrace()
    threading.settrace(None)  # type: ignore[arg-type]
    yield
    threading.settrace(trace)  # type: ignore[arg-type]


def _run(start: Callable[[], AbstractContextManager[System]], cycles: int) -> None:
    gc.collect()  # what earlier tests left
    threads, before = set(threading.enumerate()), _descriptors()
    _cycle(start, 0.0)
    gc.collect()
    objects = None
    for number in range(cycles):
        _cycle(start, 1.0 if number % 2 else 0.0)
        if number == min(WARM_UP, cycles // 2):
            gc.collect()
            objects, resident = len(gc.get_objects()), _resident()
    gc.collect()

    eventually(lambda: set(threading.enumerate()) <= threads, "the end of all threads")
    assert _descriptors() - before == Counter()
    assert objects is not None
    assert len(gc.get_objects()) - objects < 100 + cycles // 2, "less than one object for every other cycle"
    assert _resident() - resident < SLACK_BYTES + cycles * KIB // 4


def test_a_few_cycles_leave_nothing_behind(start: Callable[[], AbstractContextManager[System]]) -> None:
    _run(start, 20)


@pytest.mark.slow
def test_many_cycles_leave_nothing_behind(start: Callable[[], AbstractContextManager[System]]) -> None:
    _run(start, CYCLES)
