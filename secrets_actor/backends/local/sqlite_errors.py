"""The meaning of SQLite's result codes for a store, and what to do about each (sqlite.org/rescode.html). PURE.

SQLite's own texts are not passed on: some of them quote the contents of a column.
"""

import errno
from enum import Enum
from typing import Final

INTERRUPTED: Final = 9  # SQLITE_INTERRUPT
_BUSY: Final = frozenset({5, 6})  # SQLITE_BUSY, SQLITE_LOCKED
_PERMISSION: Final = "cannot be opened: permission denied; give this user the file and its folder"
_UNAVAILABLE: Final = {
    13: "cannot grow: the disk is full. Nothing stored was lost; make room and try again",  # SQLITE_FULL
    10: "cannot be read or written: the disk fails, is full or at a limit. Nothing stored was lost; "  # SQLITE_IOERR
    "look at the disk and try again",
    3: _PERMISSION,  # SQLITE_PERM
    23: _PERMISSION,  # SQLITE_AUTH
    14: "cannot be opened; give this user the right to read and write the file and its folder",  # SQLITE_CANTOPEN
    8: "cannot be written; give this user the right to write the file, those beside it that end in -wal and -shm, "
    "and their folder; where that right is there, the file is damaged: bring it back from a copy",  # SQLITE_READONLY
    7: "cannot be used: memory ran out; try again",  # SQLITE_NOMEM
}
# These last until somebody mends them, so another attempt would fail, too.
_LASTING: Final = frozenset({3, 8, 14, 23})
# Errors of a file system that may pass: it is full, busy or out of reach, or this process or machine is at a limit.
_PASSING: Final = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBUSY, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
        errno.ENOLCK, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN,
    }
)  # fmt: skip
# SQLITE_ERROR is among them: our statements are fixed, so one that does not fit the tables means that somebody has
# changed those. The others are SQLITE_CORRUPT, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_NOTADB.
_DAMAGED: Final = frozenset({1, 11, 19, 20, 26})


class Meaning(Enum):
    """The kinds of failure, by what the store does about them."""

    BUSY = "try again"
    LATE = "the deadline has passed, or somebody closed the connection"
    UNAVAILABLE = "the way to the file is lost"
    DAMAGED = "the file is not as we wrote it"


def meaning(code: int | None) -> Meaning:
    """Return the meaning of the primary result code *code*. None stands for a failure without a code: the contents of a
    column do not have the type that its table says, which is damage."""
    if code in _BUSY:
        return Meaning.BUSY
    if code == INTERRUPTED:
        return Meaning.LATE
    return Meaning.DAMAGED if code is None or code in _DAMAGED else Meaning.UNAVAILABLE


def may_pass(code: int | None) -> bool:
    """Whether another attempt may succeed with a store that is unavailable because of primary result code *code*."""
    return code not in _LASTING


def passes(error: OSError) -> bool:
    """Whether another attempt may succeed after the file system refused one with *error*."""
    return error.errno in _PASSING


def remedy(code: int | None, name: str) -> str:
    """Return a text that says what happened to a store that is unavailable because of *code*, and what to do. *name* is
    SQLite's name for the code."""
    return _UNAVAILABLE.get(code or 0, f"failed ({name}); try again, and look at the disk")
