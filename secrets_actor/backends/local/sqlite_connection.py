"""THE door to sqlite3: one connection, its transactions, and the translation of SQLite's errors.

Rule 1: work runs as a whole inside one transaction: BEGIN IMMEDIATE for writes, BEGIN for reads (in WAL mode these see
        a snapshot). An exception inside rolls back, so work can be run again when the database was busy.
Rule 2: the connection waits for a lock in slices, and between them looks at the deadline and at `closed`. Statements
        look at both through SQLite's progress handler.
Rule 3: a file that is not ours is recognised by its header before anything is written, and is left as it is.
Rule 4: only `SecretsError`s leave, and the exceptions of the work. A `SecretsError` is raised where no exception of
        SQLite is being handled, because that one's text may quote the contents of a column and would be its context.
Rule 5: only one thread works with the connection at a time; `interrupt` may be called by any thread.
Rule 6: deleted values are removed from the log, too (`clear_log`). If a reader is in the way, or a crash comes first,
        one of the next transactions does it (`_owes`).
Rule 7: only SQLite opens the database file; we do not open it even to look. Closing any descriptor of it would drop the
        locks that all connections of this process hold on it (POSIX), and then another process would remove the log
        that we are using.
"""

import contextlib
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.files import FILE_MODE, OTHERS, create_once
from secrets_actor.backends.local.ownership import is_trusted, owner_for_files
from secrets_actor.backends.local.sqlite_errors import Meaning, may_pass, meaning, passes, remedy
from secrets_actor.backends.local.transaction import Row, Transaction, check_before_writing, size_of, whole_version
from secrets_actor.clock import now
from secrets_actor.domain.errors import BackendTimeout, KeyFileError, SecretsError, StoreDamaged, StoreUnavailable

T = TypeVar("T")

# UnicodeDecodeError: SQLite's message about a damaged file may not be UTF-8, and then Python's sqlite3 raises this.
_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)
_READ, _WRITE = "BEGIN", "BEGIN IMMEDIATE"
# Seconds that SQLite itself waits for a lock before we look at the deadline again. So late a close may be noticed.
BUSY_SLICE: Final = 0.05
# Seconds that a deletion waits for readers before it clears the log. Our own readers take some milliseconds.
CLEARING: Final = 1.0
_READ_ONLY: Final = 8  # SQLITE_READONLY
_BUSY_MILLISECONDS: Final = int(1000 * BUSY_SLICE)
# Seconds between two attempts where SQLite does not wait by itself (while another process recovers or switches to WAL).
PAUSE: Final = 0.002
# Steps of SQLite's virtual machine between two looks at the deadline: less than a millisecond of work.
PROGRESS_STEPS: Final = 10_000


