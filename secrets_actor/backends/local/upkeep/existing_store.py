"""The opening of a store that must exist already, and `init`, which makes one that must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.open_store import DATABASE_NAME, OpenStore, is_there, no_store, open_store
from secrets_actor.domain.errors import InvalidRequest


def database_of(folder: Path, source: MasterKeySource) -> Path:
    """Return the path of the database in *folder*. Makes nothing. Raises `StoreUnavailable` when there is no store, and
    what `is_there` raises."""
    if not is_there(folder, source):
        raise no_store(folder)
    return folder / DATABASE_NAME


def check_key(source: MasterKeySource) -> None:
    """Raise `KeyFileError` when the store's key is a key file of our own and is lost. Other places are not looked at:
    the operator who makes a backup may have no right to them, and needs none."""
    if source.kind == KeyFile.kind and not source.present():
        raise source.missing()


@contextmanager
def opened_store(folder: Path, source: MasterKeySource, deadline: float) -> Iterator[OpenStore]:
    """Open the store in *folder*, and close it at the end of the `with` block. Raises what `open_store` raises."""
    store = open_store(folder, source, deadline=deadline, closed=threading.Event())
    try:
        yield store
    finally:
        store.store.close()


def init(folder: Path, source: MasterKeySource, *, deadline: float) -> None:
    """Make an empty store in *folder* with the master key from *source*, which is made, too, where the source makes
    keys.

    Raises `InvalidRequest` when there is a store already, `KeyFileError` when the key of that one is lost, and what
    `open_store` raises.
    """
    if is_there(folder, source):
        check_key(source)
        raise InvalidRequest(f"there is a store in {folder} already; give another folder, or move it away")
    open_store(folder, source, deadline=deadline, closed=threading.Event(), makes=True).store.close()
