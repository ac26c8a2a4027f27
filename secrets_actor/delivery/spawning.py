"""Starting programs for delivery: THE place where it is done, and where their ends are seen.

Rule 1: a program gets what `Command` says, and nothing else of ours: no descriptor but 0, 1, 2 and `pass_fds`, no
        handler, and the signals that Python ignores (SIGPIPE) as they were. Nothing of ours runs between fork and exec,
        because the process has threads, and one of them may hold any lock at the fork.
Rule 2: a program leads a process group of its own, which is signalled and killed as a whole. Only one that shares a
        terminal with us stays in our group: the kernel lets no other read from the terminal. It is signalled alone.
Rule 3: the number of a program is used only until its exit code is taken; from then on the kernel may give the number
        to any other process. So the end is first looked at (WNOWAIT), and the code is taken under the lock of those who
        signal.
Rule 4: nobody else takes exit codes of our programs: `subprocess` takes the lack of one for exit code 0. So orphans are
        taken one by one, and none of them is a child that somebody of ours waits for.
Rule 5: exit codes are those of env, docker and the shells: 126 is not executable, 127 not found, 128+n ended by signal
        n.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from secrets_actor.clock import now
from secrets_actor.domain.errors import SecretsError
from secrets_actor.structs import Opaque

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
# The exit code of a program that has run out of time, as timeout(1) has it.
OUT_OF_TIME: Final = 124
# Bytes of the output of a check that are kept: its end, where programs say what was wrong.
OUTPUT_TAIL: Final = 4096
# Seconds between two looks whether a program has ended, whose output is still open: another process may have it.
_LOOK_AGAIN: Final = 0.05
# Seconds after which a child that has ended, and that is not of this module, is an orphan (rule 4), if it is in our own
# process group or leads one. The rest of the house waits for its children (such as an editor) within milliseconds.
ORPHANED: Final = 10.0
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)


class NotStarted(SecretsError):
    """A program could not be started. `exit_code` is 126 or 127 (rule 5)."""

    code = "program_not_started"

    def __init__(self, message: str, exit_code: int = NOT_EXECUTABLE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Command(Opaque):
    """What is to be run: *argv*, with the whole *environment*, and with the open descriptors *pass_fds* under their
    numbers. *stdio*: the descriptors that become 0, 1 and 2; None for ours. *own_group* is False for a program that
    shares our terminal (rule 2). *launcher*: what makes
    it the leader of a session and group of its own, and then becomes it (setsid).

    The environment may hold secrets: no repr shows it, nor the arguments.
    """

    __slots__ = ("argv", "environment", "launcher", "own_group", "pass_fds", "stdio")

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        stdio: tuple[int, int, int] | None = None,
        own_group: bool = True,
        launcher: Sequence[str] = (),
    ) -> None:
        self.argv, self.environment, self.pass_fds = tuple(argv), dict(environment), tuple(pass_fds)
        self.stdio, self.own_group, self.launcher = stdio, own_group, tuple(launcher)


class Ended(Opaque):
    """How a program ended: *code* by rule 5, and the end of what it printed on both outputs.

    *out_of_time*: it was killed for that. The output may quote a secret, so it is in no repr; show it to nobody but the
    user who runs the program.
    """

    __slots__ = ("code", "out_of_time", "output_tail")
    SHOWN = ("code", "out_of_time")

    def __init__(self, code: int, output_tail: bytes = b"", out_of_time: bool = False) -> None:
        self.code, self.output_tail, self.out_of_time = code, output_tail, out_of_time


def executable(name: str) -> str:
    """Return the path of the program *name*, by our own PATH: that of the program may be empty, or a secret's.

    Raises `NotStarted`.
    """
    found = shutil.which(name)
    if found is not None:
        return found
    places = [name] if os.path.dirname(name) else [os.path.join(one, name) for one in os.get_exec_path()]
    if any(os.path.isfile(place) for place in places):
        raise NotStarted(f"{name} is not executable for this user: see its mode with 'ls -l'", NOT_EXECUTABLE)
    if os.path.dirname(name) and os.path.isdir(name):
        raise NotStarted(f"{name} is a folder: name a program", NOT_EXECUTABLE)
    raise NotStarted(f"there is no program {name}: see PATH, or give its path", NOT_FOUND)


class Program:
    """A program that runs. Any thread may call any method."""

    def __init__(self, process: subprocess.Popen[bytes], own_group: bool) -> None:
        self._process, self._own_group = process, own_group
        self._lock = threading.Lock()
        self._taken = False
        self.pid = process.pid

    def wait(self, takes_rest: Callable[[int], bool] = lambda _status: False) -> int:
        """Wait until it has ended, and return its exit code: -n if signal n has ended it. If *takes_rest* says so of
        that, what is left of its group is killed: while the exit code is not taken, the number of the group is its."""
        try:
            found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # rule 3
        except ChildProcessError:
            found = None
        if found is not None:
            status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            if takes_rest(status) and self._own_group:
                self.signal(signal.SIGKILL)
        with self._lock:
            code = self._process.wait()
            self._taken = True
        _ours.discard(self.pid)
        return code

    def signal(self, number: int) -> None:
        """Send it *number*: to its group, or to it alone if the group is ours. Does nothing if it has ended."""
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._taken:
                self._send(number)

    def is_stopped(self) -> bool:
        """Whether it is stopped, as by Ctrl-Z. Says so once for each stop."""
        with self._lock, contextlib.suppress(ChildProcessError):
            return not self._taken and os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOHANG) is not None
        return False

    def _send(self, number: int) -> None:
        if self._own_group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
                return
        os.kill(self.pid, number)  # the group is ours, or a launcher has not made it yet


# The programs of this module that have not been waited for yet (rule 4). The lock is held from the fork on: else a
# program could end, and be taken for an orphan, before it is known here.
_ours: set[int] = set()
_starting = threading.Lock()


def start(command: Command) -> Program:
    """Start *command*. Raises `NotStarted`."""
    return Program(_popen(command), command.own_group)


def _popen(command: Command, **pipes: int) -> subprocess.Popen[bytes]:
    path = executable(command.argv[0])
    argv: Sequence[str] = command.argv
    if command.launcher:
        argv, path = (*command.launcher, path, *argv[1:]), command.launcher[0]
    streams = dict(zip(("stdin", "stdout", "stderr"), command.stdio or (None, None, None), strict=True))
    problem = None
    try:
        with _starting:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603  it is what the user asks for
                argv,
                executable=path,
                env=command.environment,
                pass_fds=command.pass_fds,
                process_group=0 if command.own_group and not command.launcher else None,
                **{**streams, **pipes},  # type: ignore[call-overload]
            )
            _ours.add(process.pid)
        return process
    except FileNotFoundError:
        problem, code = "its interpreter, in its first line, is not there", NOT_FOUND
    except (OSError, ValueError) as error:  # ValueError: a NUL
        problem, code = _why(error), NOT_EXECUTABLE
    # Outside of the except block: the traceback of the error has the environment in its frames.
    raise NotStarted(f"{command.argv[0]} cannot be started: {problem}", code)


def _why(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}"
    return "an argument or a variable holds a NUL"


def exit_code(status: int) -> int:
    """Return the exit code of the shells for the *status* of `Program.wait`."""
    return 128 - status if status < 0 else status


def run_to_end(
    argv: Sequence[str], *, environment: Mapping[str, str] | None = None, input: bytes = b"", timeout: float = 30.0
) -> Ended:
    """Run a program, such as a check, and return how it ended. After *timeout* seconds its group is killed.

    *environment* is the whole of it; None is ours. What was never started is also an end, with 126 or 127 and a text.
    """
    deadline = now() + timeout
    pipe = subprocess.PIPE
    try:
        process = _popen(Command(argv, os.environ if environment is None else environment),
                         stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)  # fmt: skip
    except NotStarted as error:
        return Ended(error.exit_code, str(error).encode())
    program = Program(process, own_group=True)
    tail = bytearray()
    try:
        in_time = _talk(process, memoryview(input), tail, deadline)
    except BaseException:
        program.signal(signal.SIGKILL)
        program.wait()
        raise
    if not in_time:
        program.signal(signal.SIGKILL)
    code = exit_code(program.wait())
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return Ended(code if in_time else OUT_OF_TIME, bytes(tail), not in_time)


def _talk(process: subprocess.Popen[bytes], left: memoryview, tail: bytearray, deadline: float) -> bool:
    """Hand the input over, and keep the end of the output, until the program has ended. Return False if it has not at
    the deadline."""
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018
    reads: list[int] = [process.stdout.fileno()]
    writes: list[int] = [process.stdin.fileno()]
    for fd in (*reads, *writes):
        os.set_blocking(fd, False)
    while (rest := deadline - now()) > 0:
        if writes and not left:
            process.stdin.close()
            writes.clear()
        ended = _has_ended(process.pid)
        readable, writable, _ = select.select(reads, writes, [], 0 if ended else min(rest, _LOOK_AGAIN))
        if readable:
            chunk = os.read(reads[0], 1 << 16)
            tail += chunk
            del tail[:-OUTPUT_TAIL]
            if not chunk:
                reads.clear()
        if writable:
            try:
                left = left[os.write(writes[0], left[: 1 << 16]) :]
            except BrokenPipeError:  # it does not read what it is given: that is its own affair
                left = left[:0]
        if ended and not readable:
            return True
    return False


def _has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None
    return False


class Orphans:
    """The ended children of this process that nobody waits for (rule 4). *adopts*: we are process 1 of a container, or
    have asked for orphans (`adopt_orphans`); otherwise this does nothing."""

    def __init__(self, adopts: bool) -> None:
        self._adopts = adopts
        self._ended: dict[int, float] = {}

    def timeout(self) -> float | None:
        """Return the seconds until the next look; None: nothing is to be looked at."""
        return max(0.0, min(self._ended.values()) + ORPHANED - now()) if self._ended else None

    def look(self) -> None:
        """Take note of the children that have ended, and take the exit codes of those that nobody asks for."""
        if not self._adopts:
            return
        moment, before, group = now(), self._ended, os.getpgrp()
        with _starting:
            ended = [pid for pid in _children() if pid not in _ours and _has_ended(pid)]
        self._ended = {}
        for pid in ended:
            since = before.get(pid, moment)
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                # What the rest of the house starts is in our group, or leads one (such as a credential_process).
                if os.getpgid(pid) not in (group, pid) or moment - since >= ORPHANED:
                    os.waitpid(pid, os.WNOHANG)
                else:
                    self._ended[pid] = since


def adopt_orphans() -> bool:
    """Have the kernel hand us the orphans of the programs that we start, as to process 1. Return whether it does."""
    import ctypes

    try:
        done: int = ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):  # no Linux
        return False
    return done == 0


def _children() -> Iterator[int]:
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            yield from map(int, path.read_text().split())
