"""The key file: 32 random bytes that nobody else can read. POSIX only; Windows has no file modes to rely on.

Rule 1: a key is made only where there is neither a key nor data. Data without its key is an error, and stays one.
Rule 2: the key comes into place whole or not at all, and once: written and synced under another name, then linked,
        which fails when the name is taken. Of two processes that start at once, one links and both read the same file.
Rule 3: the key exists, durably, before any data does.
Rule 4: no frame that raises has key bytes among its locals.
"""

import os
import stat
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.files import OTHERS, create_once, sync_folder
from secrets_actor.backends.local.master_key import Derivation
from secrets_actor.domain.errors import KeyFileError, StoreUnavailable

KEY_BYTES: Final = 32  # AES-256
KEY_NAME: Final = "key"
NEXT: Final = ".next"
FOLDER_MODE: Final = 0o700
_OTHERS_WRITE: Final = 0o022


class KeyFile:
    """The key in the file *path*, made on first use."""

    def __init__(self, path: Path) -> None:
        self._path, self._next = path, path.with_name(path.name + NEXT)

    def __str__(self) -> str:
        return f"the key file {self._path}"

    def identity(self) -> object:
        """The file's device, inode and time; None when there is none."""
        try:
            state = os.stat(self._path)
        except OSError:
            return None
        return state.st_dev, state.st_ino, state.st_mtime_ns

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """The key; None when there is no such file. Raises `KeyFileError`, with the remedy, for a key that is short,
        long, not a plain file, unreadable, or open to group or others."""
        return load(self._path)

    def create(self) -> tuple[bytes, None]:
        """A new key, or that of who was quicker, or the one that is there. Raises `KeyFileError`."""
        return _made(self._path), None

    def replace(self) -> tuple[bytes, None]:
        """The key in `NAME.next`, which is made if it is not there. Raises `KeyFileError`."""
        return _made(self._next), None

    def replaced(self) -> None:
        """`NAME.next` becomes `NAME`, durably. Raises `KeyFileError`."""
        problem = None
        try:
            os.replace(self._next, self._path)
            sync_folder(self._path.parent)
        except FileNotFoundError:
            return  # done before
        except OSError as exc:
            problem = exc.strerror
        if problem is not None:
            raise KeyFileError(
                f"{self._next} cannot take the place of {self} ({problem}); give this user the right to the folder, "
                "and rekey again",
                path=str(self._path),
            )


def prepare_folder(folder: Path) -> None:
    """Make *folder* with mode 0700 unless it is there.

    Raises `StoreUnavailable` when that fails, `KeyFileError` when others may write to it: they could exchange the key.
    """
    problem = None
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError as exc:
        problem = exc.strerror
    if problem is not None:
        raise StoreUnavailable(
            f"the store's folder {folder} cannot be made or read ({problem}); give another path, or its permissions",
            path=str(folder),
        )
    if mode & _OTHERS_WRITE:
        raise KeyFileError(
            f"the store's folder {folder} can be written to by others (mode {mode:04o}); run: chmod 700 {folder}",
            path=str(folder),
        )


def load(path: Path) -> bytes | None:
    """The key in *path*, None when there is no such file. Raises `KeyFileError` for a file that will not do."""
    problem = None
    try:
        # Not blocking, so that a FIFO in the key's place cannot hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        problem = f"cannot be read ({exc.strerror}); give this user the right to read it, and no one else"
    else:
        try:
            problem = _objection(path, os.fstat(descriptor))
            if problem is None:
                key = os.read(descriptor, KEY_BYTES + 1)
                if len(key) == KEY_BYTES:
                    return key
                del key
                problem = "changed while it was read; ask again"
        except OSError as exc:
            problem = f"cannot be read ({exc.strerror}); check the disk, or put the key back from a copy"
        finally:
            os.close(descriptor)
    raise KeyFileError(f"the key file {path} {problem}", path=str(path))


def _objection(path: Path, state: os.stat_result) -> str | None:
    mode = stat.S_IMODE(state.st_mode)
    if not stat.S_ISREG(state.st_mode):
        return "is not a plain file; put the key back from a copy"
    if mode & OTHERS:
        return f"is open to group or others (mode {mode:04o}); run: chmod 600 {path}"
    if state.st_size != KEY_BYTES:
        length = "short" if state.st_size < KEY_BYTES else "long"
        return f"is too {length}: {state.st_size} bytes, not {KEY_BYTES}; put the key back from a copy"
    return None


def _made(path: Path) -> bytes:
    """The key in *path*, made unless there is one."""
    key = load(path)
    if key is not None:
        return key
    problem: str | None = "vanished as soon as it was made"
    try:
        create_once(path, lambda: os.urandom(KEY_BYTES))
    except OSError as exc:
        problem = f"cannot be made ({exc.strerror})"
    else:
        key = load(path)
        if key is not None:
            return key
    raise KeyFileError(
        f"the key file {path} {problem}; give a path on a disk with room that this user may write to and that knows "
        "hard links",
        path=str(path),
    )
