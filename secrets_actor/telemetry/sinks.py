"""Where log lines go: the host's logging, standard error, or a file. Errors are raised; `Log` counts them.

Whatever is here may block, on a pipe that nobody reads or a disk that hangs: only the audit process and couriers write.
But `wants` never does: it takes no lock, for a host that configures its logging may hold those of `logging` for long.
"""

import errno
import logging
import os
import stat
import sys
import threading
import warnings
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.paths import NoPlace, expanded, give

LOGGER_NAME: Final = "secrets_actor"
FILE_MODE: Final = 0o600  # names of secrets are nobody else's business


class Sink(Protocol):
    """Takes whole lines from any thread."""

    def wants(self, level: int) -> bool:
        """Whether a record of this level (as of `logging`) would be written at all."""

    def write(self, level: int, line: str) -> None:
        """Write one line, without its end. Raises what the stream raises."""

    def write_all(self, level: int, lines: Sequence[str]) -> int:
        """Write many lines for less than each would cost: how many could not be written. Raises what the stream raises
        when none could be."""

    def close(self) -> None:
        """Give up what is held. A line that comes later opens it anew."""

    @property
    def colours(self) -> bool:
        """Whether a person looks at it on a terminal."""

    @property
    def runs_code_of_others(self) -> bool:
        """Whether writing may call code of the program."""


class Unheard(Exception):
    """The host's logging takes no line of ours; the text says why, and what to do."""


_DISABLED: Final = (
    f"the logger {LOGGER_NAME} is disabled, as logging.config does with loggers that it does not name: "
    'give it disable_existing_loggers = False, or name the logger. "secrets_actor" records are lost'
)
_NO_HANDLER: Final = (
    f"the logger {LOGGER_NAME} asks for records, and neither it nor the root logger has a handler for them: add one. "
    "Records are lost"
)


class HostLogging:
    """Hands lines to the standard library's logger `secrets_actor`: the host program decides what becomes of them.

    A level that the host has set says what it wants. A logger that was disabled, or has no handler, says nothing: then
    lines are lost, and raise `Unheard`. The first time Python warns of it, for no log can.
    """

    colours: bool = False
    runs_code_of_others: bool = True

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER_NAME)
        self._warned = False

    def wants(self, level: int) -> bool:
        """As the host's levels say now."""
        logger = self._logger
        return level >= logger.getEffectiveLevel() and level > logger.manager.disable

    def write(self, level: int, line: str) -> None:
        """One record, its message the line."""
        self._check_heard(level)
        self._logger.log(level, "%s", line)

    def write_all(self, level: int, lines: Sequence[str]) -> int:
        """One record a line, as `write` makes them, without a look at the stack for each: that says nothing of who
        asked."""
        logger, lost = self._logger, 0
        if not self.wants(level):
            return 0
        self._check_heard(level)
        for line in lines:
            try:
                logger.handle(logger.makeRecord(LOGGER_NAME, level, __file__, 0, "%s", (line,), None, "write_all"))
            except Exception:  # noqa: BLE001 - a host's handler
                lost += 1
        return lost

    def close(self) -> None:
        """Nothing is held."""

    def _check_heard(self, level: int) -> None:
        logger, last = self._logger, logging.lastResort
        if logger.disabled:
            problem = _DISABLED
        elif not logger.hasHandlers() and (last is None or level < last.level):
            problem = _NO_HANDLER
        else:
            self._warned = False
            return
        if not self._warned:
            self._warned = True
            warnings.warn(problem, RuntimeWarning, stacklevel=2)
        raise Unheard(problem)


