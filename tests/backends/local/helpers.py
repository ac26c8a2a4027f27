"""What the local store's tests share."""

import resource
import signal
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Describe, Get, List, ListVersions, Operation
from secrets_actor.domain.ports import Backend, CallContext

T = TypeVar("T")

LONG: Final = 30.0
# Secrets in the store `filled`: more than a rekey does at once.
SECRETS: Final = 70
START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


class WallClock:
    """A wall clock that stands still until it is told otherwise, and seconds that go along with it, or not."""

    def __init__(self) -> None:
        self.now, self.seconds = START, 1000.0

    def __call__(self) -> datetime:
        return self.now

    def read_seconds(self) -> float:
        return self.seconds

    def advance(self, **passed: float) -> None:
        self.set(**passed)
        self.seconds += timedelta(**passed).total_seconds()

    def set(self, **ahead: float) -> None:
        """Somebody sets the wall clock: no time passes."""
        self.now += timedelta(**ahead)


def within(seconds: float = LONG) -> CallContext:
    return CallContext(clock_now() + seconds)


def do(backend: Backend, operation: Operation[T], seconds: float = LONG) -> T:
    """The answer's value."""
    return backend.perform(operation, within(seconds)).value


def tamper(folder: Path, *statements: str) -> None:
    """Run *statements* on the database of a store."""
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(folder: Path, question: str) -> list[tuple[Any, ...]]:
    """The rows that answer *question* in the database of a store."""
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as connection:
        return connection.execute(question).fetchall()


def key_of(folder: Path) -> KeyFile:
    """The key file in a store's folder."""
    return KeyFile(folder / KEY_NAME)


def assert_filled(backend: Backend) -> None:
    """All that the store `filled` holds is there."""
    assert len(do(backend, List(include_deleted=True))) == SECRETS
    for number in range(2, SECRETS):
        assert do(backend, Get(f"s{number}")).reveal() == f"value {number}"
    assert do(backend, Get("s0")).reveal() == "value 2 of s0"
    assert do(backend, Get("s0", stage="AWSPREVIOUS")).reveal() == "value 1 of s0"
    versions = do(backend, ListVersions("s0", include_deprecated=True)).versions
    assert do(backend, Get("s0", version_id=versions[0].version_id)).reveal() == "value 0"
    assert do(backend, Describe("s1")).description == "about it"


def told_with_locals(exc: BaseException) -> Iterator[str]:
    """What a tool that prints local variables would print of our frames."""
    for frame, _ in traceback.walk_tb(exc.__traceback__):
        if frame.f_globals["__name__"].startswith("secrets_actor"):
            yield repr(frame.f_locals)


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


# Run at the beginning of a child's script: it is killed when the function of this name (its last part, or more of them)
# is called (or returns) for the so-maniest time.
KILLER: Final = """
import os, signal, sys
name, turns, event = sys.argv[2], [int(sys.argv[3])], sys.argv[4]
def look(frame, what, argument):
    if what == event and frame.f_code.co_qualname.endswith(name):
        turns[0] -= 1
        if turns[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(look)
"""


def run_killed(script: str, folder: Path, name: str, turn: int, event: str) -> bool:
    """Run *script* in a child with *folder* as its first argument, until the function *name* is called (*event* `call`)
    or returns (`return`) for the *turn*th time; then it is killed. Whether it was: else it came to its end."""
    ended = run_python(KILLER + script, str(folder), name, str(turn), event)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0
