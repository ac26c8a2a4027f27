"""New files: each appears under its name only when it is complete and durable, and only its owner may open it."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from secrets_actor.domain.errors import ExportFileError
from secrets_actor.paths import give

FILE_MODE: Final = 0o600
OTHERS: Final = 0o077


def create_once(path: Path, content: Callable[[], bytes], like: Path | None = None) -> None:
    """Bring a file with *content* into place, durably and with mode 0600. Do nothing when there is one already.

    When root makes the file, it gets the owner of *like* (None: of its folder). Raises `OSError`.
    """
    bring_into_place(path, lambda fresh: _write(fresh, content, like or path.parent))


def bring_into_place(path: Path, write: Callable[[Path], object]) -> None:
    """Bring a file into place; do nothing when there is one already. *write* makes it at the path that it is given,
    with mode 0600, and syncs it.

    Raises `OSError`, and what *write* raises.
    """
    try:
        with written_beside(path) as fresh:
            write(fresh)
    except FileExistsError:
        # Another process was quicker, and its file counts. It may not have synced the folder yet, and our caller relies
        # on a durable name.
        sync_folder(path.parent)


@contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """Give a temporary name in the folder of *path*, for a new file. If the `with` block succeeds, that file is linked
    to *path*, durably. The temporary name is removed in any case.

    A link and not a rename, because a link fails when the name is taken: nobody ever sees a part of the file, and of
    several processes that try at once one succeeds. Raises `OSError`: `FileExistsError` where there is a file already.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        yield fresh
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
    """Give a new file mode 0600, whatever the umask took away; and the owner of *like*, if we are root."""
    os.fchmod(descriptor, FILE_MODE)
    give(descriptor, like)


def _write_all(descriptor: int, content: bytes) -> None:
    size, written = len(content), os.write(descriptor, content)
    del content  # it may be a key, which the frame that raises must not hold
    if written != size:  # a plain file takes less only where the disk is full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable: a file's own sync does not cover its name."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_TAKEN: Final = "is there already: give another name, or move it away"


def check_is_new(path: Path) -> None:
    """Raise `ExportFileError` when the name *path* is taken, also by a link that leads nowhere."""
    if os.path.lexists(path):
        raise ExportFileError(f"{path} {_TAKEN}", path=str(path))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for writing, with mode 0600 from its creation and under a temporary name in the same folder. If
    the `with` block succeeds, the file is synced and linked to *path*. Otherwise nothing is left of it.

    Raises `ExportFileError` for a name that is taken, and for a folder or disk that refuses the file.
    """
    problem: str | None = None
    try:
        check_is_new(path)  # the link would fail too, but only after a long export
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with written_beside(path) as fresh, open(os.open(fresh, flags, FILE_MODE), "wb") as file:
            make_ours(file.fileno(), path.parent)
            yield file
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        problem = _TAKEN
    except OSError as error:
        problem = f"cannot be written ({error.strerror}); give a path on a disk with room that this user may write to"
    if problem is not None:
        raise ExportFileError(f"{path} {problem}", path=str(path))


@contextmanager
def existing_file(path: Path) -> Iterator[BinaryIO]:
    """Open the plain file at *path* for reading. Raises `ExportFileError`."""
    problem: str | None = None
    try:
        # Non-blocking, because opening a FIFO would wait for somebody to write to it.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield file
            else:
                problem = "it is no plain file"
    except OSError as error:
        problem = error.strerror
    if problem is not None:
        raise ExportFileError(f"{path} cannot be read ({problem}); give the path of an export", path=str(path))
