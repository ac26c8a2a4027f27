"""Small files that somebody else writes: settings, keys, tokens, certificates. The one way to what is in them.

Rule 1: nobody waits for a file. It is opened without blocking and is a plain one, or it is refused: a FIFO, a terminal
        or a device would hold its reader for as long as it likes. Only who says `pipe_seconds` reads a pipe, as a shell
        makes of `<(command)`, and no longer than that.
Rule 2: nobody reads without end: what is longer than it may be is refused.
Rule 3: nothing is raised: what was read may be a key, and no frame that raises shall have it among its locals.
Rule 4: text is UTF-8. The mark that Windows' editors put in front of it (a byte order mark) is no part of it.
"""

from __future__ import annotations

import codecs
import os
import select
import stat
from typing import Final

from secrets_actor.clock import now
from secrets_actor.paths import NoPlace, expanded

# Bytes.
_PART: Final = 65_536
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class Problem:
    """What is wrong with a file: words to be said after its name, such as `is a pipe, not a plain file`."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Unreadable(Problem):
    """The file is there, and this user cannot read it."""

    __slots__ = ()


def read(path: str | os.PathLike[str], limit: int, *, pipe_seconds: float | None = None) -> bytes | Problem | None:
    """What is in *path* (`~` goes), *limit* bytes at most; None when there is no such file.

    *pipe_seconds*: a pipe may stand there too, and has this long to come to its end.
    """
    try:
        place = expanded(path)
    except NoPlace as exc:
        return Problem(f"is no path: it {exc}")
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        return _unreadable(exc)
    try:
        mode = os.fstat(descriptor).st_mode
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
    """The text that is in *path*, as `read`, and without a byte order mark. Line ends are as they are."""
    found = read(path, limit, pipe_seconds=pipe_seconds)
    return text_of(found) if isinstance(found, bytes) else found


def text_of(content: bytes) -> str | Problem:
    """*content* as text."""
    try:
        return content.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        also = ", but UTF-16" if content.startswith(_UTF_16) else ""
    return Problem(f"is not UTF-8{also}; save it as UTF-8")


def is_marked(content: bytes) -> bool:
    """Whether *content* begins with a byte order mark."""
    return content.startswith(codecs.BOM_UTF8)


def _from_file(descriptor: int, limit: int) -> bytes:
    content = b""
    while len(content) <= limit and (part := os.read(descriptor, limit + 1 - len(content))):
        content += part
    return content


def _from_pipe(descriptor: int, limit: int, until: float) -> bytes:
    """What comes until the pipe ends; nothing when that does not happen by *until*."""
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
