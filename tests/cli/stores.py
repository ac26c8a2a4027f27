"""A store with many secrets, copied for each user who needs one, and what is done to it from outside."""

import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.backend import LocalBackend, local_backend_factory
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.operations import Set
from secrets_actor.domain.semantics import perform
from tests.cli.program import Done, Program

MANY: Final = 200
# No output has this in it: it is a part of every value, and of every passphrase.
CANARY: Final = "kanarie"
FOLDER: Final = Path(".local/share/secrets-actor")


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


@contextmanager
def stopped_halfway(folder: Path, process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """A moment at which a deep rekey by *process* has done a part of its work, and stands still."""
    with closing(sqlite3.connect(folder / "secrets.db", timeout=30, isolation_level=None)) as connection:
        while not _is_stopped_halfway(connection, process):
            assert process.poll() is None, "it came to its end before anybody saw it at work"
        yield


def _is_stopped_halfway(connection: sqlite3.Connection, process: "subprocess.Popen[bytes]") -> bool:
    def is_halfway() -> bool:
        return bool(connection.execute("SELECT count(DISTINCT key) FROM versions").fetchone() == (2,))

    if is_halfway():
        process.send_signal(signal.SIGSTOP)
        if is_halfway():
            return True
        process.send_signal(signal.SIGCONT)
    return False
