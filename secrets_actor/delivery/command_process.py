"""The process that runs the command of `exec`: a child of our tree, which OTP restarts with its back-off and window.

Rule 1: the command outlives this process. A crash in here, or a restart of the tree around it, neither ends nor starts
        the command: `Life` keeps it, and the next process goes on with it.
Rule 2: what happens is decided in command_plan.py, and done here, one thing at a time. Only what comes while no process
        is there (between two starts) is done by `Life` itself, under its lock.
Rule 3: each running command has a thread that waits for its end, and that does nothing else.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from secrets_actor.actor.error_translation import NO_THREAD_HELP
from secrets_actor.clock import now
from secrets_actor.delivery.command_plan import Act, Course, Phase
from secrets_actor.delivery.spawning import NotStarted, Program, exit_code
from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    ExitReason,
    GenServer,
    Handled,
    InitResult,
    Ok,
    Pid,
    Restart,
    Stop,
    Stopped,
    begin,
)

COMMAND: Final = "command"
# The waits before a command that has failed is started again: half a second, and then longer ones.
BACKOFF: Final = Backoff(initial=0.5, factor=2.0, maximum=30.0, jitter=0.2, stable=60.0)
# Seconds within which it may be started again `--restart-limit` times.
PERIOD: Final = 60.0


class Changed(Struct, frozen=True):
    """A secret has changed: restart the command, or send it *signal* (None: restart)."""

    signal: int | None = None


class _Asked(Struct, frozen=True):
    """Somebody wants the end of the command with this number: do *acts*."""

    pid: int
    acts: tuple[Act, ...]


class _Over(Struct, frozen=True):
    """The command with this number has ended, and what is to be done now."""

    pid: int
    status: int
    act: Act


class _GraceOver(Struct, frozen=True):
    """The time is over that the command with this number had to end."""

    pid: int


class Life:
    """The command, beyond the processes that run it. *start* starts it, with what is newest then. *over* is called
    once, when the command has ended for good or cannot be started; `code` is then its exit code by the rules of the
    shells, `status` as in `Program.wait`, and `problem` says why it was not started, or None. *notice* is told of
    each start, with the number of the process."""

    def __init__(
        self,
        start: Callable[[], Program],
        course: Course,
        over: Callable[[], object],
        *,
        stop_signal: int = signal.SIGTERM,
        notice: Callable[[int], object] = lambda _pid: None,
    ) -> None:
        self._start, self._over, self._notice = start, over, notice
        self._first_course, self.stop_signal = course, stop_signal
        self.lock = threading.Lock()
        self.course = course
        self.program: Program | None = None
        self.runs = False
        self.pending: _Over | None = None
        self.is_over = False
        self.status: int | None = None
        self.problem: NotStarted | None = None
        self.server: Pid | None = None

    @property
    def code(self) -> int:
        """The last exit code."""
        return exit_code(self.status or 0) if self.problem is None else self.problem.exit_code

    def begin(self) -> None:
        """Start the command. Raises `NotStarted`."""
        with self.lock:
            if self.is_over:
                return
            program = self.program = self._start()
            self.runs, self.course = True, self._first_course
        self._notice(program.pid)
        if not begin(threading.Thread(target=self._wait, args=(program,), name="command", daemon=True)):
            program.signal(signal.SIGKILL)
            program.wait()
            self.runs = False
            raise NotStarted(f"no thread could be started: {NO_THREAD_HELP}")

    def _wait(self, program: Program) -> None:
        decided: list[Act] = []

        def takes_rest(status: int) -> bool:
            with self.lock:
                stopped = self.course.phase is not Phase.RUNNING
                decided.append(self.course.ended(status, now()))
            # What it has left behind is its own affair only if it went by itself, and for good: so daemons are begun.
            return stopped or decided[0] is not Act.OVER

        status = program.wait(takes_rest)
        with self.lock:
            act = decided[0] if decided else Act.OVER
            self.status, self.runs, self.pending = status, False, _Over(program.pid, status, act)
            server, over = self.server, self.pending
        if server is not None:
            server.post(over)

    def finish(self, problem: NotStarted | None = None) -> None:
        """Let it be over: nothing is started any more."""
        with self.lock:
            first, self.is_over = not self.is_over, True
            self.problem = problem
        if first:
            self._over()

    def kill(self) -> None:
        """Kill the command, if it runs, and start none any more."""
        with self.lock:
            program, self.is_over = self.program, True
        if program is not None:
            program.signal(signal.SIGKILL)

    def hear(self, number: int, *, forwarded: bool = True) -> bool:
        """Take a signal that somebody has sent to us. Return False if no command is there to hear it.

        *forwarded*: the command is to have it, too; else the kernel gave it to both of us. It has it when this returns.
        """
        with self.lock:
            if self.program is None or not self.runs:
                return False
            self.course, acts = self.course.signalled(number, now())
            server, program = self.server, self.program
        if acts == (Act.SEND,):
            if forwarded:
                program.signal(number)
        elif server is not None:
            server.post(_Asked(program.pid, acts))
        else:  # a process of ours is just being restarted
            program.signal(self.stop_signal)
        return True


class CommandProcess(GenServer):
    """Runs the command of *life*: see the rules."""

    trap_exit = True

    def __init__(self, life: Life) -> None:
        self._life = life

    def init(self) -> InitResult:
        """Take the command over, or start it when the starter has its answer."""
        with self._life.lock:
            self._life.server = self.me
        return Ok(then=None)

    def handle_continue(self, _message: Any) -> Handled:
        """Start the command, unless the process before this one has left it running, or its end untold."""
        life = self._life
        with life.lock:
            pending, runs = life.pending, life.runs
        if pending is not None:
            return self._end(pending)
        return None if runs or life.is_over else self._start()

    def handle_cast(self, message: Any) -> Handled:
        """Take a change."""
        life = self._life
        with life.lock:
            program = life.program if life.runs else None
            acts: tuple[Act, ...] = ()
            if program is not None and message.signal is None:
                life.course, acts = life.course.changed()
        if program is not None and message.signal is not None:
            program.signal(message.signal)
        elif program is not None:
            self._carry_out(program, acts)
        return None

    def handle_info(self, message: Any) -> Handled:
        """Take a signal, the end of the command, or the end of its grace."""
        life = self._life
        if isinstance(message, _Over):
            return self._end(message)
        with life.lock:
            program = life.program if life.runs else None
            acts: tuple[Act, ...] = ()
            match message:
                case _Asked(_, wanted):
                    acts = wanted
                case _GraceOver():
                    acts = life.course.out_of_grace()
        if program is not None and acts and message.pid == program.pid:
            self._carry_out(program, acts)
        return None

    def terminate(self, _reason: ExitReason) -> None:
        """Leave the command as it is (rule 1)."""
        with self._life.lock:
            if self._life.server is self.me:
                self._life.server = None

    def status(self) -> str:
        """Say which process it is, and what becomes of it."""
        program = self._life.program
        return "" if program is None else f"process {program.pid}, {self._life.course.phase}"

    def _start(self) -> Handled:
        try:
            self._life.begin()
        except NotStarted as error:
            self._life.finish(error)
        return None

    def _carry_out(self, program: Program, acts: tuple[Act, ...]) -> None:
        for act in acts:
            if act is Act.KILL:
                program.signal(signal.SIGKILL)
            else:
                program.signal(self._life.stop_signal)
                program.signal(signal.SIGCONT)  # one that is stopped hears no signal until it goes on
                self.send_after(self._life.course.grace, _GraceOver(program.pid))

    def _end(self, over: _Over) -> Handled:
        life = self._life
        with life.lock:
            if life.pending is not over:
                return None  # it was told already: by the process before this one, or to it
            life.pending = None
        if over.act is Act.ENDED:
            return Stop(Stopped(f"exit code {exit_code(over.status)}"))
        if over.act is Act.START:
            return self._start()
        life.finish()
        return None


def command_spec(life: Life) -> ChildSpec:
    """Return the spec of the process. Whether the command is started again after its end is decided by its `Course`,
    before this process ends; so a process that has ended is started again always."""
    return ChildSpec(COMMAND, lambda: CommandProcess(life), restart=Restart.PERMANENT, backoff=BACKOFF)


class OnChange(GenServer):
    """Runs *deed* after each cast, one after the other: a deed may take long, and nothing else waits for it."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed

    def handle_cast(self, _message: Any) -> Handled:
        """Do it."""
        self._deed()
        return None
