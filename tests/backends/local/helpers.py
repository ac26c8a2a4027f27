"""What the local store's tests share."""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from secrets_actor.domain.operations import Operation
from secrets_actor.domain.ports import Backend, CallContext

T = TypeVar("T")

LONG: Final = 30.0
START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


class WallClock:
    """A wall clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **passed: float) -> None:
        self.now += timedelta(**passed)


def within(seconds: float = LONG) -> CallContext:
    return CallContext(time.monotonic() + seconds)


def do(backend: Backend, operation: Operation[T], seconds: float = LONG) -> T:
    """The answer's value."""
    return backend.perform(operation, within(seconds)).value


def files(folder: Path) -> dict[str, bytes]:
    """Every file of the store, byte for byte."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@contextmanager
def no_file_grows() -> Iterator[None]:
    """What a full disk is to a program: every write fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def run_python(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *script* in a fresh interpreter, to its end."""
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
