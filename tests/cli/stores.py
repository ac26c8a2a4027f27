"""A store with many secrets, copied for each user who needs one, and what is done to it from outside."""

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.backend import LocalBackend, local_backend_factory
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Set
from secrets_actor.domain.semantics import perform
from tests.cli.program import SECONDS, Done, Program

MANY: Final = 200
# No output has this in it: it is a part of every value, and of every passphrase.
CANARY: Final = "kanarie"
FOLDER: Final = Path(".local/share/secrets-actor")
# Python runs this as it starts. A rekey takes some milliseconds, and a test that looked at the store from time to time
# missed them on a busy machine. So the program waits by itself: before the first transaction after one that has sealed
# values anew, until somebody has had the gate beside this file open for writing.
_STOPS_HALFWAY: Final = """
import functools, pathlib, sqlite3

class Halting(sqlite3.Connection):
    values_sealed = halted = False

    def execute(self, statement, *given):
        self.values_sealed |= statement.startswith("UPDATE versions SET key")
        if statement.startswith("BEGIN") and self.values_sealed and not self.halted:
            self.halted = True
            pathlib.Path(__file__).with_name("gate").read_bytes()
        return super().execute(statement, *given)

sqlite3.connect = functools.partial(sqlite3.connect, factory=Halting)
"""


def name(number: int) -> str:
    return f"app/{number:03}"


def fill(folder: Path) -> None:
    """Make a store with `MANY` secrets, in one transaction."""
    with open_store(folder) as backend:

        def work(records: object) -> None:
            for number in range(MANY):
                operation = Set(name(number), f"{CANARY} {number}")
                new_id, now = f"{number:032}", datetime.now(UTC)
                perform(records, operation, now, new_id=new_id, recovery_window=30, choose=lambda _below: 0)  # type: ignore[arg-type]

        backend.with_records(work, clock_now() + 30, writes=True)


@contextmanager
def open_store(folder: Path, key: MasterKeySource | None = None) -> Iterator[LocalBackend]:
    backend = local_backend_factory(path=folder, recovery_window=30, key=key).connect()
    assert isinstance(backend, LocalBackend)
    with closing(backend):
        yield backend


def values(folder: Path, key: MasterKeySource | None = None) -> dict[str, str | bytes]:
    """All that the store holds, by name."""
    with open_store(folder, key) as backend:
        return backend.with_records(
            lambda records: {
                one.name: records.value(one, one.stages["AWSCURRENT"]).reveal()  # type: ignore[union-attr]
                for one in records.every()
            },
            clock_now() + 30,
            writes=False,
        )


def all_of_it() -> dict[str, str]:
    return {name(number): f"{CANARY} {number}" for number in range(MANY)}


def copy_of(filled: Path, home: Path) -> Program:
    """A user with a copy of the store."""
    shutil.copytree(filled, home / FOLDER)
    return Program(home)


def quiet(done: Done) -> Done:
    """What ended, without a value in anything it told."""
    assert CANARY not in done.stderr
    assert CANARY.encode() not in done.stdout
    return done


def statement(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "secrets.db", isolation_level=None)) as connection:
        for one in statements:
            connection.execute(one)


def stops_halfway(user: Program) -> Program:
    """The same user, whose deep rekey stands still when it has done a part of its work: see `stopped_halfway`."""
    folder = user.home / "halfway"
    folder.mkdir()
    os.mkfifo(folder / "gate")
    (folder / "sitecustomize.py").write_text(_STOPS_HALFWAY)
    return user.with_settings(PYTHONPATH=str(folder))


@contextmanager
def stopped_halfway(user: Program, process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """A moment at which a deep rekey, *process* of a user of `stops_halfway`, has done a part of its work. It cannot go
    on before the end of the block: the test has the store's write lock."""
    with closing(sqlite3.connect(user.home / FOLDER / "secrets.db", timeout=30, isolation_level=None)) as connection:
        gate = _open_for_writing(user.home / "halfway" / "gate", process)
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            os.close(gate)
        assert connection.execute("SELECT count(DISTINCT key) FROM versions").fetchone() == (2,)
        yield
        connection.execute("ROLLBACK")


def _open_for_writing(gate: Path, process: "subprocess.Popen[bytes]") -> int:
    """Return a descriptor of the FIFO *gate*, once *process* waits there."""
    deadline = clock_now() + SECONDS
    while True:
        try:
            return os.open(gate, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # that nobody reads there yet
                raise
        assert clock_now() < deadline, "it did not come halfway"
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it came to its end before it was halfway: {process.wait(0.01)}")
