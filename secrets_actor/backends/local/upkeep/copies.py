"""Backup and restore: a consistent copy of a store that other processes may be using, and the way back from it.

Rule 1: a copy is a snapshot and is sealed just as the store is. It is made without the master key, and does not contain
        it. But a backup fails when our own key file is lost: copies made day after day would be worth nothing without
        it.
Rule 2: a copy appears as a whole, with mode 0600, and never replaces a file.
Rule 3: a copy is restored only if the configured key opens it and nothing in it is damaged. It replaces the contents of
        the store in one transaction. So a crash leaves either the old contents or the new ones, and a process that has
        the store open sees the new ones with its next operation.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from pathlib import Path

from msgspec import Struct

from secrets_actor.backends.local import schema
from secrets_actor.backends.local.files import written_beside
from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.keys.private_file import check_folder, prepare_folder
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.open_store import (
    DATABASE_NAME,
    INDEX,
    LOG,
    OpenStore,
    forget_known,
    has_data,
    place_database,
)
from secrets_actor.backends.local.sqlite_connection import Blank, Copy, Store
from secrets_actor.backends.local.sqlite_errors import passes
from secrets_actor.backends.local.transaction import Transaction, version
from secrets_actor.backends.local.upkeep.existing_store import check_key, database_of
from secrets_actor.backends.local.upkeep.verify import Verification, look_through
from secrets_actor.clock import utc_now
from secrets_actor.domain.errors import InvalidRequest, KeyFileError, StoreDamaged, StoreUnavailable, WrongKey


class Restored(Struct, frozen=True):
    """The result of a restore. `verification` is that of the copy. `aside` is the path of the damaged database that was
    put aside; None when there was none."""

    verification: Verification
    aside: Path | None


def backup(folder: Path, source: MasterKeySource, path: Path, *, deadline: float) -> int:
    """Copy the store in *folder* to the new file *path*; return the size of that file in bytes.

    Raises `StoreUnavailable` when there is no store, when the file is there already or cannot be made, `KeyFileError`
    when the store's key file is lost, `StoreDamaged` and `BackendTimeout`.
    """
    path = Path(os.path.abspath(path))
    database = database_of(folder, source)
    check_key(source)
    store = Store(database, deadline=deadline, closed=threading.Event())
    problem: str | None = "is there already"
    passing = False
    try:
        if not os.path.lexists(path):  # the link would fail too, but only after the whole copy
            with written_beside(path) as fresh:
                _copy(store, fresh, deadline)
            return path.stat().st_size
    except OSError as exc:
        problem = problem if isinstance(exc, FileExistsError) else f"cannot be made ({exc.strerror})"
        passing = passes(exc)
    finally:
        store.close()
    raise StoreUnavailable(
        f"{path} {problem}; give the name of a new file on a disk that this user may write to",
        path=str(path),
        retryable=passing,
    )


def _copy(store: Store, fresh: Path, deadline: float) -> None:
    blank = Blank(fresh, deadline=deadline, closed=threading.Event())
    try:
        store.copy_to(blank, deadline)
    finally:
        blank.close()


def restore(folder: Path, source: MasterKeySource, path: Path, *, replace: bool = False, deadline: float) -> Restored:
    """Put the copy *path* in the place of the store in *folder*, which may be empty or missing. *replace* allows that
    the secrets in the store now are lost; a damaged database is put aside.

    Raises `StoreUnavailable` when there is no copy, `WrongKey` and `KeyFileError` when the key in *source* does not
    open it, `StoreDamaged` when anything in it is damaged or another release made it, `InvalidRequest` when the store
    has secrets or is damaged and *replace* is not set, and what `open_store` raises.
    """
    path = Path(os.path.abspath(path))
    check_folder(folder)
    copy = _opened_copy(path, deadline)
    try:
        verification = look_through(_unlocked(copy, source, deadline), deadline)
        if not verification.clean:
            raise StoreDamaged(
                f"the copy {path} is damaged, and nothing was restored ({verification.damage[0]}); take another copy",
                path=str(path),
            )
        prepare_folder(folder)
        database = folder / DATABASE_NAME
        live, aside = _live(database, replace, deadline)
        if live is None:
            place_database(database, lambda fresh: _copy(copy, fresh, deadline))
        else:
            try:
                copy.copy_to(live, deadline)
                live.clear_log(deadline)
            finally:
                live.close()
        # This process may have known another store in the folder (`open_store.py`, rule 6); this change was intended.
        forget_known(folder)
        return Restored(verification, aside)
    finally:
        copy.close()


def _unlocked(copy: Copy, source: MasterKeySource, deadline: float) -> OpenStore:
    if source.kind == KeyFile.kind and not source.present():
        raise KeyFileError(
            f"{source} is missing, and nothing was restored: {copy.path} opens with the key of its time alone; put "
            "that one there from a copy, in a folder of mode 0700, and restore again",
            path=str(copy.path),
        )
    try:
        return OpenStore(copy, source, None, deadline)
    except WrongKey as exc:
        place = exc.path
    raise WrongKey(
        f"the key in {source} is not the one that {copy.path} was made under, and nothing was restored; put that one "
        "there, restore, and then rekey",
        path=place,
    )


def _opened_copy(path: Path, deadline: float) -> Copy:
    log = path.with_name(path.name + "-wal")
    if not path.is_file():
        raise StoreUnavailable(
            f"there is no file {path}; give the copy that backup has made", path=str(path), retryable=False
        )
    if has_data(log):
        raise StoreUnavailable(
            f"{path} is the file of a store in use, and not a copy: part of it is in {log}; make a copy by backup",
            path=str(path),
            retryable=False,
        )
    copy = Copy(path, deadline=deadline, closed=threading.Event())
    if copy.read(version, deadline) == schema.VERSION:
        return copy
    copy.close()
    raise StoreDamaged(
        f"{path} is no copy of a store: give one that backup has made",
        path=str(path),
    )


def _live(database: Path, replace: bool, deadline: float) -> tuple[Store | None, Path | None]:
    """Return the database that the copy is to replace (None: there is none), and the path to which a damaged one was
    put aside (None: there was no damaged one)."""
    log = database.with_name(database.name + LOG)
    live = None
    try:
        if os.path.lexists(database):
            live = Store(database, deadline=deadline, closed=threading.Event())
        elif not os.path.lexists(log):
            return None, None
    except StoreDamaged:
        pass
    if live is not None:
        try:
            if replace or not live.read(_count, deadline):
                return live, None
        except BaseException:
            live.close()
            raise
        live.close()
    if not replace:
        raise _in_the_way(database, damaged=live is None)
    aside = database.with_name(f"{database.name}.damaged-{utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(4)}")
    for end in ("", LOG, INDEX):  # with its log, which has part of its contents
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + end).rename(aside.with_name(aside.name + end))
    return None, aside


def _in_the_way(database: Path, *, damaged: bool) -> InvalidRequest:
    what = "is damaged, and would be put aside" if damaged else "has secrets, which a restore would take away"
    return InvalidRequest(f"the store {database} {what}: restore with --replace if it may go, or move the folder away")


def _count(transaction: Transaction) -> int:
    """Return the number of secrets."""
    return int((transaction.one("SELECT count(*) FROM secrets") or (0,))[0])
