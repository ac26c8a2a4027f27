"""From a folder to an open store: key first, then data, then the proof that they belong together.

Rule 1: the order of key and data is `keyfile`'s: no data without a key that is durable.
Rule 2: the key is proven against the store before any value is sealed or opened. A wrong key changes nothing.
Rule 3: what was opened is known by the identity of its two files: when one is moved, deleted or put in from a copy,
        the next operation opens anew rather than write into a file that nobody will ever read.
"""

import os
import threading
from pathlib import Path
from typing import Final

from secrets_actor.backends.local import keyfile, records
from secrets_actor.backends.local.envelope import Envelope
from secrets_actor.backends.local.store import Rows, Store
from secrets_actor.domain.errors import WrongKey
from secrets_actor.records import dataclass

DATABASE_NAME: Final = "secrets.db"

Identity = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, the envelope that fits it, and the files they came from."""

    store: Store
    envelope: Envelope
    identity: Identity


def open_store(folder: Path, *, deadline: float, closed: threading.Event) -> Opened:
    """The store in *folder*, made first if there is none.

    Raises `KeyFileError`, `WrongKey`, `StoreUnavailable`, `StoreDamaged`, and `BackendTimeout` past *deadline*.
    """
    keyfile.prepare_folder(folder)
    database = folder / DATABASE_NAME
    envelope = Envelope(keyfile.load_or_create(folder, data_exists=lambda: _has_data(database)))
    store = Store(database, deadline=deadline, closed=closed)
    try:
        _prove(folder, store, envelope, deadline)
        return Opened(store, envelope, identity(folder))
    except BaseException:
        store.close()
        raise


def identity(folder: Path) -> Identity:
    """Which files the key and the database are now; None for one that is not there."""
    return _identity(folder / keyfile.KEY_NAME, changes=True), _identity(folder / DATABASE_NAME, changes=False)


def _identity(path: Path, *, changes: bool) -> tuple[int, int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns if changes else 0


def _has_data(database: Path) -> bool:
    try:
        return database.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown: better no new key


def _prove(folder: Path, store: Store, envelope: Envelope, deadline: float) -> None:
    check = store.read(records.key_check, deadline)
    if check is None:
        record = envelope.key_check()
        check = store.write(lambda rows: _put_first(rows, record), deadline)
    if not envelope.passes(check):
        path = folder / keyfile.KEY_NAME
        raise WrongKey(
            f"the key in {path} is not the one this store was sealed with; put the right key back "
            "(nothing was changed)",
            path=str(path),
        )


def _put_first(rows: Rows, record: bytes) -> object:
    """The key check that is in the store after this: ours, unless another process was quicker."""
    there = records.key_check(rows)
    if there is not None:
        return there
    records.put_key_check(rows, record)
    return record
