"""Files that come into being once, whole, and for us alone."""

import contextlib
import errno
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from secrets_actor.paths import give

FILE_MODE: Final = 0o600
OTHERS: Final = 0o077


def create_once(path: Path, content: Callable[[], bytes], like: Path | None = None) -> None:
    """Bring a file with *content* into place, mode 0600, durably; nothing to do when there is one. Root makes it for
    whom *like* belongs to (None: the folder).

    Raises `OSError`.
    """
    bring_into_place(path, lambda fresh: _write(fresh, content, like or path.parent))


def bring_into_place(path: Path, write: Callable[[Path], object]) -> None:
    """Bring a file that *write* makes, mode 0600 and synced, into place; nothing to do when there is one.

    It is written under another name and then linked, which fails when the name is taken: nobody ever sees a part of
    it, and of several who try at once one succeeds. Raises `OSError`, and what *write* raises.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write(fresh)
        with contextlib.suppress(FileExistsError):  # theirs it is
            os.link(fresh, path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
    sync_folder(path.parent)


def _write(path: Path, content: Callable[[], bytes], like: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        make_ours(descriptor, like)
        _write_all(descriptor, content())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_ours(descriptor: int, like: Path) -> None:
    """Give a new file its mode, whatever the umask took away; and the owner of *like*, if we are root."""
    os.fchmod(descriptor, FILE_MODE)
    give(descriptor, like)


def _write_all(descriptor: int, content: bytes) -> None:
    size, written = len(content), os.write(descriptor, content)
    del content  # it may be a key
    if written != size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
