"""THE door to sqlite3: one connection, its transactions, and the translation of what SQLite raises.

Rule 1: work runs as a whole inside one transaction: BEGIN IMMEDIATE for writes, BEGIN for reads (WAL gives those a
        snapshot). What is raised inside rolls back, so work may be run again when the database was busy.
Rule 2: waiting for a lock is done in slices, with a look at the deadline and at `closed` between them. Statements
        look at both through SQLite's progress handler.
Rule 3: a file that is not ours is told by its header, and left as it is, before anything is written.
Rule 4: only `SecretsError`s leave, raised where no exception of SQLite is being handled. SQLite's texts are not
        quoted: some quote what is in a column.
Rule 5: one thread works; `interrupt` may be called by any.
Rule 6: nobody but SQLite opens the database file, not even to look: closing any descriptor of it takes away the locks
        that all connections of this process hold on it (POSIX), and another process would remove the log under us.
"""

import contextlib
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.files import FILE_MODE, OTHERS, create_once
from secrets_actor.domain.errors import BackendTimeout, SecretsError, StoreDamaged, StoreUnavailable

T = TypeVar("T")
Row = tuple[Any, ...]

# Seconds SQLite itself waits for a lock before we look at the deadline again: how late a close may be noticed.
BUSY_SLICE: Final = 0.05
# Seconds between two tries where SQLite does not wait by itself (while another process recovers or switches to WAL).
PAUSE: Final = 0.002
# Virtual machine steps between two looks: under a millisecond of work.
PROGRESS_STEPS: Final = 10_000

