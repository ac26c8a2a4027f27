"""Where log lines go: the host's logging, standard error, or a file. Errors are raised; `Log` counts them."""

import logging
import os
import sys
import threading
import weakref
from pathlib import Path
from typing import Final, Protocol

from secrets_actor.domain.errors import ConfigurationError

LOGGER_NAME: Final = "secrets_actor"
FILE_MODE: Final = 0o600  # names of secrets are nobody else's business


class Outlet(Protocol):
    """Takes whole lines from any thread."""

    def wants(self, level: int) -> bool:
        """Whether a record of this level (as of `logging`) would be written at all."""

    def write(self, level: int, line: str) -> None:
        """Write one line, without its end. Raises what the stream raises."""

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

    def write(self, level: int, line: str) -> None:  # noqa: ARG002
        """One write a line, so that lines of other writers do not get in between."""
        with self._lock:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


class AppendedFile:
    """Appends to a file, made with mode 0600, and follows its name when the file is moved away (logrotate).

    Raises `ConfigurationError` when it cannot be opened.
    """

    colours: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._torn = False
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

    def write(self, level: int, line: str) -> None:  # noqa: ARG002
        """One write a line. After one that was cut short (a full disk) the next starts on a line of its own."""
        whole = f"{line}\n".encode(errors="backslashreplace")
        with self._lock:
            if self._moved():
                close = self._close
                self._open()  # first, so that a failure leaves an open descriptor and never a number that is reused
                close()
            if self._torn:
                whole = b"\n" + whole
            self._torn = os.write(self._descriptor, whole) != len(whole)
            if self._torn:
                raise OSError("the line was cut short")

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
    return AppendedFile(Path(os.path.expanduser(output)))
