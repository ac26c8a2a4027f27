"""The checks of the owners and modes of a store's files, as ssh checks a user's keys (StrictModes).

They answer two questions: to whom do the files belong, and who could exchange them?

Rule 1: folder, key and database belong to this user or to root. Nobody else can make such files, so an exchange is
        noticed.
Rule 2: root may work on the store of another user. The store stays that user's: a file that root makes there gets the
        owner of the folder. Root refuses a folder of another user where anybody could have put it, as in /tmp:
        somebody may have prepared it for root.
Rule 3: no folder above may be writable for everybody, unless it is sticky, as /tmp is. If a group can write to a folder
        above, or it belongs to another user, `doctor` warns of it.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secrets_actor.paths import give

FOLDER_MODE: Final = 0o700
OTHERS_WRITE: Final = 0o022
_ALL_WRITE: Final = 0o002
_GROUP_WRITES: Final = 0o020


def make_folder(folder: Path, like: Path | None = None) -> None:
    """Make *folder* and the missing folders above it, with mode 0700, whatever the umask. If we are root, they get the
    owner of *like* (None: of the folder above). Raises `OSError`."""
    missing = []
    while not folder.is_dir() and not os.path.lexists(folder):
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process was quicker: the folder is that one's
            os.mkdir(one, FOLDER_MODE)
            give(one, like or one.parent)
            # A mode is better changed by descriptor than by name, since a name may be exchanged. But a folder that the
            # umask has closed to its owner cannot be opened. So this is done by name, and only where it must be.
            if stat.S_IMODE(os.lstat(one).st_mode) != FOLDER_MODE:
                os.chmod(one, FOLDER_MODE)


def is_trusted(uid: int, folder: Path) -> bool:
    """Whether a file in the store's *folder* may belong to the user *uid*."""
    return uid in _trusted() or (os.geteuid() == 0 and uid == _owner(folder))


def owner_for_files(folder: Path) -> int:
    """Return the id of the user to whom the store's files in *folder* are to belong: this user, or, if we are root, the
    folder's owner."""
    owner = _owner(folder)
    return owner if owner is not None and os.geteuid() == 0 else os.geteuid()


def cannot_write(folder: Path) -> Path | None:
    """Return the folder that this user would have to write to in order to make a store in *folder*, and may not:
    *folder* itself, or the nearest one above it that exists. None when the store can be made, as far as can be told."""
    while not os.path.lexists(folder):
        folder = folder.parent
    may = os.access(folder, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids)
    return None if may else folder


def folder_objection(folder: Path) -> str | None:
    """Return why *folder*, which may be missing, must not be used: a text to follow the folder's name, which also says
    what to do. None when there is no objection."""
    try:
        state = os.stat(folder)
    except FileNotFoundError:
        state = None
    if state is not None:
        mode = stat.S_IMODE(state.st_mode)
        if mode & OTHERS_WRITE:
            return f"can be written to by others (mode {mode:04o}); run: chmod 700 {folder}"
        if state.st_uid not in _trusted():
            whose = f"belongs to another user ({state.st_uid})"
            if os.geteuid() != 0:
                return f"{whose}, who reads what is put there; give a folder of your own"
            place = _uppermost_of(state.st_uid, folder)
            if os.stat(place.parent).st_mode & OTHERS_WRITE:
                return f"{whose}, and lies in {place.parent}, where anybody could have put it; give another path"
        links = [one for one in _parts(folder) if os.path.islink(one)]
        for link in links:
            if not is_trusted(os.lstat(link).st_uid, folder):
                return f"is behind {link}, a link of another user, who can exchange it; give the path it leads to"
    for above in _above(folder):
        mode = os.stat(above).st_mode
        if mode & _ALL_WRITE and not mode & stat.S_ISVTX:
            return f"lies below {above}, which everybody can write to, and so exchange it; run: chmod o-w {above}"
    return None


def folder_doubts(folder: Path) -> Iterator[tuple[str, str]]:
    """Return the doubts about *folder* and the folders above it, which may be used all the same: for each a text, and
    what to do about it."""
    owner = _owner(folder)
    if owner not in (None, *_trusted()):
        yield f"the store belongs to user {owner}, who reads what root puts there", "use it as that user"
    for above in _above(folder):
        state = os.stat(above)
        if state.st_uid not in (*_trusted(), owner):
            yield f"{above} belongs to user {state.st_uid}, who can exchange what is below", f"chown root {above}"
        if state.st_mode & _GROUP_WRITES and not state.st_mode & stat.S_ISVTX and not _is_private(state.st_gid):
            yield f"the group {state.st_gid} can write to {above}, and exchange what is below", f"chmod g-w {above}"


def _trusted() -> tuple[int, ...]:
    """Return the ids of the users that are trusted: root and this user. In a user namespace root may be shown as
    another user, the owner of the root folder; so that owner counts as root."""
    return 0, os.geteuid(), os.stat("/").st_uid


def _owner(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_uid
    except OSError:
        return None


def _parts(folder: Path) -> Iterator[Path]:
    """Return *folder* and all folders above it, once as the path names them and once with links followed: either way
    could be exchanged."""
    seen = set()
    for path in (folder, Path(os.path.realpath(folder))):
        for one in (path, *path.parents):
            if one not in seen:
                seen.add(one)
                yield one


def _above(folder: Path) -> Iterator[Path]:
    """Return the existing folders above *folder*."""
    itself = {folder, Path(os.path.realpath(folder))}
    return (one for one in _parts(folder) if one not in itself and one.is_dir())


def _uppermost_of(uid: int, folder: Path) -> Path:
    """Return the uppermost folder on the way from the root to *folder* that belongs to *uid*."""
    real = Path(os.path.realpath(folder))
    return next(one for one in (*reversed(real.parents), real) if os.stat(one).st_uid == uid)


def _is_private(gid: int) -> bool:
    """Whether the group is this user's own and nobody else is in it. Many systems give each user such a group."""
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return group.gr_gid == user.pw_gid and set(group.gr_mem) <= {user.pw_name}