# By SQLite's primary result code (sqlite.org/rescode.html): the error, and what happened and what to do.
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_FULL: "cannot grow: the disk is full. Nothing stored was lost; make room and try again",
    sqlite3.SQLITE_IOERR: "cannot be read or written: the disk fails, is full or at a limit. Nothing stored was lost; "
    "look at the disk and try again",
    sqlite3.SQLITE_PERM: "cannot be opened: permission denied; give this user the file and its folder",
    sqlite3.SQLITE_AUTH: "cannot be opened: permission denied; give this user the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened; give this user the right to read and write the file and its folder",
    sqlite3.SQLITE_READONLY: "cannot be written; give this user the right to write the file and its folder",
    sqlite3.SQLITE_NOMEM: "cannot be used: memory ran out; try again",
}
# SQLITE_ERROR is a statement that does not fit the tables: somebody changed them.
_DAMAGED: Final = frozenset(
    {
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)


class Rows:
    """What work may do inside its transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, statement: str, *values: object) -> Row | None:
        """The first row, None when there is none."""
        row: Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: object) -> list[Row]:
        """All rows."""
        return self._connection.execute(statement, values).fetchall()

    def do(self, statement: str, *values: object) -> int:
        """Carry *statement* out; the id of the row it inserted last."""
        return self._connection.execute(statement, values).lastrowid or 0


class Store:
    """The database in *path*, opened and brought to the present schema; made first, with mode 0600, if missing.

    Once *closed* is set, all work fails. Raises what `read` and `write` raise.
    """

    def __init__(self, path: Path, *, deadline: float, closed: threading.Event) -> None:
        self._path, self._closed, self._deadline = path, closed, deadline
        self._create_file()
        self._connection = self._connect()
        try:
            self._prepare(deadline)
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[Rows], T], deadline: float) -> T:
        """What *work* returns, run on a snapshot.

        Raises what *work* raises, `BackendTimeout` past *deadline* (`time.monotonic()` seconds), `StoreUnavailable`
        for a full disk, missing permissions and a closed connection, `StoreDamaged` for a file that is not as ours.
        """
        return self._run("BEGIN", work, deadline)

    def write(self, work: Callable[[Rows], T], deadline: float) -> T:
        """What *work* returns, run with the write lock and then committed. Raises as `read` does."""
        return self._run("BEGIN IMMEDIATE", work, deadline)

    def interrupt(self) -> None:
        """Make a statement under way fail. Any thread may call this."""
        with contextlib.suppress(sqlite3.Error):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        """Give the connection up. The worker's thread only, or nobody else working."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.set_progress_handler(None, 0)
            # A statement takes back an interrupt that came too late, which would keep the log from being folded in.
            self._connection.execute("SELECT 1").fetchone()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _run(self, begin: str, work: Callable[[Rows], T], deadline: float) -> T:
        self._deadline = deadline
        while True:
            self._look()
            failure: SecretsError | None
            try:
                return self._attempt(begin, work)
            except sqlite3.Error as exc:
                failure = None if _code(exc) in _BUSY else self._translated(exc)
            except schema.DamagedRow:
                failure = self._damaged()
            if failure is not None:
                raise failure
            self._closed.wait(PAUSE)

    def _attempt(self, begin: str, work: Callable[[Rows], T]) -> T:
        self._connection.execute(begin)
        try:
            answer = work(Rows(self._connection))
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
        return answer

    def _look(self) -> None:
        """Raise when there is no point in going on."""
        if self._closed.is_set():
            raise self._closed_error()
        if time.monotonic() >= self._deadline:
            raise self._late()

    def _should_stop(self) -> bool:
        return self._closed.is_set() or time.monotonic() >= self._deadline

    # --- opening --------------------------------------------------------------------------------------------------

    def _create_file(self) -> None:
        # SQLite would make it open to all, and gives its -wal and -shm files the mode of this one.
        problem = None
        try:
            mode = self._mode()
            if mode is None:
                create_once(self._path, bytes)
            elif not stat.S_ISREG(mode):
                problem = "it is not a plain file"
            elif mode & OTHERS:
                self._path.chmod(FILE_MODE)
        except OSError as exc:
            problem = exc.strerror
        if problem is not None:
            raise StoreUnavailable(
                f"the local store {self._path} cannot be opened ({problem}); give this user the right to read and "
                "write the file and its folder, and room on the disk",
                path=str(self._path),
            )

    def _mode(self) -> int | None:
        try:
            return self._path.stat().st_mode
        except FileNotFoundError:
            return None

    def _connect(self) -> sqlite3.Connection:
        try:
            # rw: never create. No statement begins a transaction by itself. Another thread may interrupt and close.
            connection = sqlite3.connect(
                f"{self._path.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_SLICE,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as exc:
            failure = self._translated(exc)
        else:
            connection.set_progress_handler(self._should_stop, PROGRESS_STEPS)
            return connection
        raise failure

    def _prepare(self, deadline: float) -> None:
        if self.read(self._version, deadline) != schema.VERSION:
            self._go_wal(deadline)
            self.write(self._migrate, deadline)
        self._go_wal(deadline)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            self._outside(f"PRAGMA {pragma}", deadline)

    def _go_wal(self, deadline: float) -> None:
        """Switch to the write-ahead log; nothing to do when the file is in that mode already."""
        mode = self._outside("PRAGMA journal_mode = WAL", deadline)
        if mode != ("wal",):
            raise StoreUnavailable(
                f"the local store {self._path} is on a file system without shared memory; give a path on a local disk",
                path=str(self._path),
            )

    def _outside(self, statement: str, deadline: float) -> Row | None:
        """Run *statement* outside of a transaction."""
        self._deadline = deadline
        while True:
            self._look()
            try:
                return Rows(self._connection).one(statement)
            except sqlite3.Error as exc:
                failure = None if _code(exc) in _BUSY else self._translated(exc)
            if failure is not None:
                raise failure
            self._closed.wait(PAUSE)

    def _version(self, rows: Rows) -> int:
        application_id, version, tables = (
            int((rows.one(question) or (0,))[0])
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_master",
            )
        )
        objection = schema.objection(application_id, version, tables)
        if objection is not None:
            raise StoreDamaged(f"the file {self._path} {objection}", path=str(self._path))
        return version

    def _migrate(self, rows: Rows) -> None:
        for statement in schema.steps(self._version(rows)):
            rows.do(statement)

    # --- errors ---------------------------------------------------------------------------------------------------

    def _translated(self, exc: sqlite3.Error) -> SecretsError:
        code = _code(exc)
        if self._closed.is_set() and (code == sqlite3.SQLITE_INTERRUPT or isinstance(exc, sqlite3.ProgrammingError)):
            return self._closed_error()
        if code == sqlite3.SQLITE_INTERRUPT:
            return self._late()
        if code in _UNAVAILABLE:
            return StoreUnavailable(f"the local store {self._path} {_UNAVAILABLE[code]}", path=str(self._path))
        if code is None or code in _DAMAGED:  # without a code: a column that is not what its table says
            return self._damaged()
        name = getattr(exc, "sqlite_errorname", "unknown")
        return StoreUnavailable(
            f"the local store {self._path} failed ({name}); try again, and look at the disk", path=str(self._path)
        )

    def _damaged(self) -> StoreDamaged:
        return StoreDamaged(
            f"the local store {self._path} is damaged or not a database of ours; bring it back from a copy, or move "
            "it away to start an empty one",
            path=str(self._path),
        )

    def _late(self) -> BackendTimeout:
        return BackendTimeout(
            f"the local store {self._path} was locked or busy until the deadline; ask again with more time",
            endpoint=str(self._path),
        )

    def _closed_error(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the connection to the local store {self._path} was closed; ask again", path=str(self._path)
        )


def _code(exc: sqlite3.Error) -> int | None:
    """SQLite's primary result code; the extended one has it in its low byte."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
