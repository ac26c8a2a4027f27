"""`run`: the daemon in the foreground, as systemd, a container or a terminal runs it. THE door to signals.

Rule 1: a handler does nothing. The number of the signal comes through a pipe to the main thread, which waits for
        nothing else, and works there in peace.
Rule 2: SIGTERM and SIGINT: requests under way have `drain_seconds`, then all ends with 0. The second one ends all at
        once, as that signal ends any program: a shell reports 143, or 130.
Rule 3: SIGHUP: the configuration is read anew, whole or not at all.
Rule 4: a tree that has given up ends the program with an error, so that the service manager starts it anew.
Rule 5: as process 1 of a container it is given the orphans of that container, and takes their exit codes: else they
        would stay as zombies. It takes none from its own children, for whoever started those waits for them: only what
        has ended `_ORPHANED` seconds ago, and what nobody has asked for, is an orphan.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.options import Options
from secrets_actor.clock import now
from secrets_actor.domain.errors import ServerDown
from secrets_actor.otp import ExitReason

if TYPE_CHECKING:
    from secrets_actor.runtime.daemon import Daemon

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
# Seconds after which a child that has ended is an orphan (rule 5). Our own are waited for within milliseconds.
_ORPHANED: Final = 10.0
_GAVE_UP, _STOPPED = 0, 255  # bytes in the pipe that are no numbers of signals


@click.command("run", epilog=EPILOG)
@click.pass_obj
def run_(options: Options) -> None:
    """Serve secrets to other programs of this machine, until SIGTERM or Ctrl-C.

    Without [daemon] in the configuration: on a Unix socket, for this user only. SIGHUP has the configuration read anew.
    """
    if options.ask_passphrase or options.socket is not None or options.past_daemon:
        raise click.UsageError("run is the daemon itself: --socket, --no-daemon and --ask-passphrase are for others.")
    try:
        from secrets_actor.runtime.daemon import Daemon
    except ModuleNotFoundError as error:
        missing = error.name
    else:
        _run(lambda give_up: Daemon(options.config, say=_say, on_give_up=give_up))
        return
    raise click.UsageError(f"run needs {missing}, which is not installed: pip install 'secrets-actor[daemon]'")


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads standard error: that ends no daemon
        click.echo(line, err=True)


def _run(make: Callable[[Callable[[ExitReason], object]], Daemon]) -> None:
    with _signals() as (read, write):
        reasons: list[ExitReason] = []

        def give_up(reason: ExitReason) -> None:
            reasons.append(reason)
            os.write(write, bytes([_GAVE_UP]))

        daemon = make(give_up)
        try:
            daemon.start()
            _serve(daemon, read, write)
        finally:
            daemon.close()
    if reasons:
        raise ServerDown(f"the daemon has ended, because no restart helped: {reasons[0]}")


def _serve(daemon: Daemon, read: int, write: int) -> None:
    """Do what the signals say, until the daemon has ended."""
    orphans, stopping = Orphans(), False
    while True:
        for number in _next(read, orphans.timeout()):
            if number in (_GAVE_UP, _STOPPED):
                return
            if number in _ENDING and stopping:
                _end_at_once(daemon, number)
            if number in _ENDING:
                stopping = True
                threading.Thread(target=lambda: _stop(daemon, write), name="stop", daemon=True).start()
            if number == signal.SIGHUP and not stopping:
                daemon.reload()
        orphans.look()


def _stop(daemon: Daemon, write: int) -> None:
    try:
        daemon.stop()
    finally:
        os.write(write, bytes([_STOPPED]))


def _end_at_once(daemon: Daemon, number: int) -> NoReturn:
    daemon.close()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container is not ended by a signal that it has no handler for


@contextmanager
def _signals() -> Iterator[tuple[int, int]]:
    """Have the numbers of signals come through a pipe, whose ends are given (rule 1)."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    watched = (*_ENDING, signal.SIGHUP, *([signal.SIGCHLD] if os.getpid() == 1 else []))
    before: dict[int, Any] = {number: signal.signal(number, _nothing) for number in watched}
    fd_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read, write
    finally:
        signal.set_wakeup_fd(fd_before)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def _nothing(_number: int, _frame: object) -> None:
    """Handle a signal: its number is in the pipe already."""


def _next(read: int, timeout: float | None) -> bytes:
    ready, _, _ = select.select([read], [], [], timeout)
    return os.read(read, 64) if ready else b""


class Orphans:
    """The ended children of process 1 (rule 5). Does nothing in any other process."""

    def __init__(self) -> None:
        self._is_first = os.getpid() == 1
        self._ended: dict[int, float] = {}

    def timeout(self) -> float | None:
        """Return the seconds until the next look; None: nothing is to be looked at."""
        return max(0.0, min(self._ended.values()) + _ORPHANED - now()) if self._ended else None

    def look(self) -> None:
        """Take note of the children that have ended, and take the exit codes of those that nobody asks for."""
        if not self._is_first:
            return
        moment, before = now(), self._ended
        self._ended = {pid: before.get(pid, moment) for pid in _children() if _has_ended(pid)}
        for pid, since in list(self._ended.items()):
            if moment - since >= _ORPHANED:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                del self._ended[pid]


def _children() -> Iterator[int]:
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            yield from map(int, path.read_text().split())


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return False
