"""The real program in a process of its own: with pipes, or on a terminal."""

import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from secrets_actor.clock import now as clock_now
from tests.cli import forked
from tests.servers.account import REGION, Keys
from tests.servers.process import ROOT

SECONDS: Final = 100.0
# Variables that an interpreter looks at when it starts, and with which it has to start therefore.
STARTED_WITH: Final = ("LC_", "PYTHON")
# Makes our end of the terminal the controlling one of the child, as a login does, and then becomes the program.
_ON_TERMINAL: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "secrets_actor", *sys.argv[1:]])
"""


@dataclass(frozen=True, slots=True)
class Done:
    """How the program ended: its exit code, its standard output in bytes, its standard error as text."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode()

    @property
    def json(self) -> Any:
        """Standard output, read as JSON."""
        return json.loads(self.stdout)

    @property
    def complaint(self) -> str:
        """The one line on standard error, when nothing else was printed there."""
        assert self.stderr.count("\n") == 1, self.stderr
        assert self.stderr.endswith("\n")
        return self.stderr.removesuffix("\n")


@dataclass(frozen=True, slots=True)
class Program:
    """`secrets-actor` for a user whose home is *home*: `program("get", "db/password")`."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def with_settings(self, **settings: str) -> "Program":
        """The same user with other environment variables, too."""
        return Program(self.home, {**self.settings, **settings})

    def on_aws(self, url: str, keys: Keys) -> "Program":
        """The same user with the AWS store at *url*."""
        return self.with_settings(
            SECRETS_ACTOR_BACKEND="aws_secrets_manager",
            SECRETS_ACTOR_AWS__ENDPOINT_URL=url,
            SECRETS_ACTOR_AWS__REGION=REGION,
            AWS_ACCESS_KEY_ID=keys.access_key_id,
            AWS_SECRET_ACCESS_KEY=keys.secret_key,
            **({"AWS_SESSION_TOKEN": keys.session_token} if keys.session_token else {}),
        )

    @property
    def environment(self) -> dict[str, str]:
        """All of the program's environment."""
        temporary = self.home / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "NO_PROXY"))}
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Root's programs would come upon a daemon of this machine, and leave their secrets there.
            "SECRETS_ACTOR_NO_DAEMON": "1",
            **self.settings,
        }

    def start(self, *arguments: str, **more: Any) -> "subprocess.Popen[bytes]":
        """The program, running. *more* is for `Popen`."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-m", "secrets_actor", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, **(pipes | more))

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run it to its end."""
        environment = self.environment
        if forked.AVAILABLE and not any(name.startswith(STARTED_WITH) for name in environment):
            status, out, err = forked.run(arguments, environment, stdin, SECONDS)
            return Done(status, out, err.decode())
        with self.start(*arguments) as process:
            return finished(process, stdin)

    def at_once(self, *commands: Sequence[str], stdin: bytes = b"") -> list[Done]:
        """Run several at the same time, which also saves it; their ends in the same order."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda arguments: self(*arguments, stdin=stdin), commands))

    def on_terminal(self, *arguments: str) -> "Terminal":
        """Run it on a terminal of its own."""
        return Terminal(self, arguments)


def finished(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> Done:
    """How *process* ended; it is killed if it does not."""
    try:
        out, err = process.communicate(stdin, SECONDS)
    except BaseException:
        process.kill()
        raise
    return Done(process.returncode, out or b"", (err or b"").decode())


class Terminal:
    """A pseudo-terminal with the program on it, which is `process`; `transcript` is all that was to be seen."""

    def __init__(self, program: Program, arguments: tuple[str, ...]) -> None:
        self._program, self._arguments = program, arguments
        self.transcript = ""

    def __enter__(self) -> Self:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, b"\x28\x00\xa0\x00\x00\x00\x00\x00")  # 40 lines, 160 columns
        self.process = subprocess.Popen(
            [sys.executable, "-c", _ON_TERMINAL, *self._arguments],
            cwd=ROOT,
            env=self._program.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait_for(self, text: str, count: int = 1) -> None:
        """Return when *text* has been shown *count* times."""
        deadline = clock_now() + SECONDS
        while self.transcript.count(text) < count:
            assert self._read(deadline), f"ended without {text!r}: {self.transcript}"

    def type(self, text: str) -> None:
        """Send *text*, as if typed."""
        os.write(self._ours, text.encode())

    def wait_for_end(self) -> int:
        """The exit code."""
        deadline = clock_now() + SECONDS
        while self._read(deadline):
            pass
        return self.process.wait(SECONDS)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select([self._ours], [], [], max(0.0, deadline - clock_now()))
        assert readable, f"nothing came: {self.transcript}"
        try:
            read = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self.transcript += read.decode(errors="replace").replace("\r\n", "\n")
        return bool(read)
