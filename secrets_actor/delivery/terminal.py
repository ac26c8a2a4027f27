"""Stands between a command and our own output, and takes the values out of what it prints.

1. A command that would have written to a terminal writes to one: it gets a pseudo-terminal, so `isatty` stays true, and
   colours, prompts and full-screen programs work. Where there was a pipe or a file, it gets a pipe.
2. stdout and stderr that were the same thing stay the same thing, so that nothing is reordered; else they stay apart.
3. **Interactive** is: we are in the foreground, and stdin and stdout are the same terminal. Only then our terminal is
   set to raw and stdin is copied, too: what is typed, Ctrl-C and Ctrl-D as well, goes to the line discipline of the
   pseudo-terminal, which is the command's controlling terminal. Otherwise the command keeps our stdin and our session,
   and our terminal goes on to send signals.
4. The command then has no parent in its session, so the kernel drops its Ctrl-Z. The relay stops it instead, and us,
   and when a shell lets us go on, it goes on, too. (A shell in there stops its own jobs, as ever.)
5. Each output has a thread of its own that reads no more than it can write: a slow reader slows the command, as without
   us. When our reader is gone, so is the command's: it gets SIGPIPE at its next write, or SIGHUP from its terminal.
6. At the end all is read that the command had written. What orphans of it keep open is not waited for: nobody could say
   for how long.
7. No descriptor that we were given is set to non-blocking: other programs share it.
"""

import atexit
import errno
import os
import select
import shutil
import signal
import termios
import threading
import tty
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from secrets_actor.clock import now
from secrets_actor.delivery.masking import Masker

# What a command wrote before its end is in the kernel: 64 KiB in a pipe (pipe(7)) or in a terminal's buffer. What comes
# after twice of that comes from others.
LAST_BYTES: Final = 131_072
QUIET: Final = 0.05  # seconds without output after which a terminal shows the first letters of what is held back

_AT_ONCE: Final = 4096  # bytes: PIPE_BUF, so many can be written without blocking when poll says so (pipe(7))
_READ: Final = 65_536
_LFLAG: Final = 3  # the places in what tcgetattr returns
_CC: Final = 6


def open_relay(
    values: Iterable[bytes], stdout_fd: int = 1, stderr_fd: int = 2, stdin_fd: int = 0, *, quiet: float = QUIET
) -> "Relay":
    """A relay to these descriptors of ours, for a command that is to be started.

    Args:
        values: what is masked. Those of fewer than eight bytes are not.
        stdout_fd: where the command's stdout goes.
        stderr_fd: where the command's stderr goes.
        stdin_fd: where the command's stdin comes from.
        quiet: how long a terminal's output must be quiet, in seconds, before `Masker.idle` is asked.

    Raises:
        OSError: a descriptor is closed, or the machine has no pseudo-terminal or descriptor left.
    """
    for fd in (stdout_fd, stderr_fd):
        os.fstat(fd)  # before a pipe of ours gets the number of a closed one
    return Relay(tuple(values), (stdin_fd, stdout_fd, stderr_fd), quiet)


