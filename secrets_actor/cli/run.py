"""`run`: the daemon in the foreground, as systemd, a container or a terminal runs it.

Rule 1: signals come through a pipe (signals.py) to the main thread, which waits for nothing else. What takes time (the
        start, a reload, the end) is done by a thread of its own, so that a signal is heard whatever hangs there.
Rule 2: SIGTERM and SIGINT: requests under way have `drain_seconds`, then all ends with 0. The second one ends all at
        once, as that signal ends any program: a shell reports 143, or 130.
Rule 3: SIGHUP: the configuration is read anew, whole or not at all. Signals that come while one is waiting for that
        are one with it: what is read then is the newest.
Rule 4: a tree that has given up ends the program with an error, so that the service manager starts it anew.
Rule 5: as process 1 of a container it is given the orphans of that container, and takes their exit codes: else they
        would stay as zombies. It takes none from its own children, for whoever started those waits for them: only what
        has ended `_ORPHANED` seconds ago, and what nobody has asked for, is an orphan.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from queue import Full, Queue, SimpleQueue
from typing import TYPE_CHECKING, Final, NoReturn

import click

from secrets_actor.actor.error_translation import NO_THREAD_HELP
from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.options import Options
from secrets_actor.cli.signals import next_signals, signals
from secrets_actor.delivery.spawning import Orphans
from secrets_actor.domain.errors import ServerDown, StartFailed
from secrets_actor.otp import ExitReason, begin

if TYPE_CHECKING:
    from secrets_actor.runtime.daemon import Daemon

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)
_GAVE_UP, _STOPPED = 0, 255  # bytes in the pipe that are no numbers of signals
_STDERR: Final = 2
# Lines that wait to be printed, and seconds that the last of them have when the daemon ends.
_SPOKEN: Final = 100
_LAST_WORDS: Final = 1.0


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
        _run(lambda say, give_up: Daemon(options.config, say=say, on_give_up=give_up))
        return
    raise click.UsageError(f"run needs {missing}, which is not installed: pip install 'secrets-actor[daemon]'")


def _run(make: Callable[[Callable[[str], object], Callable[[ExitReason], object]], Daemon]) -> None:
    with signals(_ENDING, meant=(signal.SIGHUP,)) as (read, write):
        reasons: list[ExitReason] = []

        def give_up(reason: ExitReason) -> None:
            reasons.append(reason)
            os.write(write, bytes([_GAVE_UP]))

        voice = Voice()
        daemon = make(voice.say, give_up)
        work = Work(daemon, lambda: os.write(write, bytes([_STOPPED])))
        try:
            work.begin()
            _serve(daemon, work, read)
        finally:
            daemon.close()
            voice.close()
    if work.failure is not None:
        raise work.failure
    if reasons:
        raise ServerDown(f"the daemon has ended, because no restart helped: {reasons[0]}")


def _serve(daemon: Daemon, work: Work, read: int) -> None:
    """Do what the signals say, until the daemon has ended."""
    orphans = Orphans(os.getpid() == 1)
    while True:
        for number in next_signals(read, orphans.timeout()):
            if number in (_GAVE_UP, _STOPPED):
                return
            if number in _ENDING and work.ends:
                _end_at_once(daemon, number)
            if number in _ENDING:
                work.end()
            if number == signal.SIGHUP:
                work.reload()
        orphans.look()


class Work:
    """The life of *daemon*, in a thread of its own (rule 1): its start, the reloads, its end. *over* is called when it
    has ended; `failure` is then what went wrong, or None."""

    def __init__(self, daemon: Daemon, over: Callable[[], object]) -> None:
        self._daemon, self._over = daemon, over
        self._wanted: SimpleQueue[None] = SimpleQueue()
        self.ends = False
        self.failure: BaseException | None = None

    def begin(self) -> None:
        """Start the daemon. Raises `StartFailed` if there is no thread for that."""
        # It is no thread that the end of the program waits for: after a give-up it may hang.
        if not begin(threading.Thread(target=self._live, name="work", daemon=True)):
            raise StartFailed(f"no thread could be started: {NO_THREAD_HELP}")

    def reload(self) -> None:
        """Have the configuration read anew, if no one waits for that already."""
        if self._wanted.empty():
            self._wanted.put(None)

    def end(self) -> None:
        """Have the daemon drain and end, when the reload under way is over."""
        self.ends = True
        self._wanted.put(None)

    def _live(self) -> None:
        try:
            self._daemon.start()
            while True:
                self._wanted.get()
                if self.ends:
                    break
                self._daemon.reload()
            self._daemon.stop()
        except BaseException as error:  # noqa: BLE001  # the main thread raises it
            self.failure = error
        self._over()


class Voice:
    """Prints lines on standard error, in a thread of its own. A terminal that was stopped, or a pipe that nobody reads,
    holds up that thread and nothing else; lines beyond `_SPOKEN` are lost then, and so are those for which no thread
    can be had. It writes past `sys.stderr`, for whose lock the interpreter waits at its end."""

    def __init__(self) -> None:
        self._lines: Queue[str | None] = Queue(_SPOKEN)
        self._thread = threading.Thread(target=self._speak, name="voice", daemon=True)
        self._begun = begin(self._thread)

    def say(self, line: str) -> None:
        """Have *line* printed. It waits for nothing."""
        with contextlib.suppress(Full):
            self._lines.put_nowait(line)

    def close(self) -> None:
        """Wait a moment for what is still to be printed."""
        with contextlib.suppress(Full):
            self._lines.put_nowait(None)
            if self._begun:
                self._thread.join(_LAST_WORDS)

    def _speak(self) -> None:
        for line in iter(self._lines.get, None):
            left = f"{line}\n".encode(errors="backslashreplace")
            with contextlib.suppress(OSError):  # nobody reads standard error: that ends no daemon
                while left:
                    left = left[os.write(_STDERR, left) :]


def _end_at_once(daemon: Daemon, number: int) -> NoReturn:
    daemon.close()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)  # process 1 of a container is not ended by a signal that it has no handler for
