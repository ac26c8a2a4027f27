"""Where log lines go: the host's logging, standard error, or a file. Errors are raised; `Log` counts them."""

import logging
import os
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.paths import NoPlace, expanded

LOGGER_NAME: Final = "secrets_actor"
FILE_MODE: Final = 0o600  # names of secrets are nobody else's business


class Outlet(Protocol):
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


class HostLogging:
    """Hands lines to the standard library's logger `secrets_actor`: the host program decides what becomes of them."""

    colours: bool = False

    def __init__(self) -> None:
        self._logger = logging.getLogger(LOGGER_NAME)

    def wants(self, level: int) -> bool:
        """As the host's configuration says now."""
        return self._logger.isEnabledFor(level)

    def write(self, level: int, line: str) -> None:
        """One record, its message the line."""
        self._logger.log(level, "%s", line)

    def write_all(self, level: int, lines: Sequence[str]) -> int:
        """One record a line, as `write` makes them, without a look at the stack for each: that says nothing of who
        asked."""
        logger, lost = self._logger, 0
        if not logger.isEnabledFor(level):
            return 0
        for line in lines:
            try:
                logger.handle(logger.makeRecord(LOGGER_NAME, level, __file__, 0, "%s", (line,), None, "write_all"))
            except Exception:  # noqa: BLE001 - a host's handler
                lost += 1
        return lost

    def close(self) -> None:
        """Nothing is held."""


class StandardError:
    """Writes to standard error, whatever that is at the moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def colours(self) -> bool:
        """Whether it is a terminal."""
        return sys.stderr is not None and sys.stderr.isatty()

    def wants(self, level: int) -> bool:
        """All but debug."""
        return level > logging.DEBUG

    def write(self, level: int, line: str) -> None:
        """One write a line, so that lines of other writers do not get in between."""
        self.write_all(level, (line,))

    def write_all(self, level: int, lines: Sequence[str]) -> int:  # noqa: ARG002
        """One write for all of them."""
        text = "".join([f"{line}\n" for line in lines])
        with self._lock:
            sys.stderr.write(text)
            sys.stderr.flush()
        return 0

    def close(self) -> None:
        """Nothing is held."""


class AppendedFile:
    """Appends to a file, made with mode 0600, and follows its name when the file is moved away (logrotate).

    Raises `ConfigurationError` when it cannot be opened.
    """

    colours: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._torn = False
        self._file: tuple[int, int] | None = None  # closed
        problem = None
        try:
            self._open()
        except OSError as exc:
            problem = exc.strerror
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
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, FILE_MODE)
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._close.atexit = False  # threads may log until the very end
        state = os.fstat(self._descriptor)
        self._file = state.st_dev, state.st_ino

    def _moved(self) -> bool:
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            return True
        return (state.st_dev, state.st_ino) != self._file


def outlet_for(output: str) -> Outlet:
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
