"""From a folder to an open store: key first, then data, then the proof that they belong together.

Rule 1: a key is made only where there is no data, and is durable before any data is there.
Rule 2: the key is proven against the store before anything is sealed or opened. A wrong key changes nothing.
Rule 3: what was opened is known by the identity of its key and its file: when one is moved, deleted or put in from a
        copy, the next operation opens anew rather than write into a file that nobody will ever read.
Rule 4: a store comes into being whole, under another name first; its new form, when an earlier release made it, in one
        transaction. So an empty file has lost what was in it, and is no new store.
"""

import os
import threading
from pathlib import Path
from typing import Final

from secrets_actor.backends.local import schema, store_keys, upgrade
from secrets_actor.backends.local.files import bring_into_place
from secrets_actor.backends.local.keys.private_file import prepare_folder
from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.local.opened import Opened
from secrets_actor.backends.local.rows import Rows, version
from secrets_actor.backends.local.store import Blank, Store
from secrets_actor.domain.errors import StoreDamaged, StoreUnavailable

DATABASE_NAME: Final = "secrets.db"


def open_store(folder: Path, source: MasterKeySource, *, deadline: float, closed: threading.Event) -> Opened:
    """The store in *folder*, made first if there is none.

    Raises `KeyFileError`, `WrongKey`, `StoreUnavailable`, `StoreDamaged`, `DecryptionFailed` for a store of an earlier
    release with a damaged record, and `BackendTimeout` past *deadline*.
    """
    prepare_folder(folder)
    database = folder / DATABASE_NAME
    _bring_about(database, source, deadline, closed)
    store = Store(database, deadline=deadline, closed=closed)
    try:
        found = store.read(version, deadline)
        if found == 0:  # what an earlier release left that was killed at its first start
            _make(store, store_keys.new_store(*source.create()), deadline)
        elif found == schema.FORMER:
            upgrade.upgrade(store, source, deadline)
        return Opened(store, source, identity(database, source), deadline)
    except BaseException:
        store.close()
        raise


def is_former(folder: Path, *, deadline: float) -> bool:
    """Whether an earlier release made the store in *folder*, whose file is there: opening it will bring it to the
    present form. Raises as `open_store`."""
    store = Store(folder / DATABASE_NAME, deadline=deadline, closed=threading.Event())
    try:
        return store.read(version, deadline) == schema.FORMER
    finally:
        store.close()


def identity(database: Path, source: MasterKeySource) -> object:
    """Which key and which database there are now."""
    try:
        state = os.stat(database)
    except OSError:
        return source.identity(), None
    return source.identity(), state.st_dev, state.st_ino


def has_data(database: Path) -> bool:
    """Whether there may be data in the file."""
    try:
        return database.stat().st_size > 1  # SQLite takes one byte for none
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown: better no new key


def _bring_about(database: Path, source: MasterKeySource, deadline: float, closed: threading.Event) -> None:
    """Make the store in *database* if there is none. Raises as `open_store`."""
    log = database.with_name(database.name + "-wal")
    if _is_missing(database) and _is_missing(log):
        _make_whole(database, store_keys.new_store(*source.create()), deadline, closed)
    elif not has_data(database) and not database.is_symlink():
        what = "gone" if _is_missing(database) else "empty"
        raise StoreDamaged(
            f"the local store {database} has lost what was in it: the file is {what}; "
            "bring it back from a copy, or move the whole folder away to start an empty one",
            path=str(database),
        )


def _is_missing(path: Path) -> bool:
    """Whether there surely is no such file."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _make_whole(database: Path, made: store_keys.NewStore, deadline: float, closed: threading.Event) -> None:
    def write(fresh: Path) -> None:
        blank = Blank(fresh, deadline=deadline, closed=closed)
        try:
            _make(blank, made, deadline)
        finally:
            blank.close()

    problem = None
    try:
        bring_into_place(database, write)
    except OSError as exc:
        problem = exc.strerror
    if problem is not None:
        raise StoreUnavailable(
            f"the local store {database} cannot be made ({problem}); give a path on a disk with room that this user "
            "may write to and that knows hard links",
            path=str(database),
        )


def _make(store: Store, made: store_keys.NewStore, deadline: float) -> None:
    def make(rows: Rows) -> None:
        if version(rows) == 0:  # else another process was quicker
            for statement in schema.TABLES:
                rows.do(statement)
            store_keys.make(rows, made)

    store.write(make, deadline)