class Relay:
    """Copies what a command prints to our own output, without the values. See the rules above.

    `child_stdio` gives the descriptors for each start of the command; the relay outlives its restarts. What is in
    `launcher` is put before the command's arguments. Where that is something, the command must not be started as the
    leader of a group: it becomes the leader of a session, under the number that it was started with.
    """

    def __init__(self, values: tuple[bytes, ...], ours: tuple[int, int, int], quiet: float) -> None:
        stdin, stdout, stderr = ours
        self._stdin = stdin
        self._wake_out, self._wake_in = os.pipe()  # readable once the end has come
        self._leave_out, self._leave_in = os.pipe()  # readable once nobody waits any longer
        self._ended = False  # the command's end was told
        self._outer: list[Any] | None = None  # the modes of our terminal as they were; None while they are
        self._outer_lock = threading.Lock()
        self._stopped = False  # we are about to be stopped, or are, and so is the command: once for both
        self._stopping = threading.Lock()
        # setsid -c makes the program that it runs the leader of a session on the terminal that is its stdin. util-linux
        # and busybox have it. Python has nothing of the kind that is safe between fork and exec in a threaded process.
        setsid = shutil.which("setsid") if _is_interactive(stdin, stdout) else None
        self.interactive = setsid is not None
        self.launcher: tuple[str, ...] = (setsid, "-c") if setsid else ()
        self._outputs = [_Output(self, values, stdout, self.interactive, quiet)]
        if not _same(stdout, stderr):
            self._outputs.append(_Output(self, values, stderr, False, quiet))
        self._threads = [threading.Thread(target=one.run, name="output relay", daemon=True) for one in self._outputs]
        if self.interactive:
            self._threads.append(threading.Thread(target=self._copy_input, name="input relay", daemon=True))

    def __repr__(self) -> str:
        return f"<Relay{' interactive' if self.interactive else ''}, {len(self._outputs)} outputs>"

    @property
    def terminal(self) -> int | None:
        """The terminal that an interactive command has; None for another command."""
        return self._outputs[0].theirs if self.interactive else None

    def child_stdio(self) -> tuple[int, int, int]:
        """stdin, stdout and stderr for the command; to be asked before each start of it, for the one before may have
        left its terminal in raw mode. They stay open here, and are closed by `finish`."""
        for one in self._outputs:
            one.reset()
        stdin = self._outputs[0].theirs if self.interactive else self._stdin
        return stdin, self._outputs[0].theirs, self._outputs[-1].theirs

    def start(self) -> None:
        """Begins to copy; sets our terminal to raw if the command is interactive."""
        if self.interactive:
            atexit.register(self.restore)
            self._make_raw()
        for thread in self._threads:
            thread.start()

    def replace_values(self, values: Iterable[bytes]) -> None:
        """Masks these values, which are all that are current now, and those before them as well: the command may
        still print what it was given."""
        values = tuple(values)
        for one in self._outputs:
            one.add(values)

    def resized(self) -> None:
        """Gives the command's terminals the size of ours; to be called at SIGWINCH. The kernel tells the command."""
        for one in self._outputs:
            one.copy_size()

    def continued(self) -> None:
        """Sets our terminal to raw again, for a shell has had it in the meantime, and lets the command go on if it was
        stopped with us; to be called at SIGCONT."""
        with self._stopping:
            stopped, self._stopped = self._stopped, False
        if self.interactive and self._has_the_terminal():
            self._make_raw()
            self.resized()
        if self.interactive and stopped:
            with suppress(OSError):  # it has ended
                os.killpg(os.tcgetpgrp(self._outputs[0].ours), signal.SIGCONT)

    def drain(self, timeout: float | None = None) -> bool:
        """Shows what the command had printed, and says whether all of it is shown. To be called when it has ended.

        Args:
            timeout: how long to wait for the reader of our own output, in seconds. None waits as long as it is there.
        """
        if not self._ended:
            self._ended = True
            os.write(self._wake_in, b"\0")
            for one in self._outputs:
                one.close_theirs()
        deadline = None if timeout is None else now() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(None if deadline is None else max(0.0, deadline - now()))
        return not any(thread.is_alive() for thread in self._threads)

    def stop_with(self, is_stopped: Callable[[], bool]) -> None:
        """Stops us, too, if the command has stopped by itself, until a shell lets us go on; then the command does, too.
        To be called at SIGCHLD, where a shell would see us stopped."""
        with self._stopping:
            if is_stopped():
                self._stop_us()

    def finish(self, timeout: float | None = None) -> None:
        """Drains, with its timeout, drops what is left then, and gives our terminal back."""
        self.drain(timeout)
        os.write(self._leave_in, b"\0")
        finished = self.drain(1.0)  # poll sees the byte at once
        self.restore()
        atexit.unregister(self.restore)
        if finished:
            for one in self._outputs:
                one.close()
            for fd in (self._wake_in, self._wake_out, self._leave_in, self._leave_out):
                os.close(fd)

    def restore(self) -> None:
        """Gives our terminal its modes back, if they were changed; from the background it would stop us to do so, and
        the shell in front has modes of its own."""
        with self._outer_lock:
            if self._outer is not None and self._has_the_terminal():
                with suppress(termios.error, OSError):  # the terminal is gone
                    termios.tcsetattr(self._stdin, termios.TCSADRAIN, self._outer)
            self._outer = None

    def _has_the_terminal(self) -> bool:
        return _has_the_terminal(self._stdin)

    def _make_raw(self) -> None:
        with self._outer_lock, suppress(termios.error, OSError):
            modes = termios.tcgetattr(self._stdin)
            if self._outer is None:
                self._outer = modes
            tty.setraw(self._stdin, termios.TCSADRAIN)

    def wait(self, fd: int, what: int, timeout: float | None = None) -> bool | None:
        """Whether a descriptor is ready; False when the time is over, None when nobody waits any longer."""
        poll = select.poll()
        poll.register(fd, what)
        poll.register(self._leave_out, select.POLLIN)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000))
        return None if self._leave_out in ready else fd in ready

    def wait_for_output(self, fd: int, timeout: float | None) -> tuple[bool, bool]:
        """Whether the command has written something, and whether its end has come."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.register(self._wake_out, select.POLLIN)
        ready = dict(poll.poll(None if timeout is None else timeout * 1000))
        return fd in ready, self._wake_out in ready

    def _copy_input(self) -> None:
        terminal = self._outputs[0].ours
        with suppress(OSError):  # one of the two terminals is gone
            while True:
                readable, ended = self.wait_for_output(self._stdin, None)
                if ended:
                    return
                typed = os.read(self._stdin, _READ) if readable else b""
                if not typed:
                    return
                if self._asks_to_stop(typed):
                    self._stop_all()
                    continue
                while typed:
                    poll = select.poll()
                    poll.register(terminal, select.POLLOUT)
                    poll.register(self._wake_out, select.POLLIN)
                    if self._wake_out in dict(poll.poll()):
                        return
                    with suppress(BlockingIOError):
                        typed = typed[os.write(terminal, typed[:_AT_ONCE]) :]

    def _asks_to_stop(self, typed: bytes) -> bool:
        """Whether that is Ctrl-Z, to a command whose terminal makes a signal of it, and which is not a shell's job."""
        terminal = self._outputs[0].ours
        modes = termios.tcgetattr(terminal)
        if not modes[_LFLAG] & termios.ISIG or modes[_CC][termios.VSUSP] not in typed:
            return False
        group = os.tcgetpgrp(terminal)
        return group > 0 and os.getsid(group) == group and not _minds_being_stopped(group) and _can_be_continued()

    def _stop_all(self) -> None:
        with self._stopping, suppress(OSError):  # it has ended
            os.killpg(os.tcgetpgrp(self._outputs[0].ours), signal.SIGSTOP)
            self._stop_us()

    def _stop_us(self) -> None:
        """Stops our group, for a script that waits for us is in it. What is to be done when we go on is done by
        `continued`: only SIGCONT tells that for certain, as another thread may take the stop a moment later."""
        if not self._stopped:
            self._stopped = True
            self.restore()
            os.killpg(0, signal.SIGSTOP)


