"""Files that hold a key or a passphrase: read only if nobody else can.

Rule: what was read or what is wrong is returned, never raised: no frame that raises has key bytes among its locals.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.files import OTHERS
from secrets_actor.backends.local.ownership import OTHERS_WRITE, folder_objection, is_trusted, make_folder, rightful
from secrets_actor.backends.local.sqlite_errors import passes
from secrets_actor.domain.errors import KeyFileError, StoreUnavailable

_GROUP_READS: Final = 0o040


def read(path: Path, limit: int, *, given: bool, store: Path | None = None) -> bytes | str | None:
    """What is in *path*, *limit* bytes and one more at most; or what is wrong with it; None when there is no such file.

    *given*: by somebody else, such as systemd; else made by us. *store*: the folder of the store that it is for.
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
        if problem is None and not is_trusted(state.st_uid, store or path.parent):
            whose = rightful(store or path.parent)
            problem = f"belongs to another user ({state.st_uid}), who can exchange it; run: chown {whose} {path}"
        return os.read(descriptor, limit + 1) if problem is None else problem
    except OSError as exc:
        return f"cannot be read ({exc.strerror}); check the disk, or put the file back from a copy"
    finally:
        os.close(descriptor)


def objection(path: Path, mode: int, folder: int, *, roots: bool, given: bool) -> str | None:
    """What is wrong with a file of this *mode* in a *folder* of that one. *roots*: whether it belongs to root.

    What systemd makes of a credential passes (exec-credential.c): 0400, belonging to the service's user; or, where the
    file system knows access lists, 0400 of root with an entry for the user, whose right `stat` shows as the group's. So
    does a file of a Kubernetes secret with mode 0440 or 0640, root's for the group of the pod's volumes.
    """
    shown = stat.S_IMODE(mode)
    if not stat.S_ISREG(mode):
        return "is not a plain file; put it back from a copy"
    if given and roots and shown & OTHERS == _GROUP_READS:
        pass
    elif shown & OTHERS:
        told = f"is open to group or others (mode {shown:04o}); run: chmod 600 {path}"
        if not (given and roots):
            return told
        return (
            f"{told}, or, for a group that reads it, chmod 440. It is root's: one that is mounted gets its mode there "
            "(Kubernetes: defaultMode: 0440; Docker: mode: 0440)"
        )
    # In a folder that is sticky, as /tmp is, nobody can exchange a file of another.
    if folder & OTHERS_WRITE and not (given and folder & stat.S_ISVTX):
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


def prepare_folder(folder: Path, what: str = "the store's folder", like: Path | None = None) -> None:
    """Make *folder* and what is missing above it, with mode 0700, for whom *like* belongs to (None: the folder above).
    Raises as `check_folder`."""
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
    """Look at *folder*, if it is there or *must_be*, and at those above it.

    Raises `StoreUnavailable` when it cannot be read, `KeyFileError` when others could exchange what is in it.
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
