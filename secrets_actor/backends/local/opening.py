"""From a folder to an open store: key first, then data, then the proof that they belong together.

Rule 1: the order of key and data is `first_use`'s: no data without a key that is durable.
Rule 2: the key is proven against the store before any value is sealed or opened. A wrong key changes nothing.
Rule 3: what was opened is known by the identity of its two files: when one is moved, deleted or put in from a copy,
        the next operation opens anew rather than write into a file that nobody will ever read.
"""

import os
import threading
from pathlib import Path
from typing import Final

from secrets_actor.backends.local import records
from secrets_actor.backends.local.envelope import Envelope
from secrets_actor.backends.local.keys.first_use import load_or_create
from secrets_actor.backends.local.keys.key_file import KEY_NAME, KeyFile
from secrets_actor.backends.local.keys.private_file import prepare_folder
from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.local.store import Rows, Store
from secrets_actor.domain.errors import StoreUnavailable, WrongKey
from secrets_actor.records import dataclass

DATABASE_NAME: Final = "secrets.db"

Identity = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A store, the envelope that fits it, and the files they came from."""

    store: Store
    envelope: Envelope
    identity: Identity


def open_store(folder: Path, *, deadline: float, closed: threading.Event, key: MasterKeySource | None = None) -> Opened:
    """The store in *folder*, made first if there is none. *key*: where its master key comes from (None: the key file in
    the folder).

    Raises `KeyFileError`, `WrongKey`, `StoreUnavailable`, `StoreDamaged`, and `BackendTimeout` past *deadline*.
    """
    source = key or KeyFile(folder / KEY_NAME)
    if source.kind == "passphrase":
        raise StoreUnavailable(
            "a store of format 1 keeps no costs of a passphrase; choose another key", path=str(folder)
        )
    prepare_folder(folder)
    database = folder / DATABASE_NAME
    envelope = Envelope(load_or_create(source, data_exists=lambda: _has_data(database))[0])
    store = Store(database, deadline=deadline, closed=closed)
    try:
        _prove(source, folder, store, envelope, deadline)
        return Opened(store, envelope, identity(folder, key))
    except BaseException:
        store.close()
        raise


def identity(folder: Path, key: MasterKeySource | None = None) -> Identity:
    """Which key and which database there are now; None for one that is not there."""
    source = key or KeyFile(folder / KEY_NAME)
    try:
        state = os.stat(folder / DATABASE_NAME)
    except OSError:
        return source.identity(), None
    return source.identity(), (state.st_dev, state.st_ino)


def _has_data(database: Path) -> bool:
    try:
        return database.stat().st_size > 0
    except FileNotFoundError:
        return False
    except OSError:
        return True  # unknown: better no new key


def _prove(source: MasterKeySource, folder: Path, store: Store, envelope: Envelope, deadline: float) -> None:
    check = store.read(records.key_check, deadline)
    if check is None:
        record = envelope.key_check()
        check = store.write(lambda rows: _put_first(rows, record), deadline)
    if not envelope.passes(check):
        raise WrongKey(
            f"the key of the store {folder}, from {source}, is not the one this store was sealed with; put the right "
            "key back (nothing was changed)",
            path=str(folder),
        )


def _put_first(rows: Rows, record: bytes) -> object:
    """The key check that is in the store after this: ours, unless another process was quicker."""
    there = records.key_check(rows)
    if there is not None:
        return there
    records.put_key_check(rows, record)
    return record
