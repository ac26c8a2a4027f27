"""A store that must be there already, opened for a while; and one that must not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from secrets_actor.backends.local.keys.key_file import KeyFile
from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.local.open_store import DATABASE_NAME, OpenStore, is_there, no_store, open_store
from secrets_actor.domain.errors import InvalidRequest


def database_of(folder: Path, source: MasterKeySource) -> Path:
    """The database of the store in *folder*. Raises `StoreUnavailable` when there is none (none is made here), and as
    `is_there`."""
    if not is_there(folder, source):
        raise no_store(folder)
    return folder / DATABASE_NAME


def check_key(source: MasterKeySource) -> None:
    """Raise `KeyFileError` for a store whose key is a file of ours and is lost. Another place of a key may be known to
    those only who need the key."""
    if source.kind == KeyFile.kind and not source.present():
        raise source.missing()


@contextmanager
def opened_store(folder: Path, source: MasterKeySource, deadline: float) -> Iterator[OpenStore]:
    """The store in *folder*, brought to the present form if need be. Raises as `open_store`."""
    store = open_store(folder, source, deadline=deadline, closed=threading.Event())
    try:
        yield store
    finally:
        store.store.close()


def init(folder: Path, source: MasterKeySource, *, deadline: float) -> None:
    """Make an empty store in *folder* whose master key is in *source*; the key too, where that is the source's matter.

    Raises `InvalidRequest` when there is one already, `KeyFileError` when that one's key is lost, and as `open_store`.
    """
    if is_there(folder, source):
        check_key(source)
        raise InvalidRequest(f"there is a store in {folder} already; give another folder, or move it away")
    open_store(folder, source, deadline=deadline, closed=threading.Event(), makes=True).store.close()
