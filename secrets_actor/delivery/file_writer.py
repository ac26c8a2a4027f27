"""Puts a content into a file, whole, with its owner and mode, or leaves what was there. THE place where files with
secrets are written for other programs.

Rule 1: the content is written beside the file, under a name of its own; owner, group and mode are set, and all is on
        the disk, before it gets the file's name. Nobody ever sees half a file, or a whole one with another owner.
Rule 2: there is no backup. What is the same is not touched: programs that watch a file would load it again for nothing.
        An owner or a mode that has changed is put right in place.
Rule 3: a check comes before other programs see the content, where its command can be told the name of a file (`{}`).
        A check that looks at the file in its place, as `nginx -t` does, comes after: until it is over, the former file
        keeps a second name, and gets its first one back if the check fails.
Rule 4: each step leaves behind what the next program needs if this one is killed. A content whose check was not over
        is taken back. If programs were not told yet, they are told by the next.
Rule 5: what is in the file's place must be a plain file, and no link: to follow a link, or to replace one, would be a
        surprise. Nor is anything put into a folder where every user may replace it. In one where every user may make
        files, such as /tmp, what another user has put beside it is no word of ours (rule 4).
"""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import pwd
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from secrets_actor.domain.errors import CheckFailed, DeliveryFailed
from secrets_actor.structs import Opaque

# What stands behind the file's own name, between a dot and this, while it is written, checked, and told of (rule 4).
_NEW, _FORMER, _NOTHING, _UNTOLD = (
    "secrets-actor-new",
    "secrets-actor-former",
    "secrets-actor-none",
    "secrets-actor-tell",
)
_HELP: Final = {
    errno.ENOENT: "make the folder",
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk",
    errno.EFBIG: "the file may not be that long",
    errno.EROFS: "mount it so that it can be written, or choose another path",
    errno.EACCES: "let this user write into the folder, or choose another path",
    errno.EPERM: "only root can give a file to another user, or to a group that it is not in",
    errno.ENAMETOOLONG: "give it a shorter name: while it is written, 36 bytes are added",
}
# A check: gets the path of what is to be looked at, and raises `CheckFailed`.
Check = Callable[[Path], object]


class Content(Opaque):
    """The content of a file, in clear. Its repr shows nothing, for it stands in the frames of many functions."""

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes) -> None:
        self._bytes = content

    def reveal(self) -> bytes:
        """Return the bytes."""
        return self._bytes


class Target(Struct, frozen=True):
    """A file: its *path*, its *mode*, and whom it belongs to, by name or number (None: as whatever this process makes).
    *check* looks at it; if *beforehand*, at the content that is still under another name. *tells*: programs are told of
    another content (see `FileWriter.told`)."""

    path: Path
    mode: int = 0o400
    owner: str | None = None
    group: str | None = None
    check: Check | None = None
    beforehand: bool = False
    tells: bool = False


class Written(Struct, frozen=True):
    """What was done: whether the *content* is another one, whether owner or mode were put right (*repaired*), and
    whether programs have to be told (*tell*)."""

    content: bool = False
    repaired: bool = False
    tell: bool = False