class Store:
    """One connection to the existing database at *path*. It knows nothing of secrets: the calling code knows what is in
    the tables.

    Once *closed* is set, all work fails. Raises what `read` and `write` raise.
    """

    _commits_lightly = False  # whether the next commit would not wait for the disk; see `write_lightly`
    _must_clear_log = False  # whether the log may still have deleted values (rule 6)
    _looked_through = False  # whether the file was checked for damage, as it is before the first write

    def __init__(self, path: Path, *, deadline: float, closed: threading.Event) -> None:
        self.path, self._closed, self._deadline = path, closed, deadline
        self._check_file()
        self._connection = self._connect(path.as_uri() + "?mode=rw")  # rw: never create
        try:
            self.read(lambda transaction: whole_version(transaction, self.path), deadline)
            self._close_to_others()
            self._use_write_ahead_log(deadline)
            for pragma in ("synchronous = FULL", "secure_delete = ON", "cell_size_check = ON"):
                self.outside_transaction(f"PRAGMA {pragma}", deadline)
            self._must_clear_log = (
                size_of(self._log) > 0
            )  # the process that wrote it last may have died before it cleared it
        except BaseException:
            self.close()
            raise

    def read(self, work: Callable[[Transaction], T], deadline: float) -> T:
        """Run *work* on a snapshot and return its result.

        Raises what *work* raises, `BackendTimeout` past *deadline* (clock seconds), `StoreUnavailable` for a full disk,
        missing permissions or a closed connection, `StoreDamaged` for a file that we did not write like that.
        """
        return self._run(_READ, work, deadline)

    def write(self, work: Callable[[Transaction], T], deadline: float) -> T:
        """Run *work* with the write lock, commit it to the disk, and return its result. Raises what `read` raises."""
        if not self._looked_through:
            self.read(check_before_writing, deadline)
            self._looked_through = True
        if self._commits_lightly:
            self.outside_transaction("PRAGMA synchronous = FULL", deadline)
            self.outside_transaction(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}", deadline)
            self._commits_lightly = False
        return self._run(_WRITE, work, deadline)

    def write_lightly(self, work: Callable[[Transaction], object], deadline: float) -> bool:
        """Run *work* unless another connection is writing, and do not wait for the disk: a crash may undo it. Return
        whether it was committed. Raises no error of SQLite's."""
        self._deadline = deadline
        try:
            if not self._looked_through:
                self._attempt(_READ, check_before_writing)
                self._looked_through = True
            if not self._commits_lightly:
                self._commits_lightly = True
                for pragma in ("synchronous = NORMAL", "busy_timeout = 0"):
                    self._connection.execute(f"PRAGMA {pragma}")
            self._attempt(_WRITE, work)
        except (*_FAILURES, schema.DamagedRow):
            return False
        return True

    def copy_to(self, other: "Store", deadline: float) -> None:
        """Copy this database to *other*: one snapshot of this one, whoever writes meanwhile, in one transaction of
        *other*. Raises what `read` raises."""
        self._deadline = other._deadline = deadline
        other._copied_from(self._connection)

    def clear_log(self, deadline: float) -> None:
        """Remove deleted values from the log: its pages go into the database, where SQLite has overwritten what was
        deleted (`secure_delete`), and the log is cut to nothing. Waits for readers, `CLEARING` seconds at most; see
        rule 6. Raises nothing."""
        self._must_clear_log, self._deadline = True, deadline
        end = min(deadline, now() + CLEARING)
        while self._must_clear_log and not self._clear() and now() < end and not self._closed.wait(PAUSE):
            pass

    def fold_log(self) -> None:
        """Bring the contents of the log into the database, as far as no reader is in the way. For a log whose file was
        removed while we have it open: its commits would be lost with the last connection."""
        self._clear()

    def _clear(self) -> bool:
        """Clear the log if no reader is in the way; return whether it is empty now."""
        try:
            busy = Transaction(self._connection).one("PRAGMA wal_checkpoint(TRUNCATE)")
        except _FAILURES as exc:
            self._must_clear_log = (
                _code(exc) != _READ_ONLY
            )  # a log that we may not write to is for another user to clear
            return False
        self._must_clear_log = busy is None or busy[0] != 0
        return not self._must_clear_log

    def _clear_unless_busy(self) -> None:
        """Like `_clear`, but without waiting for a lock: the caller of the operation is waiting for its answer."""
        with contextlib.suppress(*_FAILURES):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._clear()
            self._connection.execute(f"PRAGMA busy_timeout = {0 if self._commits_lightly else _BUSY_MILLISECONDS}")

    def interrupt(self) -> None:
        """Make the statement under way fail. Any thread may call this."""
        with contextlib.suppress(sqlite3.Error):  # closed meanwhile
            self._connection.interrupt()

    def close(self) -> None:
        """Give the connection up. Call this on the worker's thread, or when no other thread works with it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.set_progress_handler(None, 0)
            # An interrupt that came too late stays set until a statement begins, and would keep SQLite from folding the
            # log in as it closes. So run a statement of no consequence.
            self._connection.execute("SELECT 1").fetchone()
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _run(self, begin: str, work: Callable[[Transaction], T], deadline: float) -> T:
        self._deadline = deadline
        while True:
            self._look()
            failure: SecretsError | None
            try:
                answer = self._attempt(begin, work)
                if self._must_clear_log:
                    self._clear_unless_busy()
                return answer
            except _FAILURES as exc:
                failure = None if meaning(_code(exc)) is Meaning.BUSY else self._translated(exc)
            except schema.DamagedRow:
                failure = self.damaged()
            except schema.NotOurs as exc:
                failure = self._not_ours(exc)
            if failure is not None:
                raise failure
            self._closed.wait(PAUSE)

    def _attempt(self, begin: str, work: Callable[[Transaction], T]) -> T:
        self._connection.execute(begin)
        try:
            answer = work(Transaction(self._connection))
            # A read has nothing to commit. It is rolled back instead, because SQLite refuses even an empty commit once
            # it has met a damaged page.
            if begin != _READ:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
        return answer

    @property
    def _log(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def _look(self) -> None:
        """Raise when the connection was closed or the deadline has passed."""
        if self._closed.is_set():
            raise self._closed_error()
        if now() >= self._deadline:
            raise self._late()

    def _should_stop(self) -> bool:
        return self._closed.is_set() or now() >= self._deadline

    # --- opening --------------------------------------------------------------------------------------------------

    def _check_file(self) -> None:
        problem, passing = None, False
        try:
            state = self.path.stat()
            if not stat.S_ISREG(state.st_mode):
                problem = "it is not a plain file"
            elif not is_trusted(state.st_uid, self.path.parent):
                raise KeyFileError(
                    f"the local store {self.path} belongs to another user ({state.st_uid}), who can exchange it; run: "
                    f"chown {owner_for_files(self.path.parent)} {self.path}",
                    path=str(self.path),
                )
        except OSError as exc:
            problem, passing = exc.strerror, passes(exc)
        if problem is not None:
            raise self._unopened(problem, passing)

    def _close_to_others(self) -> None:
        """Take all rights to the store's files from other users. Only now, when the header has shown that the file is
        ours. SQLite gives a new log and index the mode of the database, but those that are there keep theirs."""
        for end in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                path = self.path.with_name(self.path.name + end)
                if path.lstat().st_mode & OTHERS and stat.S_ISREG(path.lstat().st_mode):
                    path.chmod(FILE_MODE)

    def _unopened(self, problem: str | None, passing: bool) -> StoreUnavailable:
        return StoreUnavailable(
            f"the local store {self.path} cannot be opened ({problem}); give this user the right to read and "
            "write the file and its folder, and room on the disk",
            path=str(self.path),
            retryable=passing,
        )

    def _connect(self, uri: str) -> sqlite3.Connection:
        try:
            # isolation_level=None: Python begins no transaction by itself, since `_attempt` does.
            # check_same_thread=False: another thread may interrupt or close the connection.
            connection = sqlite3.connect(
                uri, uri=True, timeout=BUSY_SLICE, isolation_level=None, check_same_thread=False
            )
        except _FAILURES as exc:
            failure = self._translated(exc)
        else:
            connection.set_progress_handler(self._should_stop, PROGRESS_STEPS)
            return connection
        raise failure

    def _use_write_ahead_log(self, deadline: float) -> None:
        """Switch to the write-ahead log (WAL). Does nothing when the file is in that mode already."""
        mode = self.outside_transaction("PRAGMA journal_mode = WAL", deadline)
        if mode != ("wal",):
            raise StoreUnavailable(
                f"the local store {self.path} is on a file system without shared memory; give a path on a local disk",
                path=str(self.path),
                retryable=False,
            )

    def outside_transaction(self, statement: str, deadline: float) -> Row | None:
        """Run *statement* outside of a transaction and return its first row. Raises what `read` raises."""
        self._deadline = deadline
        while True:
            self._look()
            try:
                return Transaction(self._connection).one(statement)
            except _FAILURES as exc:
                failure = None if meaning(_code(exc)) is Meaning.BUSY else self._translated(exc)
            if failure is not None:
                raise failure
            self._closed.wait(PAUSE)

    def _copied_from(self, source: sqlite3.Connection) -> None:
        while True:
            self._look()
            try:
                source.backup(self._connection, pages=-1, progress=self._on_backup_step, sleep=PAUSE)
                return
            except _FAILURES as exc:
                failure = None if meaning(_code(exc)) is Meaning.BUSY else self._translated(exc)
            if failure is not None:
                raise failure

    def _on_backup_step(self, _status: int, _left: int, _all: int) -> None:
        self._look()

    # --- errors ---------------------------------------------------------------------------------------------------

    def _translated(self, exc: Exception) -> SecretsError:
        code = _code(exc)
        what = meaning(code)
        if self._closed.is_set() and (what is Meaning.LATE or isinstance(exc, sqlite3.ProgrammingError)):
            return self._closed_error()
        if what is Meaning.LATE:
            return self._late()
        if what is Meaning.DAMAGED:
            return self.damaged()
        name = getattr(exc, "sqlite_errorname", "unknown")
        return StoreUnavailable(
            f"the local store {self.path} {remedy(code, name)}", path=str(self.path), retryable=may_pass(code)
        )

    def _not_ours(self, exc: schema.NotOurs) -> StoreDamaged:
        return StoreDamaged(f"the file {self.path} {exc}", path=str(self.path))

    def damaged(self) -> StoreDamaged:
        """Return the error for a file that is not as we wrote it."""
        return StoreDamaged(
            f"the local store {self.path} is damaged or not a database of ours; bring it back from a copy, or move "
            "it away to start an empty one",
            path=str(self.path),
        )

    def _late(self) -> BackendTimeout:
        return BackendTimeout(
            f"the local store {self.path} was locked or busy until the deadline; ask again with more time",
            endpoint=str(self.path),
        )

    def _closed_error(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"the connection to the local store {self.path} was closed; ask again", path=str(self.path)
        )


class Blank(Store):
    """A connection to a new and empty file with mode 0600, for a new store and for `copy_to`. It has no log beside it,
    so that the one file is the whole database and can be linked into place."""

    def __init__(self, path: Path, *, deadline: float, closed: threading.Event) -> None:
        self.path, self._closed, self._deadline = path, closed, deadline
        problem, passing = None, False
        try:
            create_once(path, bytes)  # SQLite itself would make a file that others can read
        except OSError as exc:
            problem, passing = exc.strerror, passes(exc)
        if problem is not None:
            raise self._unopened(problem, passing)
        self._connection = self._connect(path.as_uri() + "?mode=rw")


class Copy(Store):
    """A connection to a file that nobody writes to, such as a backup. It is read as it is, and SQLite puts no log or
    index beside it (`immutable`)."""

    def __init__(self, path: Path, *, deadline: float, closed: threading.Event) -> None:
        self.path, self._closed, self._deadline = path, closed, deadline
        self._connection = self._connect(path.as_uri() + "?mode=ro&immutable=1")
        try:
            self.read(lambda transaction: whole_version(transaction, self.path), deadline)
        except BaseException:
            self.close()
            raise


def _code(exc: Exception) -> int | None:
    """Return SQLite's primary result code, which is the low byte of the extended one; None for a failure without it."""
    code: int | None = getattr(exc, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
