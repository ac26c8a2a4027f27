"""The opening and making of a store in a folder, and the transactions on an open store.

To open a store, the master key comes first, then the data, then the proof that they belong together.

Rule 1: a master key is made only where there is no data, and is durable before there is any data.
Rule 2: the master key is proven against the store before anything is sealed or opened. A wrong key changes nothing.
Rule 3: an open store is recognised by the identity of its key and its files. When one of them is moved, deleted or
        replaced by a copy, the next operation opens the store anew. Otherwise it would write into a file that nobody
        will ever read.
Rule 4: a store is written as a whole under a temporary name, and only then gets its own. So an empty file is not a new
        store, but one that has lost its contents.
Rule 5: a store is made only where `makes` says so, and only where there is no part of one. A part of a store, such as
        our key without its database, is what a loss leaves behind, so it counts as damage. While a store is being made,
        the file MAKING is in its folder and is locked. If that file is there, a key without a database is a store that
        has been begun.
Rule 6: this process does not make a store anew where it has opened one, and takes no other store in its place: the
        folder may be a mount point whose disk is gone. The process remembers the store by its id as long as it lives,
        and so does the child of a fork.

Each transaction of an open store uses the keys that the store has at that time.

Rule 7: each transaction first looks whether another connection has written (`PRAGMA data_version`), and if so, whether
        the store keys are still the same. So nothing is ever sealed under a key that the store has given up.
Rule 8: changed keys are unlocked outside of the transaction, and then the work is run again. Store keys that are known
        already stay known, so a change of the master key alone needs no new look at the master key.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from secrets_actor.backends.local import schema, store_keys
from secrets_actor.backends.local.entry_cache import EntryCache
from secrets_actor.backends.local.entry_codec import ARN_PREFIX, micros
from secrets_actor.backends.local.files import FILE_MODE, bring_into_place, make_ours, sync_folder
from secrets_actor.backends.local.keys.private_file import check_folder, prepare_folder
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.sqlite_connection import PAUSE, Blank, Store
from secrets_actor.backends.local.sqlite_errors import passes
from secrets_actor.backends.local.sqlite_records import SqliteRecords
from secrets_actor.backends.local.transaction import Transaction, version
from secrets_actor.clock import now
from secrets_actor.domain.errors import BackendTimeout, StoreDamaged, StoreUnavailable, WrongKey
from secrets_actor.domain.semantics import Look, next_first

if TYPE_CHECKING:
    from secrets_actor.backends.local.store_keys import Keys


T = TypeVar("T")

# The id of the store that this process has opened in each folder.
_known: Final[dict[Path, bytes]] = {}


def is_known(folder: Path) -> bool:
    """Whether this process has opened a store in *folder*."""
    return folder in _known


def forget_known(folder: Path) -> None:
    """Forget the store that was known in *folder*, because this process itself has put another one there: rule 6."""
    _known.pop(folder, None)


class _KeysChanged(Exception):
    """The store keys differ from those that were unlocked."""


class OpenStore:
    """An open store: its connection, its unlocked keys, and the identity of the files they came from.

    Its methods raise what `Store.read` raises. When the keys have changed, they raise what `store_keys.unlock` raises;
    and `StoreUnavailable` when another store has taken its place. *place* is the folder of a store that the process is
    to remember (rule 6; None: it does not). `made` tells whether the store was made by this opening.
    """

    def __init__(
        self,
        store: Store,
        source: MasterKeySource,
        identity: object,
        deadline: float,
        place: Path | None = None,
        *,
        made: bool = False,
        arn_prefix: str = ARN_PREFIX,
    ) -> None:
        self.made, self._arn_prefix = made, arn_prefix
        self._removed = False  # whether values were deleted by the last write
        self.store, self.source, self.identity, self._place = store, source, identity, place
        self._entry_cache = EntryCache()
        self.keys = self._unlock(None, deadline)

    def read(self, work: Callable[[SqliteRecords], T], deadline: float) -> T:
        """Run *work* on a snapshot and return its result. The days of access that it notes are written after that, and
        only if no other connection is writing: a read must not wait for a write lock."""
        answer, accesses = self.read_transaction(
            lambda _transaction, records: (work(records), records.accesses), deadline
        )
        if accesses:
            self._note(accesses, deadline)
        return answer

    def write(self, work: Callable[[SqliteRecords], T], deadline: float) -> T:
        """Run *work*, commit it to the disk, and return its result."""
        return self.write_transaction(lambda _transaction, records: work(records), deadline)

    def read_transaction(self, work: Callable[[Transaction, SqliteRecords], T], deadline: float) -> T:
        """Like `read`, for work that needs the rows too. Days of access are not written."""
        return self._run(lambda inside: self.store.read(inside, deadline), work, deadline)

    def write_transaction(self, work: Callable[[Transaction, SqliteRecords], T], deadline: float) -> T:
        """Like `write`, for work that needs the rows too. After work that changes rows by itself, call `forget`."""
        self._removed = False
        answer = self._run(lambda inside: self.store.write(inside, deadline), work, deadline)
        self._entry_cache.dirty = False
        if self._removed:
            self.store.clear_log(deadline)
        return answer

    def sweep(self, now: Look, deadline: float) -> None:
        """Remove the secrets whose recovery window has surely ended, and note the first look at the clocks that saw one
        end: a second look, later, confirms it (`domain/semantics/values.py`)."""
        entry_cache = self._entry_cache
        # This runs after every operation, so it begins with a look that costs no transaction.
        if entry_cache.due is not None and not self._wants_sweep(now, entry_cache.due <= micros(now.at)):
            return
        if self.read(lambda records: self._wants_sweep(now, records.is_overdue(now)), deadline):
            self.write(lambda records: records.clear_away(now), deadline)

    def _wants_sweep(self, now: Look, overdue: bool) -> bool:
        first = self._entry_cache.first_look
        return next_first(first, now, overdue) != first

    def forget(self) -> None:
        """Forget the opened entries: rows were changed through this connection without its records. `PRAGMA
        data_version` tells only of other connections."""
        self._entry_cache.forget()

    def reload(self, deadline: float) -> None:
        """Unlock the store keys again and forget the opened entries, because the keys were changed. Needs no master key
        where all of them are known already."""
        self._entry_cache = EntryCache()
        self.keys = self._unlock(self.keys, deadline)

    def _run(
        self,
        run: Callable[[Callable[[Transaction], T]], T],
        work: Callable[[Transaction, SqliteRecords], T],
        deadline: float,
    ) -> T:
        def inside(transaction: Transaction) -> T:
            data_version = transaction.data_version()
            if not self._entry_cache.is_current(data_version):
                # The new data version is noted (`look`) only after this check. If the keys cannot be unlocked, the next
                # transaction must check again.
                if store_keys.read_epoch(transaction) != self.keys.epoch:
                    raise _KeysChanged
                self._entry_cache.note_other_writer(data_version)
            records = SqliteRecords(transaction, self.keys, self._entry_cache, self._arn_prefix)
            records.due()
            answer = work(transaction, records)
            self._removed = records.removed
            return answer

        while True:
            try:
                return run(inside)
            except _KeysChanged:
                pass
            self.reload(deadline)  # outside of the transaction: rule 8

    def _unlock(self, known: Keys | None, deadline: float) -> Keys:
        while True:
            before = self.source.identity()
            wrapped_keys = self.store.read(store_keys.read_wrapped_keys, deadline)
            if self._place is not None and _known.get(self._place, wrapped_keys.store_id) != wrapped_keys.store_id:
                raise StoreUnavailable(
                    f"another store has taken the place of {self._place}, which this process uses: bring that one "
                    "back. Nothing is read or written meanwhile; should the other one be used, start this program anew",
                    path=str(self._place),
                )
            keys = None if known is None else store_keys.unlocked_again(known, wrapped_keys)
            if keys is not None:
                return keys
            try:
                keys = store_keys.unlock(wrapped_keys, self.source)
                if self._place is not None:
                    _known[self._place] = keys.store_id
                return keys
            except WrongKey:
                # Otherwise the master key was changed between reading the store and loading the key: try again.
                if self.source.identity() == before:
                    raise
            except DamagedRow:
                break  # raised outside, so that the error has no context
        raise self.store.damaged()

    def _note(self, accesses: dict[int, int], deadline: float) -> None:
        statement = "UPDATE secrets SET accessed_day = ? WHERE id = ? AND ifnull(accessed_day, -1) < ?"

        def put_down(transaction: Transaction) -> None:
            for secret, day in accesses.items():
                transaction.do(statement, day, secret, day)

        if self.store.write_lightly(put_down, deadline):
            for secret, day in accesses.items():
                self._entry_cache.note_access(secret, day)


DATABASE_NAME: Final = "secrets.db"
MAKING: Final = ".making"
# The ends of the files that SQLite puts beside the database.
LOG, INDEX = "-wal", "-shm"


def open_store(
    folder: Path,
    source: MasterKeySource,
    *,
    deadline: float,
    closed: threading.Event,
    makes: bool = False,
    arn_prefix: str = ARN_PREFIX,
) -> OpenStore:
    """Open the store in *folder*; if there is none, make it first where *makes* is set. *arn_prefix* is how the ARNs of
    its secrets begin.

    Raises `KeyFileError`, `WrongKey`, `StoreUnavailable` (also when there is no store), `StoreDamaged`, and
    `BackendTimeout` past *deadline*.
    """
    made = False
    if not is_there(folder, source):
        if not makes:
            raise no_store(folder)
        made = _make(folder, source, deadline, closed)
    _forget_making(folder)
    database = _database(folder)
    store = Store(database, deadline=deadline, closed=closed)
    try:
        # SQLite makes log and index at the first read. They are part of the identity, which is taken after that.
        store.read(version, deadline)
        found = identity(database, source)
        return OpenStore(store, source, found, deadline, place=folder, made=made, arn_prefix=arn_prefix)
    except BaseException:
        store.close()
        raise


def is_there(folder: Path, source: MasterKeySource) -> bool:
    """Whether there is a store in *folder*. False when there has never been one, or when it is still being made.

    Raises `StoreDamaged` where only a part of a store is left, `StoreUnavailable` where this process has seen a store
    that is gone, and `KeyFileError` where the key is not as it should be, or is missing and cannot be made by us.
    """
    check_folder(folder)
    database = folder / DATABASE_NAME
    if has_data(database) or os.path.islink(database):
        return True
    if not _is_missing(database):
        raise _lost(database, "is empty")
    if not _is_missing(database.with_name(DATABASE_NAME + LOG)):
        raise _lost(database, "is gone, and its log is there")
    if is_known(folder):
        raise StoreUnavailable(
            f"the local store {folder} was there and is gone: mount its disk or bring the folder back. Nothing is "
            "written meanwhile; should an empty store begin there, start this program anew",
            path=str(folder),
        )
    present = source.present()
    if present and source.makes and _is_missing(folder / MAKING):
        if not _is_missing(database):  # another process has made it meanwhile
            return True
        raise StoreDamaged(
            f"the local store {database} is gone, and its key is there, {source}: mount its disk, or bring it back "
            "from a copy (secrets-actor store restore FILE). Should an empty store begin there, move the key away",
            path=str(database),
        )
    if not present and not source.makes:
        raise source.missing()
    return False


def no_store(folder: Path) -> StoreUnavailable:
    """Return the error for a folder without a store."""
    return StoreUnavailable(
        f"there is no store in {folder}; give its folder, or make one: secrets-actor store init",
        path=str(folder),
        retryable=False,
    )


def _database(folder: Path) -> Path:
    """Return the path of the database, with a link in its place followed: SQLite puts the log beside the real file, so
    that folder must be as safe as ours. Raises what `check_folder` raises for it."""
    database = folder / DATABASE_NAME
    if not os.path.islink(database):
        return database
    real = Path(os.path.realpath(database))
    check_folder(real.parent, "the folder of the store's database")
    return real


def identity(database: Path, source: MasterKeySource) -> object:
    """Return the identity of the master key, the database, its log and its index, as they are now (rule 3)."""
    path = str(database)
    return source.identity(), _inode(path), _inode(path + LOG), _inode(path + INDEX)


def has_lost_its_log(database: Path) -> bool:
    """Whether the database is there while the log that an open connection writes to was removed."""
    return _inode(str(database)) is not None and _inode(str(database) + LOG) is None


def has_data(database: Path) -> bool:
    """Whether the file may have data."""
    try:
        return database.stat().st_size > 1  # SQLite, too, treats a file of one byte as empty
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown, and a wrong "no" would let a new key be made for old data


def _inode(path: str) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino


def _lost(database: Path, what: str) -> StoreDamaged:
    return StoreDamaged(
        f"the local store {database} has lost what was in it: the file {what}; bring it back from a copy "
        "(secrets-actor store restore FILE), or move the whole folder away to start an empty one",
        path=str(database),
    )


def _is_missing(path: Path) -> bool:
    """Whether the file surely does not exist. False when that cannot be told."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


