"""`secrets-actor run` in a process of its own, as a service manager starts it: with a configuration file and a home.

    with Daemon(directory, listeners(directory, port), count=2) as daemon:
        ...                          # all listeners answer

Rule 1: nothing of the host's environment reaches the daemon but PATH: its home and its files are in *directory*.
Rule 2: it is ready when it has told so itself, on standard error: one line `listening on ADDRESS` for each listener.
Rule 3: it ends by `stop` (SIGTERM, as a service manager does it), and by SIGKILL where that does not help.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secrets_actor.clock import now as clock_now
from tests.servers.process import ROOT

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
LISTENING: Final = "listening on "


class DaemonFailed(RuntimeError):
    """The daemon did not come up, or did not end. The text ends with what it printed."""


class Daemon:
    """The daemon with *configuration*, the text of its TOML file, and *count* listeners in it."""

    def __init__(
        self, directory: Path, configuration: str, *, count: int, environment: Mapping[str, str] | None = None
    ) -> None:
        self._directory, self._count = directory, count
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._told = threading.Condition()
        self._lines: list[str] = []
        self._ended = False
        self.configuration = directory / "daemon.toml"
        self.log = directory / "daemon.log"
        self.ready_seconds = 0.0
        directory.mkdir(parents=True, exist_ok=True)
        self.configuration.write_text(configuration)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def stderr(self) -> list[str]:
        """The lines on standard error so far."""
        with self._told:
            return list(self._lines)

    def start(self) -> Self:
        """Start it and wait until each listener answers. Raises `DaemonFailed`."""
        home = self._directory / "home"
        home.mkdir(exist_ok=True)
        self._lines, self._ended = [], False  # it may be started again, after a kill
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PYTHONPATH": str(ROOT),
            **self._environment,
        }
        command = [sys.executable, "-m", "secrets_actor", "--config", str(self.configuration), "run"]
        began = clock_now()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=home,
        )
        self._reader = threading.Thread(target=self._read, name="daemon's standard error", daemon=True)
        self._reader.start()
        with self._told:
            self._told.wait_for(lambda: self._ended or self._listening() >= self._count, START_SECONDS)
            self.ready_seconds = clock_now() - began
            up = self._listening() >= self._count and not self._ended
        if not up:
            self.kill()
            raise DaemonFailed(f"the daemon has not come up; it said:\n{self.tail()}")
        return self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait_for_line(self, part: str, timeout: float = START_SECONDS) -> None:
        """Return when a line of standard error has had *part* in it. Raises `TimeoutError`."""
        with self._told:
            if not self._told.wait_for(lambda: any(part in line for line in self._lines), timeout):
                raise TimeoutError(f"no line with {part!r}; it said:\n{self.tail()}")

    def wait(self) -> int:
        """Wait for its end: its exit code, or the negative number of the signal that ended it."""
        assert self._process is not None
        return self._process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """End it with SIGTERM: its exit code. Raises `DaemonFailed` when it does not end."""
        assert self._process is not None
        if self.running:
            self.send(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonFailed(f"the daemon did not end; it said:\n{self.tail()}") from None
        self._close()
        return status

    def kill(self) -> None:
        """End it with SIGKILL. May be called again."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._close()

    def tail(self, lines: int = 20) -> str:
        """The end of what it printed, and of its log."""
        log = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([*self._lines[-lines:], *log[-lines:]])

    def audit(self) -> list[dict[str, Any]]:
        """The audit records that are in its log by now."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [record for line in lines if (record := json.loads(line)).get("event") == "audit"]

    def _listening(self) -> int:
        return sum(line.startswith(LISTENING) for line in self._lines)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._told:
                self._lines.append(line.decode(errors="replace").rstrip("\n"))
                self._told.notify_all()
        with self._told:
            self._ended = True
            self._told.notify_all()

    def _close(self) -> None:
        if self._reader is not None:
            self._reader.join(STOP_SECONDS)
        if self._process is not None and self._process.stderr is not None:
            self._process.stderr.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.kill()
        else:
            self.stop()


def toml(table: Mapping[str, Any], above: str = "") -> str:
    """*table* as TOML: texts, numbers, flags, lists of them, tables, and lists of tables."""
    return "\n".join(_lines(table, above)) + "\n"


def _lines(table: Mapping[str, Any], above: str) -> Iterator[str]:
    below: list[str] = []
    for key, value in table.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping):
            below += [f"[{path}]", *_lines(value, f"{path}.")]
        elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
            for one in value:
                below += [f"[[{path}]]", *_lines(one, f"{path}.")]
        else:
            # JSON's texts, numbers, flags and lists are TOML's, too; DEL alone is not, and no test has it in a setting.
            yield f"{key} = {json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)}"
    yield from below