class _Output:
    """One output of ours, and the terminal or pipe that the command has instead."""

    def __init__(self, relay: Relay, values: tuple[bytes, ...], target: int, interactive: bool, quiet: float) -> None:
        self._relay = relay
        self._target = target
        self._masker = Masker(values)
        self._lock = threading.Lock()  # of the masker
        self._closed = False
        self._modes: list[Any] | None = None
        self._quiet: float | None = None
        if not os.isatty(target):
            self.ours, self.theirs = os.pipe()
            return
        self.ours, self.theirs = os.openpty()
        os.set_blocking(self.ours, False)
        self._quiet = quiet
        self._modes = termios.tcgetattr(target)
        if not interactive:  # our own terminal goes on to end lines with "\r\n"
            self._modes[1] &= ~termios.OPOST
        self.reset()
        self.copy_size()

    def reset(self) -> None:
        """Prepares for the next start: gives the command's terminal the modes that ours had, and forgets old values."""
        with self._lock:
            self._masker.started()
        if self._modes is not None:
            termios.tcsetattr(self.theirs, termios.TCSANOW, self._modes)

    def copy_size(self) -> None:
        if self._modes is not None:
            with suppress(termios.error, OSError):
                termios.tcsetwinsize(self.ours, termios.tcgetwinsize(self._target))

    def add(self, values: tuple[bytes, ...]) -> None:
        with self._lock:
            self._masker.add(values)

    def close_theirs(self) -> None:
        os.close(self.theirs)

    def close(self) -> None:
        if not self._closed:
            os.close(self.ours)

    def run(self) -> None:
        """The thread: copies until the command has ended, and what it had written has been read."""
        try:
            self._copy()
        except OSError:  # our reader is gone: EPIPE, or EIO of a terminal
            self._closed = True
            os.close(self.ours)  # and so the command's is

    def _copy(self) -> None:
        left: int | None = None
        while left is None or left > 0:
            with self._lock:
                waits = self._quiet is not None and self._masker.waits
            readable, ended = self._relay.wait_for_output(
                self.ours, 0 if left is not None else self._quiet if waits else None
            )
            if readable:
                chunk = self._read()
                if not chunk:
                    break
                if left is not None:
                    left -= len(chunk)
                with self._lock:
                    shown = self._masker.feed(chunk)
                if not self._write(shown):
                    return
            elif left is not None:
                break
            elif not ended:
                with self._lock:
                    shown = self._masker.idle()
                if not self._write(shown):
                    return
            if ended and left is None:
                left = LAST_BYTES
        with self._lock:
            shown = self._masker.end()
        self._write(shown)

    def _read(self) -> bytes:
        try:
            return os.read(self.ours, _READ)
        except OSError as problem:
            if problem.errno == errno.EIO:  # so a pseudo-terminal says that nobody has its other side open
                return b""
            raise

    def _write(self, data: bytes) -> bool:
        """Writes all; False when nobody waits for it any longer."""
        view = memoryview(data)
        while view:
            if self._relay.wait(self._target, select.POLLOUT) is None:
                return False
            with suppress(BlockingIOError):  # others set a shared descriptor to non-blocking
                view = view[os.write(self._target, view[:_AT_ONCE]) :]
        return True


def _same(one: int, other: int) -> bool:
    return os.path.samestat(os.fstat(one), os.fstat(other))


def _is_interactive(stdin: int, stdout: int) -> bool:
    return os.isatty(stdin) and os.isatty(stdout) and _same(stdin, stdout) and _has_the_terminal(stdin)


def _has_the_terminal(terminal: int) -> bool:
    """Whether we are in the foreground of our controlling terminal, and it is this one."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not our controlling terminal, or is gone
        return False


def _minds_being_stopped(pid: int) -> bool:
    """Whether a program ignores SIGTSTP, or has a handler for it, as shells and editors have: proc(5)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # no Linux, or it has ended
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith(("SigIgn:", "SigCgt:"))]
    return any(mask >> (signal.SIGTSTP - 1) & 1 for mask in masks)


def _can_be_continued() -> bool:
    """Whether there is a shell in our session that would see us stopped."""
    parent = os.getppid()
    try:
        return os.getsid(parent) == os.getsid(0) and os.getpgid(parent) != os.getpgrp()
    except OSError:
        return False
