"""Files in memory, for programs that read a value from a file: sealed memory files, and private folders.

Rule 1: no value comes to a disk. A memory file (memfd) has no place in any file system; a folder is only made where the
        file system is in memory (tmpfs, ramfs). The kernel may still swap such memory out: encrypt the swap, or have
        none.
Rule 2: a file is whole, and has its mode, before it has its name. Only its owner may read it, and only the folder's
        owner may enter the folder.
Rule 3: a folder ends with the program that made it, also if that was killed: the program holds a lock on its folder,
        and the next program that makes one beside it removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from secrets_actor.domain.errors import DeliveryFailed

PREFIX: Final = "secrets-actor.exec."
_IN_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
# fcntl.h of Linux; Python has names for these since 3.9 on most systems, but not with every libc.
_ADD_SEALS: Final = 1033
_ALL_SEALS: Final = 0x1 | 0x2 | 0x4 | 0x8  # no more seals; it does not shrink, does not grow, is not written to


def memory_file(name: str, content: bytes) -> int:
    """Return the descriptor of a sealed file with *content*, which nobody can change. *name* is shown in /proc.

    A program to which the descriptor is passed opens it as /proc/self/fd/N, as often as it likes, or reads it once. It
    is for everyone to read who can reach it: that is who may look into the program's /proc, and so also the program
    when it has given up its rights. Raises `DeliveryFailed`.
    """
    place = f"memory file {name}"
    try:
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        problem = error.strerror
    else:
        try:
            _write(descriptor, content)
            os.fchmod(descriptor, 0o444)
            os.lseek(descriptor, 0, os.SEEK_SET)
            fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)
            return descriptor
        except OSError as error:
            os.close(descriptor)
            problem = error.strerror
    del content  # the next line raises, and a traceback may show this frame
    raise DeliveryFailed(f"{place}: {problem}; deliver by a variable, or give more memory", path=place)


class PrivateFolder:
    """A folder in memory that only this user can enter. Close it, or use it in a `with`: that removes it."""

    def __init__(self, environ: Mapping[str, str] = os.environ, places: Iterable[str] | None = None) -> None:
        """Make the folder in the first of *places* (None: $XDG_RUNTIME_DIR, /dev/shm, /run) that is in memory and lets
        this user in. Raises `DeliveryFailed`."""
        tried = tuple(_places(environ) if places is None else places)
        for place in tried:
            if is_in_memory(place):
                _sweep(place)
                with suppress(OSError):
                    self.path, self._lock = _made(place)
                    return
        text = (
            f"no place in memory where this user can write: tried {', '.join(tried)}; mount a tmpfs there, or deliver "
        )
        raise DeliveryFailed(text + "by variables or memory files", path=":".join(tried))

    def write(self, name: str, content: bytes) -> Path:
        """Put *content* into the file *name*, in place of an older one, and return its path. Raises `DeliveryFailed`,
        and leaves the older one then."""
        path = self.path / name
        new = self.path / f".{name}.new"
        try:
            with suppress(FileNotFoundError):
                new.unlink()
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o400)
            try:
                _write(descriptor, content)
            finally:
                os.close(descriptor)
            os.replace(new, path)
            return path
        except OSError as error:
            problem = error.strerror
        with suppress(OSError):
            new.unlink()
        del content  # as above
        raise DeliveryFailed(f"{path}: {problem}; the file before is still there, if there was one", path=str(path))

    def close(self) -> None:
        """Remove the folder and all in it. May be called more than once."""
        if self._lock >= 0:
            _remove(self.path)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_in_memory(place: str) -> bool:
    """Whether there is a folder *place*, in a file system that is kept in memory."""
    try:
        device = os.stat(place).st_dev
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as mounts:
            wanted = f"{os.major(device)}:{os.minor(device)}"
            # proc(5): "36 35 98:0 /root /mountpoint options - TYPE source options"
            kinds = [line.partition(" - ")[2].split(" ", 1)[0] for line in mounts if line.split(" ", 3)[2] == wanted]
    except OSError:
        return False
    return bool(kinds) and _IN_MEMORY.issuperset(kinds)


def _places(environ: Mapping[str, str]) -> Iterator[str]:
    own = environ.get("XDG_RUNTIME_DIR", "")
    if own.startswith("/"):
        yield own
    yield from ("/dev/shm", "/run")  # noqa: S108  # a folder of our own is made there, by mkdtemp


def _made(place: str) -> tuple[Path, int]:
    """Return a new folder, and the descriptor that holds the lock on it. Raises `OSError`."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another program swept before it was locked
            continue
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.exists():
            return path, lock
        os.close(lock)


def _sweep(place: str) -> None:
    """Remove the folders that nobody holds (rule 3)."""
    with suppress(OSError):
        for entry in os.scandir(place):
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False):
                _remove_unless_held(Path(entry.path))


def _remove_unless_held(path: Path) -> None:
    with suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(path)
        finally:
            os.close(lock)


def _remove(path: Path) -> None:
    with suppress(OSError):
        for entry in os.scandir(path):
            with suppress(OSError):
                os.unlink(entry.path)
        os.rmdir(path)


def _write(descriptor: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
