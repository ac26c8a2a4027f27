"""A path as somebody wrote it becomes a path that can be opened: `~` is expanded, or it is said why it cannot be.

Python's own `expanduser` leaves a `~` that it cannot expand as it is, and makes `/` of an empty HOME: files would come
into being in a folder of that name in the working directory, or at the root of the disk.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


class NoPlace(ValueError):
    """The text is no place: it is empty, or its `~` has no meaning. Its text says what to do, and is to be told after
    the name of the setting. It never repeats what was given: that may be a key put in the wrong place."""


def expanded(path: str | os.PathLike[str]) -> Path:
    """*path* with its `~` expanded; a relative one stays relative. Raises `NoPlace`."""
    text = os.fspath(path)
    # "." is what pathlib makes of an empty text.
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
    """As `expanded`; a relative one is taken from the working directory as it is now. Raises `NoPlace`."""
    return Path(os.path.abspath(expanded(path)))


def give(made: Path | int, like: Path) -> None:
    """Let what was *made*, a path or an open file, belong to whom *like* belongs to, if we are root. A user's program
    must be able to use what root made in the user's folder."""
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # a file system that knows no owners
            owner = os.stat(like)
            if owner.st_uid != 0:
                os.chown(made, owner.st_uid, owner.st_gid)
