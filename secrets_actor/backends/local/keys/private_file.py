"""Files that hold a key or a passphrase: read only if nobody else can.

Rule: what was read or what is wrong is returned, never raised: no frame that raises has key bytes among its locals.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.failures import passes
from secrets_actor.backends.local.files import OTHERS
from secrets_actor.domain.errors import KeyFileError, StoreUnavailable

FOLDER_MODE: Final = 0o700
_OTHERS_WRITE: Final = 0o022
_ANYBODY_WRITES: Final = 0o222
_GROUP_READS: Final = 0o040


def read(path: Path, limit: int, *, given: bool) -> bytes | str | None:
    """What is in *path*, *limit* bytes and one more at most; or what is wrong with it; None when there is no such file.

    *given*: by somebody else, such as systemd; else made by us.
    """
    try:
        folder = os.stat(path.parent)
        # Not blocking, so that a FIFO in the key's place cannot hang us.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        return f"cannot be read ({_reason(exc)}); give this user the right to read it, and no one else"
    try:
        state = os.fstat(descriptor)
        problem = objection(path, state.st_mode, folder.st_mode, roots=state.st_uid == 0, given=given)
        return os.read(descriptor, limit + 1) if problem is None else problem
    except OSError as exc:
        return f"cannot be read ({exc.strerror}); check the disk, or put the file back from a copy"
    finally:
        os.close(descriptor)


def objection(path: Path, mode: int, folder: int, *, roots: bool, given: bool) -> str | None:
    """What is wrong with a file of this *mode* in a *folder* of that one. *roots*: whether it belongs to root.

    What systemd makes of a credential passes (exec-credential.c): 0400, belonging to the service's user; or, where the
    file system knows access lists, 0400 of root with an entry for the user, whose right `stat` shows as the group's. So
    does a file of a Kubernetes secret with mode 0440.
    """
    shown = stat.S_IMODE(mode)
    if not stat.S_ISREG(mode):
        return "is not a plain file; put it back from a copy"
    if given and roots and shown & OTHERS == _GROUP_READS and not shown & _ANYBODY_WRITES:
        pass
    elif shown & OTHERS:
        also = f" (root's for a group: chmod 440 {path})" if given and roots else ""
        return f"is open to group or others (mode {shown:04o}); run: chmod 600 {path}{also}"
    # In a folder that is sticky, as /tmp is, nobody can exchange a file of another.
    if folder & _OTHERS_WRITE and not (given and folder & stat.S_ISVTX):
        loose = f"{stat.S_IMODE(folder):04o}"
        return f"lies in a folder that others can write to (mode {loose}); run: chmod go-w {path.parent}"
    return None


def identity(path: Path) -> tuple[int, int, int, int] | None:
    """Which file *path* is now; None when there is none."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size


def prepare_folder(folder: Path, what: str = "the store's folder") -> None:
    """Make *folder* with mode 0700 unless it is there. Raises as `check_folder`."""
    problem, passing = None, False
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as exc:
        problem, passing = exc.strerror, passes(exc)
    if problem is not None:
        raise _unavailable(folder, what, problem, passing)
    check_folder(folder, what)


def check_folder(folder: Path, what: str = "the store's folder") -> None:
    """Look at *folder*, if it is there.

    Raises `StoreUnavailable` when it cannot be read, `KeyFileError` when others may write to it: they could exchange
    the key.
    """
    problem, passing, mode = None, False, 0
    try:
        mode = folder.stat().st_mode
        problem = None if stat.S_ISDIR(mode) else os.strerror(errno.ENOTDIR)
    except FileNotFoundError:
        return
    except OSError as exc:
        problem, passing = exc.strerror, passes(exc)
    if problem is not None:
        raise _unavailable(folder, what, problem, passing)
    if mode & _OTHERS_WRITE:
        raise KeyFileError(
            f"{what} {folder} can be written to by others (mode {stat.S_IMODE(mode):04o}); run: chmod 700 {folder}",
            path=str(folder),
        )


def _unavailable(folder: Path, what: str, problem: str | None, passing: bool) -> StoreUnavailable:
    return StoreUnavailable(
        f"{what} {folder} cannot be made or read ({problem}); give another path, or its permissions",
        path=str(folder),
        retryable=passing,
    )


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "no path"
