"""The expansion of paths that a user wrote: `~` becomes a home folder, or an error says why it cannot.

Python's own `expanduser` leaves a `~` that it cannot expand as it is, and takes an empty HOME for `/`. Files would be
made in a folder named `~` in the working directory, or at the root of the disk.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class NoPlace(ValueError):
    """The given text is no path: it is empty, or its `~` cannot be expanded. The text of this error says what to do; it
    is made to follow the name of the setting. It never repeats the given text, which may be a key in the wrong
    place."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return *path* with its `~` expanded. A relative path stays relative. Raises `NoPlace`."""
    text = os.fspath(path)
    # An empty text that went through pathlib has become ".".
    if not text.strip() or os.path.normpath(text) == ".":
        raise NoPlace("is empty or the working directory itself; give a path")
    if not text.startswith("~"):
        return Path(text)
    user = text[1:].partition("/")[0]
    home = os.environ.get("HOME")
    if not user and home == "":
        raise NoPlace("begins with ~, and the environment variable HOME is empty; set HOME, or give an absolute path")
    found = os.path.expanduser(text)
    if not found.startswith("~"):
        return Path(found)
    if user:
        raise NoPlace("begins with ~ and the name of a user that this machine does not know; give an absolute path")
    raise NoPlace(
        f"begins with ~, but HOME is not set, and this machine knows no home of user {os.getuid()}; set HOME, or give "
        "an absolute path"
    )


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return *path* as `expanded` does, but absolute: a relative path begins at the present working directory. Raises
    `NoPlace`."""
    return Path(os.path.abspath(expanded(path)))


def give(made: Path | int, like: Path) -> None:
    """If this process is root, give *made*, a path or an open file, the owner of *like*. A user's program must be able
    to use the files that root has made in the user's folder."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # the file system may know no owners
            owner = os.stat(like)
            if owner.st_uid != 0:
                os.chown(made, owner.st_uid, owner.st_gid)
