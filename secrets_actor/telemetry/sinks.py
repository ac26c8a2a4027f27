"""The sinks of the log: the host's logging takes events; standard error and files take lines. They raise errors, and
`Log` counts them.

A write may block, on a pipe that nobody reads or on a disk that hangs. So only the audit process and couriers write.
But `wants` never blocks: it takes no lock, since a host that configures its logging may hold the locks of `logging` for
long.
"""

import errno
import logging
import os
import stat
import sys
import threading
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.log_fields import fields, message
from secrets_actor.paths import NoPlace, expanded, give
from secrets_actor.telemetry.redaction import Fact

LOGGER_NAME: Final = "secrets_actor"
FILE_MODE: Final = 0o600  # other users must not read the names of secrets


# The common part of many events that differ only in their time. A sink makes it, and only that sink can read it.
Template = Any
Facts = Mapping[str, Fact]


class Sink(Protocol):
    """A destination of events. Any thread may write to it. Facts may be shown as they are (redaction.py). Times are
    seconds since the epoch."""

    @property
    def runs_code_of_others(self) -> bool:
        """Whether writing may call code of the program, such as a log handler."""

    def wants(self, level: int) -> bool:
        """Whether an event of this level (as of `logging`) would be written at all."""

    def load(self) -> None:
        """Load the libraries that writing needs."""

    def write(self, level: int, event: str, facts: Facts, at: float | None) -> None:
        """Write an event of the time *at* (None: now). Raises any error of the destination."""

    def template(self, level: int, event: str, facts: Facts) -> Template:
        """Return the common part of many events that differ only in their time."""

    def write_all(self, level: int, events: Sequence[tuple[Template, float]]) -> int:
        """Write many events at once, each by its template and its time, which costs less than one by one. Return how
        many could not be written. Raises the error of the destination if none could be."""

    def close(self) -> None:
        """Close what is open. An event that comes later opens it again."""


class LineSink(Protocol):
    """A destination of whole lines. Any thread may write to it."""

    @property
    def runs_code_of_others(self) -> bool:
        """Whether writing may call code of the program, such as a stream of its own."""

    @property
    def colours(self) -> bool:
        """Whether lines may have colours, because they go to a terminal."""

    def write(self, line: str) -> None:
        """Write *line*, which has no line end. Raises any error of the stream."""

    def write_all(self, lines: Sequence[str]) -> int:
        """Write many lines at once, which costs less than one by one. Return how many could not be written. Raises the
        error of the stream if none could be."""

    def close(self) -> None:
        """Close what is open. A line that comes later opens it again."""


class RecordsDropped(Exception):
    """The host's logging drops our records. The text says why, and what to do about it."""


_DISABLED: Final = (
    f"the logger {LOGGER_NAME} is disabled, as logging.config does with loggers that it does not name: "
    'give it disable_existing_loggers = False, or name the logger. "secrets_actor" records are lost'
)
_NO_HANDLER: Final = (
    f"the logger {LOGGER_NAME} asks for records, and neither it nor the root logger has a handler for them: add one. "
    "Records are lost"
)


class HostLogging:
    """The sink that hands records to the standard library's logger `secrets_actor`. The host program decides what
    becomes of them there. log_fields.py says what a record looks like.

    A level that the host has set is its decision: events below it are not wanted. A logger that is disabled, or that
    has no handler, is most likely an oversight: records are lost then, and writing them raises `RecordsDropped`. The
    first time there is also a Python warning, because no log can show that the log is lost.
    """

    runs_code_of_others: bool = True

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER_NAME)
        self._warned = False

    def wants(self, level: int) -> bool:
        """Whether the host's levels let this level through at the moment."""
        logger = self._logger
        return level >= logger.getEffectiveLevel() and level > logger.manager.disable

    def load(self) -> None:
        """Do nothing: this sink needs no library."""

    def write(self, level: int, event: str, facts: Facts, at: float | None) -> None:
        """Log one record. Raises `RecordsDropped`, and any error of a filter or handler of the host."""
        self._check_handled(level)
        self._log(level, self.template(level, event, facts), at)

    def template(self, level: int, event: str, facts: Facts) -> Template:  # noqa: ARG002
        """Return the message, its arguments and the fields of a record."""
        return *message(event, facts), fields(event, facts)

    def write_all(self, level: int, events: Sequence[tuple[Template, float]]) -> int:
        """Log one record for each event, as `write` does."""
        lost = 0
        if not self.wants(level):
            return 0
        self._check_handled(level)
        for template, at in events:
            try:
                self._log(level, template, at)
            except Exception:  # noqa: BLE001 - a log handler of the host may raise anything
                lost += 1
        return lost

    def close(self) -> None:
        """Do nothing: this sink holds nothing open."""

    def _log(self, level: int, template: Template, at: float | None) -> None:
        text, arguments, extra = template
        # Not `Logger.log`, which searches the stack for the code that logs. That takes time, and would find this file.
        record = self._logger.makeRecord(LOGGER_NAME, level, __file__, 0, text, arguments, None, "write", extra)
        if at is not None:  # `asctime`, and all else that shows a time, is to show when the event was
            record.relativeCreated += (at - record.created) * 1000
            record.created, record.msecs = at, int(at % 1 * 1000) + 0.0
        self._logger.handle(record)

    def _check_handled(self, level: int) -> None:
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
        raise RecordsDropped(problem)