class FileWriter:
    """Writes the file of *target*. One thread at a time."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._name = target.path.name

    def differs(self, content: Content) -> bool:
        """Whether `write` would do anything. It changes nothing. Raises `DeliveryFailed`."""
        with self._folder() as folder:
            uid, gid = self._owner()
            found = self._look(folder)
            if found is None:
                return True
            same = _holds(folder, self._name, content)
            return not same or self._is_astray(found, uid, gid) or self._there(folder, _FORMER)

    def write(self, content: Content) -> Written:
        """Have the file hold *content*, and be as the target says.

        Raises `CheckFailed` if the check says no, and `DeliveryFailed` if anything else is in the way: then the file is
        as it was.
        """
        with self._folder() as folder:
            uid, gid = self._owner()
            self._clear_up(folder)
            found = self._look(folder)
            if found is not None and _holds(folder, self._name, content):
                repaired = self._is_astray(found, uid, gid) and self._put_right(folder, uid, gid)
                return Written(repaired=repaired, tell=self._there(folder, _UNTOLD))
            self._replace(folder, content, uid, gid, is_first=found is None)
        return Written(content=True, tell=self._target.tells)

    def told(self) -> None:
        """Take notice that programs were told of the content. Raises `DeliveryFailed`."""
        with self._folder() as folder:
            self._drop(folder, _UNTOLD)

    # --- steps --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _folder(self) -> Iterator[int]:
        """Give the open folder of the file: whatever its path comes to mean, this one is worked in. Every `OSError`
        within becomes a `DeliveryFailed`."""
        place = self._target.path.parent
        problem = None
        try:
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                mode = os.fstat(folder).st_mode
                if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                    problem = f"anybody may write into the folder {place}: chmod o-w {place}"
                else:
                    yield folder
            finally:
                os.close(folder)
        except OSError as error:
            problem = f"{error.strerror}; {_HELP.get(error.errno or 0, 'see what is wrong with the folder')}"
        # Outside of the except block: an OSError's frames are of no use to anybody, and may show too much.
        if problem is not None:
            self._fail(problem)

    def _fail(self, problem: str, left: str = "what was there is left as it was") -> None:
        path = str(self._target.path)
        raise DeliveryFailed(f"{path}: {problem} ({left})", path=path)

    def _owner(self) -> tuple[int, int]:
        """Return the numbers of the user and the group; -1: as it is. Looked up each time: users come and go."""
        uid = gid = -1
        target, problem = self._target, ""
        try:
            if target.owner is not None:
                problem = "owner: this machine knows no such user"
                uid = int(target.owner) if target.owner.isdecimal() else pwd.getpwnam(target.owner).pw_uid
            if target.group is not None:
                problem = "group: this machine knows no such group"
                gid = int(target.group) if target.group.isdecimal() else grp.getgrnam(target.group).gr_gid
            return uid, gid
        except KeyError:
            pass
        self._fail(problem)
        raise AssertionError  # for the type checker

    def _look(self, folder: int) -> os.stat_result | None:
        """Return the state of the file; None if there is none (rule 5)."""
        try:
            found = os.stat(self._name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISLNK(found.st_mode):
            self._fail("it is a link; give the path that it leads to, or remove it")
        if not stat.S_ISREG(found.st_mode):
            self._fail("it is no plain file; give another path, or remove it")
        return found

    def _is_astray(self, found: os.stat_result, uid: int, gid: int) -> bool:
        """Whether owner or mode are not those of the target."""
        return (
            stat.S_IMODE(found.st_mode) != self._target.mode
            or uid not in (-1, found.st_uid)
            or gid not in (-1, found.st_gid)
        )

    def _put_right(self, folder: int, uid: int, gid: int) -> bool:
        """Set owner and mode in place: first only take rights away, so that nobody gains any on the way."""
        descriptor = os.open(self._name, os.O_RDONLY | _SAFE, dir_fd=folder)
        try:
            os.fchmod(descriptor, stat.S_IMODE(os.fstat(descriptor).st_mode) & self._target.mode)
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, self._target.mode)
        finally:
            os.close(descriptor)
        return True

    def _replace(self, folder: int, content: Content, uid: int, gid: int, *, is_first: bool) -> None:
        target = self._target
        new = f".{self._name}.{secrets.token_hex(8)}.{_NEW}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=folder)
        in_place = target.check is not None and not target.beforehand
        held, marked = -1, False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # it is in use: see `_clear_up`
            _write_all(descriptor, content)
            os.fchown(descriptor, uid, gid)
            os.fchmod(descriptor, target.mode)
            os.fsync(descriptor)
            self._see_it_is_readable(folder, new)
            if target.check is not None and target.beforehand:
                self._have_checked(folder, new)
            if in_place:
                held = self._keep_former(folder, is_first=is_first)
            if target.tells and not self._there(folder, _UNTOLD):
                self._make(folder, _UNTOLD)
                marked = True
            os.rename(new, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
            if in_place:
                self._have_checked(folder, self._name)
        except BaseException:  # a Ctrl-C, too
            self._undo(folder, is_marked=marked)
            raise
        finally:
            with suppress(OSError):
                os.unlink(new, dir_fd=folder)
            if held >= 0:
                os.close(held)
            os.close(descriptor)
        self._drop(folder, _FORMER)
        self._drop(folder, _NOTHING)

    def _have_checked(self, folder: int, name: str) -> None:
        """Have the check look at the file *name*. Raises `CheckFailed`, also if the check has changed the file: that
        would be another content at each look, and programs told of it, again and again."""
        before = _facts(folder, name)
        if self._target.check is not None:
            self._target.check(self._target.path.parent / name)
        if _facts(folder, name) != before:
            path = str(self._target.path)
            raise CheckFailed(
                f"{path}: the check has changed the file, and may only read it; it is as it was", path=path
            )

    def _see_it_is_readable(self, folder: int, new: str) -> None:
        """Fail if the file, as it will be, cannot be read by this process. Else it would be taken for another content
        at each look, written anew, and programs told of it, again and again."""
        try:
            os.close(os.open(new, os.O_RDONLY | _SAFE, dir_fd=folder))
            return
        except PermissionError:
            pass
        self._fail(
            "with this owner and mode, this user could not read it, and so not see later whether it has changed; give "
            "the file another mode or group, or this user CAP_DAC_READ_SEARCH"
        )

    def _undo(self, folder: int, *, is_marked: bool) -> None:
        """Have all be as it was. Raises `DeliveryFailed` if it cannot be: the next program does it."""
        try:
            self._take_back(folder)
            if is_marked:
                self._drop(folder, _UNTOLD)
            return
        except OSError as error:
            problem = f"what was there cannot be put back: {error.strerror}; {_HELP.get(error.errno or 0, 'mend that')}"
        self._fail(problem, "a content whose check has failed, or was not over, may be there until then")

    def _keep_former(self, folder: int, *, is_first: bool) -> int:
        """Give the former file a second name, or note that there was none. Return a descriptor with the lock that says
        that this process is at it; -1 if the former file cannot be opened."""
        if is_first:
            self._make(folder, _NOTHING)
            return self._held(folder, _NOTHING)
        try:
            os.link(self._name, self._beside(_FORMER), src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            return self._held(folder, _FORMER)
        except OSError as error:
            problem = error.strerror
        self._fail(
            f"to be checked in its place, it needs a second name (a hard link) for a moment: {problem}; have the check "
            "name the new file by {}"
        )
        raise AssertionError  # for the type checker

    def _held(self, folder: int, kind: str) -> int:
        """Lock the file *kind*, which was just made, as `_locked` does. Raises `DeliveryFailed` if another process took
        it for a leftover, and removed it, before it was locked: then nothing could be put back."""
        held = self._locked(folder, kind)
        if self._there(folder, kind):
            return held
        if held >= 0:
            os.close(held)
        self._fail("another program is just writing it")
        raise AssertionError  # for the type checker

    def _take_back(self, folder: int) -> None:
        """Have the file be what it was before its check, if that was not over (rule 3)."""
        if self._there(folder, _FORMER):
            os.rename(self._beside(_FORMER), self._name, src_dir_fd=folder, dst_dir_fd=folder)
            # Two names of one file: then a rename does nothing (POSIX). So it was, if this came before the new file.
            self._drop(folder, _FORMER)
        elif self._there(folder, _NOTHING):
            with suppress(FileNotFoundError):
                os.unlink(self._name, dir_fd=folder)
            self._drop(folder, _NOTHING)
        os.fsync(folder)

    def _clear_up(self, folder: int) -> None:
        """Take back, and remove, what a program has left behind that was killed (rule 4)."""
        for kind in (_FORMER, _NOTHING):
            if self._there(folder, kind):
                held = self._locked(folder, kind)
                try:
                    self._take_back(folder)
                finally:
                    if held >= 0:
                        os.close(held)
        leftover = re.compile(rf"\.{re.escape(self._name)}\.[0-9a-f]{{16}}\.{_NEW}")
        for name in os.listdir(folder):
            if leftover.fullmatch(name):
                with suppress(OSError):
                    descriptor = os.open(name, os.O_RDONLY | _SAFE, dir_fd=folder)
                    try:
                        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(name, dir_fd=folder)
                    finally:
                        os.close(descriptor)

    # --- files beside it ----------------------------------------------------------------------------------------------

    def _beside(self, kind: str) -> str:
        return f".{self._name}.{kind}"

    def _there(self, folder: int, kind: str) -> bool:
        try:
            found = os.stat(self._beside(kind), dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        trusted = {0, os.geteuid(), self._owner()[0]}
        if os.fstat(folder).st_mode & stat.S_IWOTH and found.st_uid not in trusted:
            self._fail(f"another user has put {self._beside(kind)} beside it; remove that, or choose another folder")
        if not stat.S_ISREG(found.st_mode):
            self._fail(f"{self._beside(kind)} beside it is no plain file, and not ours; remove it")
        return True

    def _make(self, folder: int, kind: str) -> None:
        os.close(os.open(self._beside(kind), os.O_WRONLY | os.O_CREAT | _SAFE, 0o600, dir_fd=folder))

    def _drop(self, folder: int, kind: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._beside(kind), dir_fd=folder)

    def _locked(self, folder: int, kind: str) -> int:
        """Return an open descriptor of the file *kind* with the lock on it. Raises `DeliveryFailed` if another process
        has it; returns -1 if it cannot be opened."""
        try:
            descriptor = os.open(self._beside(kind), os.O_RDONLY | _SAFE, dir_fd=folder)
        except OSError:
            return -1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Before that, its holder may have ended, and a third process have made another file of the name.
            if _facts(folder, self._beside(kind))[:1] == (os.fstat(descriptor).st_ino,):
                return descriptor
        except BlockingIOError:
            pass
        os.close(descriptor)
        self._fail("another program is just checking a new content of it")
        raise AssertionError  # for the type checker


_SAFE: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def _holds(folder: int, name: str, content: Content) -> bool:
    """Whether the file *name* can be read, and holds *content*."""
    wanted = memoryview(content.reveal())
    try:
        descriptor = os.open(name, os.O_RDONLY | _SAFE, dir_fd=folder)
    except PermissionError:  # its mode has changed: written anew, it is as it should be
        return False
    try:
        if os.fstat(descriptor).st_size != len(wanted):
            return False
        done = 0
        while done < len(wanted):
            part = os.read(descriptor, min(65_536, len(wanted) - done))
            if not part or wanted[done : done + len(part)] != part:
                return False
            done += len(part)
        return True
    finally:
        os.close(descriptor)


def _facts(folder: int, name: str) -> tuple[int, ...]:
    """Return what is another if the file *name* was changed or replaced; () if there is none."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_mode, found.st_uid, found.st_gid, found.st_size, found.st_mtime_ns


def _write_all(descriptor: int, content: Content) -> None:
    left = memoryview(content.reveal())
    while left:
        left = left[os.write(descriptor, left) :]
