"""A terminal with a program in front of it, for tests: what is typed, and what is on the screen."""

import os
import pty
import select
import signal
import sys
import termios
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from secrets_actor.clock import now

PATIENCE = 30.0  # seconds: two cores, and many tests at a time


class Terminal:
    """Runs *argv* as the leader of a session on a terminal of its own. `output` is all that it printed."""

    def __init__(
        self, *argv: str, size: tuple[int, int] = (24, 80), environment: Mapping[str, str] | None = None
    ) -> None:
        environment = {**os.environ, "TERM": "xterm", **(environment or {})}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:  # pragma: no cover: it is another program at once
            with suppress(BaseException):
                termios.tcsetwinsize(0, size)
                os.execvpe(argv[0], argv, environment)
            os._exit(127)
        self.output = b""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)

    def until(self, text: bytes) -> bytes:
        """Reads until the text comes, and gives what was printed since the last call, the text included."""
        deadline = now() + PATIENCE
        while (at := self.output.find(text, self._seen)) < 0:
            assert self._read(deadline), f"{text!r} did not come in {self.output[self._seen :]!r}"
        start, self._seen = self._seen, at + len(text)
        return self.output[start : self._seen]

    def _read(self, deadline: float) -> bool:
        ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - now()))
        if not ready:
            return False
        try:
            chunk = os.read(self.fd, 65536)
        except OSError:  # the program has ended
            return False
        self.output += chunk
        return bool(chunk)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.fd, (rows, columns))

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.fd)

    def is_raw(self) -> bool:
        return not self.modes()[3] & (termios.ICANON | termios.ISIG | termios.ECHO)

    def end(self) -> int:
        """Reads all that comes, and gives the exit code; -n if signal n has ended it."""
        deadline = now() + PATIENCE
        while self._read(deadline):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def python(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, *arguments)
