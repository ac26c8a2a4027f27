"""A server in a process of its own, on a free loopback port, that is ready when `start` returns and gone after `stop`.

Rule 1: nothing of the host's environment reaches the server but PATH; its home and temporary folder are given to it.
Rule 2: its port is reserved by a socket of ours that is bound and never listens, so that no other program is given it
        (Linux allows both to be bound, as both set SO_REUSEADDR). Where that is not so, or the port was taken by name,
        it is started anew on another port, three times in all; then the end of its output is the error's text.
Rule 3: it ends by `stop`, at our interpreter's exit, or by the tether (see tether.py), whichever comes first.
"""

import atexit
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from secrets_actor.clock import now as clock_now

ROOT: Final = Path(__file__).resolve().parents[2]
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 1.5  # emulators have nothing to save; one waits for idle TLS connections
ATTEMPTS: Final = 3


class ServerFailed(RuntimeError):
    """The server did not come up. The text ends with the last lines it printed."""


def reserve(port: int = 0) -> socket.socket:
    """A socket that holds *port* (0: a free one) of loopback and does not listen. Raises `OSError` when it is taken."""
    holder = socket.socket()
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", port))
    except OSError:
        holder.close()
        raise
    return holder


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with reserve() as holder:
        return int(holder.getsockname()[1])


class ServerProcess:
    """`module` run with Python. `environment` and `arguments` are asked with the port; `ready` is a path to poll."""

    def __init__(
        self,
        module: str,
        *,
        directory: Path,
        ready: str,
        environment: Callable[[int], Mapping[str, str]] = lambda _port: {},
        arguments: Callable[[int], Sequence[str]] = lambda _port: (),
        tls: ssl.SSLContext | None = None,
        port: Callable[[], int] = free_port,
    ) -> None:
        self._module, self._ready, self._tls = module, ready, tls
        self._environment, self._arguments, self._pick_port = environment, arguments, port
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._holder: socket.socket | None = None
        self.port = 0
        self.log = directory / "output.log"

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> Self:
        """Start it and wait until it answers. Raises `ServerFailed`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        atexit.register(self.stop)
        for _ in range(ATTEMPTS):
            self.port = self._pick_port()
            try:
                self._holder = reserve(self.port)
            except OSError:
                continue
            if sys.platform != "linux":
                self._holder.close()
            try:
                self._spawn()
                if self._wait_until_ready():
                    return self
            except BaseException:
                self.stop()
                raise
            self._reap()
        self.stop()
        raise ServerFailed(f"{self._module} ended {ATTEMPTS} times before it was ready; it said:\n{self.tail()}")

    def stop(self) -> None:
        """End it and all of its process group. May be called again."""
        atexit.unregister(self.stop)
        if self._process is not None:
            _signal_group(self._process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self._reap()

    def tail(self, lines: int = 20) -> str:
        """The end of what it printed."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def fetch(self, path: str, data: bytes | None = None, timeout: float = 5.0) -> bytes:
        """GET *path*, or POST *data* to it: for the server's own control pages. No proxy is asked."""
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if self._tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._tls))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(urllib.request.Request(self.url + path, data=data), timeout=timeout) as answer:
            return bytes(answer.read())

    def _spawn(self) -> None:
        home = self._directory / "home"
        home.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self._environment(self.port),
        }
        command = [sys.executable, "-m", "tests.servers.ends_with_parent", self._module, *self._arguments(self.port)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,  # the tether: open for as long as we live
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=home,
                start_new_session=True,
            )

    def _wait_until_ready(self) -> bool:
        """True when it answers, False when it ended first. Raises `ServerFailed` past the deadline."""
        assert self._process is not None
        deadline = clock_now() + START_SECONDS
        while clock_now() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.03)  # the pause between two looks; ends at once when the server does
                return False
            with contextlib.suppress(OSError, urllib.error.URLError):
                self.fetch(self._ready, timeout=1.0)
                return self._process.poll() is None
        raise ServerFailed(f"{self._module} was not ready within {START_SECONDS:g} s; it said:\n{self.tail()}")

    def _reap(self) -> None:
        """Kill what is left of the group, collect the child, close the tether, give the port back."""
        if self._holder is not None:
            self._holder.close()
        process, self._process = self._process, None
        if process is None:
            return
        _signal_group(process, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The group outlives its leader while a member lives, and its number is not given out again before that.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