class StandardError:
    """The sink that writes to standard error: to the stream that `sys.stderr` is at that moment."""

    runs_code_of_others: bool = True  # the program may have replaced `sys.stderr` by an object of its own

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._torn = False

    @property
    def colours(self) -> bool:
        """Whether standard error is a terminal."""
        return sys.stderr is not None and sys.stderr.isatty()

    def write(self, line: str) -> None:
        """Write the line with one call of the system, so that lines of other writers do not come in between."""
        if self.write_all((line,)):
            raise OSError("the line was cut short")

    def write_all(self, lines: Sequence[str]) -> int:
        """Write all lines with one call of the system, if that takes them whole."""
        text = "".join([f"{line}\n" for line in lines])
        stream: Any = sys.stderr
        original = sys.__stderr__
        with self._lock:
            if original is None or stream is not original:
                stream.write(text)  # the program's own stream; if it is None, this raises, which is counted
                stream.flush()
                return 0
            return self._write_past(original.fileno(), text.encode(errors="backslashreplace"))

    def _write_past(self, descriptor: int, whole: bytes) -> int:
        """Write *whole* to the file descriptor, and return how many lines were not written. It is not written through
        the stream, which has a lock: the interpreter acquires that at its end, and would wait for a thread that hangs
        here."""
        left = b"\n" + whole if self._torn else whole
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # another program with this terminal or pipe has made it non-blocking, and it is full
            if len(left) >= len(whole):  # nothing was written: an error; else the rest is cut short
                raise
        self._torn = bool(left)
        return left.count(b"\n")

    def close(self) -> None:
        """Do nothing: this sink holds nothing open."""


class AppendedFile:
    """The sink that appends to a file, which it makes with mode 0600. If the file is moved away (logrotate), it makes a
    new one of the same name.

    Raises `ConfigurationError` if the file cannot be opened.
    """

    colours: bool = False
    runs_code_of_others: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._torn = False
        self._file: tuple[int, int] | None = None  # device and inode of the open file; None: it is closed
        problem = None
        try:
            self._open()
        except OSError as exc:
            problem = "it is a pipe, and nobody reads from it" if exc.errno == errno.ENXIO else exc.strerror
        if problem is not None:
            raise ConfigurationError(
                (f"log.output: cannot append to {path} ({problem}); allowed: logging, stderr, or a writable file",)
            )

    def write(self, line: str) -> None:
        """Write the line with one call of the system. If that is cut short (by a full disk), the next line still begins
        on a line of its own."""
        if self.write_all((line,)):
            raise OSError("the line was cut short")

    def write_all(self, lines: Sequence[str]) -> int:
        """Write all lines with one call of the system, if that takes them whole."""
        whole = "".join([f"{line}\n" for line in lines]).encode(errors="backslashreplace")
        with self._lock:
            if self._moved():
                close = self._close
                # Open the new file before the old one is closed: if that fails, `_descriptor` is still open. A closed
                # one could be a number that another file of the program gets, and our lines would go there.
                self._open()
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
        # Non-blocking, because opening a pipe that nobody reads would wait forever; set back below.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            self._descriptor = os.open(self._path, flags | os.O_EXCL, FILE_MODE)
            os.fchmod(self._descriptor, FILE_MODE)  # the umask may have taken away some of it
            give(self._descriptor, self._path.parent)
        except FileExistsError:
            self._descriptor = os.open(self._path, flags | _check_link(self._path), FILE_MODE)
        os.set_blocking(self._descriptor, True)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._close.atexit = False  # threads may log until the very end of the program
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
    """Return the flag to open *path* with. Raises `OSError` for a link of another user in a folder that others can
    write to: it may lead to any file of ours, and our lines would be appended there."""
    state = os.lstat(path)
    if not stat.S_ISLNK(state.st_mode):
        return os.O_NOFOLLOW  # if it is replaced by a link before it is opened, opening it fails
    if _is_strangers(state.st_uid, path.parent):
        raise _not_ours(f"it is a link of another user, {state.st_uid}")
    return 0


def _is_strangers(uid: int, folder: Path) -> bool:
    """Whether *uid*, the owner of a file in *folder*, is neither root nor this user, and others can write to
    *folder*."""
    return uid not in (0, os.geteuid()) and bool(os.stat(folder).st_mode & 0o022)


def _not_ours(why: str) -> PermissionError:
    return PermissionError(errno.EPERM, f"{why}, in a folder that others can write to")


def line_sink_for(output: str) -> LineSink:
    """Return the sink for *output*: `stderr`, or the path of a file, in which `~` is expanded. Raises
    `ConfigurationError`."""
    if output == "stderr":
        return StandardError()
    problem = ""
    try:
        return AppendedFile(expanded(output))
    except NoPlace as exc:
        problem = str(exc)
    raise ConfigurationError((f"log.output: {problem}",))
