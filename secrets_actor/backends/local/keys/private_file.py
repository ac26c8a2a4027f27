"""Private files: a file with a key or a passphrase is read only if no other user can read or exchange it.

Rule: a function that reads returns the content or a text that says what is wrong, and never raises: no frame that
raises has key bytes among its locals.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.files import OTHERS
from secrets_actor.backends.local.ownership import (
    OTHERS_WRITE,
    folder_objection,
    is_trusted,
    make_folder,
    owner_for_files,
)
from secrets_actor.backends.local.sqlite_errors import passes
from secrets_actor.domain.errors import KeyFileError, StoreUnavailable

_GROUP_READS: Final = 0o040


def read(path: Path, limit: int, *, given: bool, store: Path | None = None) -> bytes | str | None:
    """Return the content of *path*, a text that says what is wrong with it, or None when there is no such file.

    At most *limit* + 1 bytes are read: the one more tells the caller that the file is too long. *given*: somebody else
    provides the file, such as systemd; otherwise we made it. *store* is the folder of the store that the file is for.
    """
    try:
        folder = os.stat(path.parent)
        # Non-blocking, because opening a FIFO in the key's place would wait for somebody to write to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        return f"cannot be read ({_reason(exc)}); give this user the right to read it, and no one else"
    try:
        # By the descriptor: another file may have been put at the path since.
        state = os.fstat(descriptor)
        problem = objection(path, state.st_mode, folder.st_mode, roots=state.st_uid == 0, given=given)
        if problem is None and not is_trusted(state.st_uid, store or path.parent):
            whose = owner_for_files(store or path.parent)
            problem = f"belongs to another user ({state.st_uid}), who can exchange it; run: chown {whose} {path}"
        return os.read(descriptor, limit + 1) if problem is None else problem
    except OSError as exc:
        return f"cannot be read ({exc.strerror}); check the disk, or put the file back from a copy"
    finally:
        os.close(descriptor)


def objection(path: Path, mode: int, folder: int, *, roots: bool, given: bool) -> str | None:
    """Return what is wrong with a file of this *mode* in a folder of the mode *folder*; None when it may be used.
    *roots* tells whether the file belongs to root.

    Two kinds of file that root provides are allowed. systemd makes a credential (exec-credential.c) with mode 0400 for
    the user of the service; or, where the file system has access lists, with mode 0400 for root and an entry for the
    user, and `stat` shows that entry's right as the group's. Kubernetes mounts a file of a secret with mode 0440 or
    0640 for root and the group of the pod's volumes.
    """
    shown = stat.S_IMODE(mode)
    if not stat.S_ISREG(mode):
        return "is not a plain file; put it back from a copy"
    if given and roots and shown & OTHERS == _GROUP_READS:
        pass
    elif shown & OTHERS:
        problem = f"is open to group or others (mode {shown:04o}); run: chmod 600 {path}"
        if not (given and roots):
            return problem
        return (
            f"{problem}, or, for a group that reads it, chmod 440. It is root's: one that is mounted gets its mode "
            "there (Kubernetes: defaultMode: 0440; Docker: mode: 0440)"
        )
    # In a sticky folder, as /tmp is, nobody can exchange another user's file.
    if folder & OTHERS_WRITE and not (given and folder & stat.S_ISVTX):
        loose = f"{stat.S_IMODE(folder):04o}"
        return f"lies in a folder that others can write to (mode {loose}); run: chmod go-w {path.parent}"
    return None


def identity(path: Path) -> tuple[int, int, int, int] | None:
    """Return which file is at *path* now (device, inode, time of change in nanoseconds, size in bytes); None when
    there is none."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino, state.st_mtime_ns, state.st_size


def prepare_folder(folder: Path, what: str = "the store's folder", like: Path | None = None) -> None:
    """Make *folder* and the missing folders above it, with mode 0700. If we are root, they get the owner of *like*
    (None: of the folder above). *what* names the folder in messages. Raises what `check_folder` raises."""
    check_folder(folder, what)
    problem, passing = None, False
    try:
        make_folder(folder, like)
    except OSError as exc:
        problem, passing = exc.strerror, passes(exc)
    if problem is not None:
        raise _unavailable(folder, what, problem, passing)
    check_folder(folder, what, must_be=True)


def check_folder(folder: Path, what: str = "the store's folder", *, must_be: bool = False) -> None:
    """Check *folder* and those above it. *folder* itself may be missing, unless it *must_be* there.

    Raises `StoreUnavailable` when it cannot be read or is not a folder, and `KeyFileError` when others could exchange
    its contents.
    """
    problem = objection = None
    passing = False
    try:
        objection = folder_objection(folder)
        if must_be or os.path.lexists(folder):
            problem = None if stat.S_ISDIR(folder.stat().st_mode) else os.strerror(errno.ENOTDIR)
    except FileNotFoundError:
        problem = f"it is a link to {os.path.realpath(folder)}, which is not there: mount its disk"
        problem = problem if os.path.islink(folder) else os.strerror(errno.ENOENT)
    except OSError as exc:
        problem, passing = exc.strerror, passes(exc)
    if problem is not None:
        raise _unavailable(folder, what, problem, passing)
    if objection is not None:
        raise KeyFileError(f"{what} {folder} {objection}", path=str(folder))


def _unavailable(folder: Path, what: str, problem: str | None, passing: bool) -> StoreUnavailable:
    return StoreUnavailable(
        f"{what} {folder} cannot be made or read ({problem}); name another one, or give this user the right to it",
        path=str(folder),
        retryable=passing,
    )


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "no path"