class StandardError:
    """Writes to standard error, whatever that is at the moment."""

    runs_code_of_others: bool = True  # whatever `sys.stderr` is

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._torn = False

    @property
    def colours(self) -> bool:
        """Whether it is a terminal."""
        return sys.stderr is not None and sys.stderr.isatty()

    def wants(self, level: int) -> bool:
        """All but debug."""
        return level > logging.DEBUG

    def write(self, level: int, line: str) -> None:
        """One write a line, so that lines of other writers do not get in between."""
        if self.write_all(level, (line,)):
            raise OSError("the line was cut short")

    def write_all(self, level: int, lines: Sequence[str]) -> int:  # noqa: ARG002
        """One write for all of them."""
        text = "".join([f"{line}\n" for line in lines])
        stream: Any = sys.stderr
        original = sys.__stderr__
        with self._lock:
            if original is None or stream is not original:
                stream.write(text)  # the program's own; None raises, and is counted
                stream.flush()
                return 0
            return self._write_past(original.fileno(), text.encode(errors="backslashreplace"))

    def _write_past(self, descriptor: int, whole: bytes) -> int:
        """Not through the stream: it has a lock, which the interpreter wants at its end, and whoever hangs here would
        hold it."""
        left = b"\n" + whole if self._torn else whole
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # somebody has made it a stream that never waits
            if len(left) >= len(whole):
                raise
        self._torn = bool(left)
        return left.count(b"\n")

    def close(self) -> None:
        """Nothing is held."""


class AppendedFile:
    """Appends to a file, made with mode 0600, and follows its name when the file is moved away (logrotate).

    Raises `ConfigurationError` when it cannot be opened.
    """

    colours: bool = False
    runs_code_of_others: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._torn = False
        self._file: tuple[int, int] | None = None  # closed
        problem = None
        try:
            self._open()
        except OSError as exc:
            problem = "it is a pipe, and nobody reads from it" if exc.errno == errno.ENXIO else exc.strerror
        if problem is not None:
            raise ConfigurationError(
                (f"log.output: cannot append to {path} ({problem}); allowed: logging, stderr, or a writable file",)
            )

    def wants(self, level: int) -> bool:
        """All but debug."""
        return level > logging.DEBUG

    def write(self, level: int, line: str) -> None:
        """One write a line. After one that was cut short (a full disk) the next starts on a line of its own."""
        if self.write_all(level, (line,)):
            raise OSError("the line was cut short")

    def write_all(self, level: int, lines: Sequence[str]) -> int:  # noqa: ARG002
        """One write for all of them."""
        whole = "".join([f"{line}\n" for line in lines]).encode(errors="backslashreplace")
        with self._lock:
            if self._moved():
                close = self._close
                self._open()  # first, so that a failure leaves an open descriptor and never a number that is reused
                close()
            if self._torn:
                whole = b"\n" + whole
            written = os.write(self._descriptor, whole)
            self._torn = written != len(whole)
        return whole.count(b"\n", written)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file = None
            self._close()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe's open may wait forever
        try:
            self._descriptor = os.open(self._path, flags | os.O_EXCL, FILE_MODE)
            os.fchmod(self._descriptor, FILE_MODE)  # whatever the umask took away
            give(self._descriptor, self._path.parent)
        except FileExistsError:
            self._descriptor = os.open(self._path, flags | _check_link(self._path), FILE_MODE)
        os.set_blocking(self._descriptor, True)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._close.atexit = False  # threads may log until the very end
        state = os.fstat(self._descriptor)
        self._file = state.st_dev, state.st_ino
        if stat.S_ISREG(state.st_mode) and _is_strangers(state.st_uid, self._path.parent):
            self._close()
            raise _not_ours(f"it belongs to another user, {state.st_uid}")

    def _moved(self) -> bool:
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            return True
        return (state.st_dev, state.st_ino) != self._file


def _check_link(path: Path) -> int:
    """What to open *path* with. Raises `OSError` for a link of another user, in a place where anybody may put one: it
    may lead to any file of ours."""
    state = os.lstat(path)
    if not stat.S_ISLNK(state.st_mode):
        return os.O_NOFOLLOW
    if _is_strangers(state.st_uid, path.parent):
        raise _not_ours(f"it is a link of another user, {state.st_uid}")
    return 0


def _is_strangers(uid: int, folder: Path) -> bool:
    """Whether another user than us and root may have put a file into *folder*, where others may write."""
    return uid not in (0, os.geteuid()) and bool(os.stat(folder).st_mode & 0o022)


def _not_ours(why: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"{why}, in a folder that others can write to")


def sink_for(output: str) -> Sink:
    """`logging`, `stderr`, or the path of a file (`~` goes). Raises `ConfigurationError`."""
    if output == "logging":
        return HostLogging()
    if output == "stderr":
        return StandardError()
    problem = ""
    try:
        return AppendedFile(expanded(output))
    except NoPlace as exc:
        problem = str(exc)
    raise ConfigurationError((f"log.output: {problem}",))