# --- making -----------------------------------------------------------------------------------------------------------


def _make(folder: Path, source: MasterKeySource, deadline: float, closed: threading.Event) -> bool:
    """Make the store in *folder*; return False if another process or thread was quicker."""
    prepare_folder(folder)
    with _making(folder, deadline, closed):
        if is_there(folder, source):
            return False
        make_whole(folder / DATABASE_NAME, store_keys.new_store(*source.create()), deadline, closed)
    return True


@contextmanager
def _making(folder: Path, deadline: float, closed: threading.Event) -> Iterator[None]:
    """Hold the lock of the file MAKING, which is durably in *folder* meanwhile. The file stays afterwards, also after a
    crash; `_forget_making` removes it once there is a store (rule 5)."""
    place, problem, passing = folder / MAKING, None, False
    while True:
        descriptor = -1
        try:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
            make_ours(descriptor, folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The process that held the lock before us may have finished and removed the file: then we have locked a
            # file that no longer has its name, and another process may lock the next one.
            if os.path.samestat(os.fstat(descriptor), os.lstat(place)):
                sync_folder(folder)
                break
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as exc:
            problem, passing = exc.strerror, passes(exc)
        if descriptor >= 0:
            os.close(descriptor)
        if problem is not None:
            raise StoreUnavailable(
                f"the local store cannot be made in {folder} ({problem}); give a path on a disk with room that this "
                "user may write to",
                path=str(folder),
                retryable=passing,
            )
        if now() >= deadline or closed.wait(PAUSE):
            raise BackendTimeout(
                f"another process was making the local store in {folder} until the deadline; ask again with more time",
                endpoint=str(folder),
            )
    try:
        yield
    finally:
        os.close(descriptor)


def _forget_making(folder: Path) -> None:
    """Remove MAKING, since there is a store now. From now on a key without a database is a loss (rule 5)."""
    with contextlib.suppress(OSError):
        os.unlink(folder / MAKING)
        sync_folder(folder)


def make_whole(database: Path, made: store_keys.NewStore, deadline: float, closed: threading.Event) -> None:
    """Bring an empty store into place, unless there is one already. Raises what `open_store` raises."""

    def make(transaction: Transaction) -> None:
        for statement in schema.TABLES:
            transaction.do(statement)
        store_keys.write_new_store(transaction, made)

    def write(fresh: Path) -> None:
        blank = Blank(fresh, deadline=deadline, closed=closed)
        try:
            blank.write(make, deadline)
        finally:
            blank.close()

    place_database(database, write)


def place_database(database: Path, write: Callable[[Path], object]) -> None:
    """Have *write* make a database beside its place, and bring it there, as a whole or not at all, unless one is there.

    Raises `StoreUnavailable` where the disk does not take it, and what *write* raises.
    """
    problem, passing = None, False
    try:
        bring_into_place(database, write)
    except OSError as exc:
        problem, passing = exc.strerror, passes(exc)
    if problem is not None:
        raise StoreUnavailable(
            f"the local store {database} cannot be made ({problem}); give a path on a disk with room that this user "
            "may write to and that knows hard links",
            path=str(database),
            retryable=passing,
        )
