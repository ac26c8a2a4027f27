"""The reader of small files that others write: settings, keys, tokens, certificates. No other file opens them.

Rule 1: reading never hangs. A file is opened without blocking and must be a plain file, or else it is refused: a FIFO,
        a terminal or a device could let its reader wait forever. A pipe, such as a shell makes of `<(command)`, is read
        only with `pipe_seconds`, and for that long at most.
Rule 2: reading has an end: a file that is longer than its limit is refused.
Rule 3: nothing is raised; problems are returned. The content may be a key, and a traceback of an exception that is
        raised here would hold it among the local variables of its frames.
Rule 4: text is UTF-8. The byte order mark that editors on Windows put in front of a text is not part of the text.
"""

from __future__ import annotations

import codecs
import os
import select
import stat
from typing import Final

from secrets_actor.clock import now
from secrets_actor.paths import NoPlace, expanded

# Bytes that are read from a pipe at once: as many as a pipe of Linux holds.
_PART: Final = 65_536
_OTHERS: Final = 0o077
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Problem:
    """A problem with a file. Its text is made to follow the name of the file: `is a pipe, not a plain file`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Unreadable(Problem):
    """The problem that the file exists and this user cannot read it."""

    __slots__ = ()


def read(
    path: str | os.PathLike[str], limit: int, *, pipe_seconds: float | None = None, private: bool = False
) -> bytes | Problem | None:
    """Return the content of the file *path*, in which `~` is expanded; None if there is no such file; a `Problem` if it
    cannot be read or has more than *limit* bytes.

    With *pipe_seconds*, *path* may also be a pipe, which must come to its end within that time. With *private*, it must
    be this user's file, which nobody else may open, and no link to it. It is the opened file that is looked at:
    between two looks at a path, others who may write to its folder could put another file there.
    """
    try:
        place = expanded(path)
    except NoPlace as exc:
        return Problem(f"is no path: it {exc}")
    try:
        link = os.O_NOFOLLOW if private else 0
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | link)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        return _unreadable(exc)
    try:
        state = os.fstat(descriptor)
        mode = state.st_mode
        if private and (state.st_uid != os.geteuid() or mode & _OTHERS):
            return Problem("is another user's, or open to others")
        if stat.S_ISFIFO(mode) and pipe_seconds is not None:
            content = _from_pipe(descriptor, limit, now() + pipe_seconds)
            if not content:
                return Problem("is a pipe that gave nothing: it can be read once, and in time")
        elif stat.S_ISREG(mode):
            content = _from_file(descriptor, limit)
        else:
            kind = next((name for test, name in _KINDS if test(mode)), "something else")
            return Problem(f"is {kind}, not a plain file")
    except OSError as exc:
        return _unreadable(exc)
    finally:
        os.close(descriptor)
    return content if len(content) <= limit else Problem(f"is larger than {limit} bytes")


def read_text(path: str | os.PathLike[str], limit: int, *, pipe_seconds: float | None = None) -> str | Problem | None:
    """Return the text of the file *path* without a byte order mark, else as `read`. Line ends are left as they are."""
    found = read(path, limit, pipe_seconds=pipe_seconds)
    return text_of(found) if isinstance(found, bytes) else found


def text_of(content: bytes) -> str | Problem:
    """Return *content* as text without a byte order mark; a `Problem` if it is not UTF-8."""
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        also = ", but UTF-16" if content.startswith(_UTF_16) else ""
    return Problem(f"is not UTF-8{also}; save it as UTF-8")


def is_marked(content: bytes) -> bool:
    """Whether *content* begins with a byte order mark."""
    return content.startswith(codecs.BOM_UTF8)


def _from_file(descriptor: int, limit: int) -> bytes:
    content = b""  # up to limit + 1 bytes are read, by which the caller sees that the file is too long
    while len(content) <= limit and (part := os.read(descriptor, limit + 1 - len(content))):
        content += part
    return content


def _from_pipe(descriptor: int, limit: int, until: float) -> bytes:
    """Return all bytes until the pipe ends; none if that does not happen by *until* (clock seconds)."""
    content, poll = b"", select.poll()
    poll.register(descriptor, select.POLLIN)
    while len(content) <= limit:
        if not poll.poll(max(0.0, until - now()) * 1000):
            return b""
        part = os.read(descriptor, _PART)
        if not part:
            break
        content += part
    return content


def _unreadable(error: OSError | ValueError) -> Unreadable:
    reason = (error.strerror if isinstance(error, OSError) else None) or "no path"
    return Unreadable(f"cannot be read ({reason})")
