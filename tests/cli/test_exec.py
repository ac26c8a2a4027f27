"""`exec` in a process of its own: what the command gets, which signals reach it, how it ends, and when it is restarted.

Each of these was a complaint about a program of this kind: the name of the test says what does not happen here.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import secrets_actor
from secrets_actor import LocalSettings, Secrets, Settings
from secrets_actor.clock import now
from secrets_actor.runtime.settings import DaemonClientSettings
from tests.cli.program import SECONDS, Program, finished
from tests.cli.stores import FOLDER
from tests.daemon.rig import configuration
from tests.delivery.terminals import Terminal, python
from tests.servers.daemon import Daemon
from tests.servers.process import ROOT

pytestmark = pytest.mark.slow

# Says which signals it gets, and ends with 7 after TERM. It leaves an orphan behind that has ended with another code.
PROBE = """
import os, signal, sys
def got(number, _frame):
    os.write(1, b"got %s\\n" % signal.Signals(number).name.encode())
    if number == signal.SIGTERM:
        os._exit(7)
for name in "TERM HUP INT QUIT USR1 USR2 WINCH CONT TSTP".split():
    signal.signal(getattr(signal, "SIG" + name), got)
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(9)
    os._exit(0)
os.wait()
os.write(1, b"ready parent %d\\n" % os.getppid())
while True:
    signal.pause()
"""
COMMAND = (sys.executable, "-I", "-S", "-c", PROBE)


class Running:
    """`exec` with pipes, and the lines that the command prints."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def line(self) -> str:
        """The next line of standard output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip("\n")

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send *number*; the exit code, and standard error."""
        self.process.send_signal(number)
        done = finished(self.process)
        return done.status, done.stderr


@contextmanager
def running(program: Program, *arguments: str) -> Iterator[Running]:
    with program.start("exec", *arguments) as process:
        # A test that fails must not wait for the command, which nobody ends.
        guard = threading.Timer(SECONDS, process.kill)
        guard.start()
        try:
            yield Running(process)
        finally:
            guard.cancel()
            process.terminate()


@contextmanager
def store(program: Program, **values: str) -> Iterator[Secrets]:
    """The store of the user, with some *values* in it."""
    with secrets_actor.start(Settings(local=LocalSettings(path=program.home / FOLDER))) as system:
        for name, value in values.items():
            system.secrets.set(name, value)
        yield system.secrets


@contextmanager
def store_at(socket: Path) -> Iterator[Secrets]:
    """The store of the daemon at *socket*."""
    with secrets_actor.start(
        Settings(backend="daemon", daemon_client=DaemonClientSettings(address=f"unix:{socket}"))
    ) as system:
        yield system.secrets


def test_without_a_terminal_each_signal_reaches_the_command_once_and_its_exit_code_is_ours(program: Program) -> None:
    with running(program, "--", *COMMAND) as one:
        assert one.line() == f"ready parent {one.process.pid}"
        for name in ("HUP", "INT", "QUIT", "USR1", "USR2", "WINCH"):
            one.process.send_signal(getattr(signal, f"SIG{name}"))
            assert one.line() == f"got SIG{name}"
        one.process.send_signal(signal.SIGTSTP)
        assert one.line() == "got SIGTSTP"
        os.waitid(os.P_PID, one.process.pid, os.WSTOPPED)  # we stop, too, after the command has heard of it
        one.process.send_signal(signal.SIGCONT)
        assert one.line() == "got SIGCONT"
        assert one.end() == (7, "")


def test_on_a_terminal_ctrl_c_reaches_the_command_once_and_not_by_us_as_well(program: Program) -> None:
    with program.on_terminal("exec", "--", *COMMAND) as terminal:
        terminal.wait_for("ready")
        for typed, name in (("\x03", "INT"), ("\x1c", "QUIT"), ("\x1a", "TSTP")):
            terminal.type(typed)
            terminal.wait_for(f"got SIG{name}")
        for name in ("HUP", "USR1", "USR2", "CONT", "WINCH"):
            terminal.process.send_signal(getattr(signal, f"SIG{name}"))
            terminal.wait_for(f"got SIG{name}")
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.wait_for_end() == 7
        shown = terminal.transcript
    assert [shown.count(f"got SIG{name}") for name in ("INT", "QUIT", "TSTP", "HUP", "TERM")] == [1, 1, 1, 1, 1]


def test_a_command_that_stops_itself_gives_the_terminal_to_the_shell_and_goes_on_with_fg(program: Program) -> None:
    job = f"{' '.join(python('-m', 'secrets_actor'))} exec %s -- sh -c 'kill -STOP $$; echo back'; echo is $?; fg\n"
    with Terminal("bash", "-c", "set -m\n" + job % "" + job % "--mask", environment=program.environment) as terminal:
        for _ in range(2):
            terminal.until(f"is {128 + signal.SIGSTOP}".encode())
            terminal.until(b"back\r\n")
        assert terminal.end() == 0


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="process 1 needs root and unshare (util-linux)"
)
@pytest.mark.parametrize("tty", [False, True])
def test_as_process_1_signals_reach_the_command_and_an_orphan_does_not_change_its_exit_code(
    program: Program, tty: bool
) -> None:
    inside = ["unshare", "-pf", "--mount-proc", sys.executable, "-m", "secrets_actor", "exec", "--", *COMMAND]
    if tty:
        inside = ["script", "-qec", " ".join(map(_quoted, inside)), "/dev/null"]
    with subprocess.Popen(
        inside, cwd=ROOT, env=program.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        guard = threading.Timer(SECONDS, process.kill)
        guard.start()
        one = Running(process)
        assert one.line().rstrip("\r") == "ready parent 1"
        first = _first_of(process.pid)
        for name in ("HUP", "USR1", "USR2", "WINCH", "CONT", *(() if tty else ("INT", "QUIT", "TSTP"))):
            os.kill(first, getattr(signal, f"SIG{name}"))
            assert one.line().rstrip("\r") == f"got SIG{name}"
        os.kill(first, signal.SIGTERM)
        assert finished(process).status == 7
        guard.cancel()


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _first_of(pid: int) -> int:
    """The number, out here, of the process 1 that *pid* has made."""
    while True:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        here, *inner = status["NSpid"].split()
        if inner == ["1"]:
            return int(here)
        pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_exit_codes_are_those_of_the_command_and_our_own_failures_are_told_apart(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "plain").touch(0o644)
    ends = {
        ("--", "sh", "-c", "exit 7"): 7,
        ("--", "sh", "-c", "kill -TERM $$"): -signal.SIGTERM,  # by the signal itself: a shell makes 143 of it
        ("--", "sh", "-c", "kill -KILL $$"): -signal.SIGKILL,
        ("--env", "A=no/such", "--env", "B=nor/this", "--", "touch", str(tmp_path / "started")): 125,
        ("--no-such-option", "--", "true"): 125,
        ("--", str(tmp_path / "plain")): 126,
        ("--once", "--", "no-such-program"): 127,
    }
    processes = [(program.start("exec", *arguments), code) for arguments, code in ends.items()]
    found = [(finished(process), code) for process, code in processes]
    assert [done.status for done, _ in found] == list(ends.values())
    assert "no/such, nor/this" in found[3][0].complaint  # all that is missing, at once
    assert not (tmp_path / "started").exists()


def test_ten_changes_are_one_restart_with_all_that_is_new_and_a_command_that_hears_no_term_is_killed(
    program: Program,
) -> None:
    script = "trap '' TERM; echo $$ $A $(cat $B_FILE) $(cat $C_FILE); while :; do sleep 60 & wait $!; done"
    how = ("--on-change", "restart", "--every", "1", "--debounce", "0.5", "--floor", "0", "--grace", "0.3")
    given = ("--env", "A=app/a", "--file", "B=app/a", "--memfd", "C=app/a")
    with store(program) as secrets:
        secrets.set("app/a", "value-00")
        with running(program, *given, *how, "--", "sh", "-c", script) as one:
            first, *values = one.line().split()
            assert values == ["value-00"] * 3
            for number in range(1, 11):
                secrets.set("app/a", f"value-{number:02}")
            second, *values = one.line().split()
            assert (first != second, values) == (True, ["value-10"] * 3)
            _wait_for_end_of_group(int(first))
            status, told = one.end()
    assert status == -signal.SIGKILL  # the second command heard no TERM either
    assert told.count("the command is restarted") == 1


def _wait_for_end_of_group(group: int) -> None:
    """Return when nothing is left of *group*: not even a zombie, which we would have to take as its new parent."""
    deadline = now() + SECONDS
    with contextlib.suppress(ProcessLookupError):
        while now() < deadline:
            os.killpg(group, 0)
            os.sched_yield()
        raise AssertionError("something is left of the group")


def test_a_change_is_told_by_a_signal_or_a_command_line_and_the_command_lives_on(
    program: Program, tmp_path: Path
) -> None:
    pace = ("--every", "1", "--debounce", "0.1", "--floor", "0")
    script = "trap 'echo heard; cat $A_FILE; echo' USR1; echo ready; while :; do sleep 60 & wait $!; kill $!; done"
    with store(program) as secrets:
        secrets.set("app/a", "value-0")
        with (
            running(
                program, "--file", "A=app/a", "--on-change", "signal=USR1", *pace, "--", "sh", "-c", script
            ) as told,
            running(
                program,
                *("--env", "A=app/a", "--on-change", f"run=echo $A > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/a"),
                *(*pace, "--", "sh", "-c", "echo ready; exec sleep 60"),
            ) as runs,
        ):
            assert (told.line(), runs.line()) == ("ready", "ready")
            secrets.set("app/a", "value-1")
            assert (told.line(), told.line()) == ("heard", "value-1")
            lines = iter(runs.process.stderr.readline, b"")  # type: ignore[union-attr]
            assert any(b"has ended with 0" in line for line in lines)
            assert (tmp_path / "a").read_text() == "value-1\n"
            assert told.end()[0] == runs.end()[0] == -signal.SIGTERM


def test_a_command_that_ends_too_often_ends_us_with_its_last_code_and_one_line_says_why(program: Program) -> None:
    with running(
        program, "--restart", "on-failure", "--restart-limit", "1", "--", "sh", "-c", "echo $$; exit 3"
    ) as one:
        assert one.line() != one.line() != ""
        done = finished(one.process)
    assert done.status == 3
    assert "given up" in done.stderr.splitlines()[-1]


def test_between_two_starts_term_ends_us_and_a_second_term_in_the_grace_kills(program: Program) -> None:
    script = "trap 'echo heard' TERM; echo ready; while :; do sleep 600 & wait $!; done"
    with running(program, "--restart", "always", "--", "sh", "-c", "echo $$; exit 3") as waits:
        _wait_for_end_of_group(int(waits.line()))
        waits.process.send_signal(signal.SIGHUP)  # read all anew: it is about to
        assert waits.line() != ""
        told = waits.process.stderr.readline().decode()  # type: ignore[union-attr]
        assert "restart 1 within a minute" in told
        assert waits.end()[0] in (-signal.SIGTERM, 3)  # 3: it has just been started again
    with running(program, "--grace", "600", "--", "sh", "-c", script) as one:
        assert one.line() == "ready"
        one.process.send_signal(signal.SIGTERM)
        assert one.line() == "heard"
        assert one.end()[0] == -signal.SIGKILL


def test_what_is_started_has_nothing_of_ours_and_with_once_nothing_of_us_is_left(program: Program) -> None:
    script = "ls /proc/self/fd | wc -l; grep SigIgn /proc/self/status; echo $$ $A $(cat $B_FILE) $UNKNOWN"
    with store(program) as secrets:
        secrets.set("app/a", "value-0")
    for more in ((), ("--once",)):
        given = ("--pristine", "--keep", "PATH", "--env", "A=app/a", "--memfd", "B=app/a", *more)
        with running(program.with_settings(UNKNOWN="x"), *given, "--", "sh", "-c", script) as one:
            assert int(one.line()) == 5  # the memory file, and that of the folder that is listed
            assert one.line() == "SigIgn:\t0000000000000000"
            number, *values = one.line().split()
            assert (int(number) == one.process.pid, values) == (bool(more), ["value-0"] * 2)


def test_the_output_is_masked_and_the_terminal_stays_one(program: Program) -> None:
    script = "test -t 0 && test -t 1 && tty -s </dev/tty && echo terminal; echo $A; kill -INT $$"
    with store(program) as secrets:
        secrets.set("app/a", "kanarie-1234")
    with program.on_terminal("exec", "--mask", "--env", "A=app/a", "--", "sh", "-c", script) as terminal:
        assert terminal.wait_for_end() == -signal.SIGINT
        assert "terminal\n" in terminal.transcript
        assert "kanarie" not in terminal.transcript


def test_a_change_through_the_daemon_restarts_the_command_at_once(program: Program, tmp_path: Path) -> None:
    socket = tmp_path / "d.sock"
    settings = configuration(tmp_path, f"unix:{socket}")
    how = ("--on-change", "restart", "--debounce", "0.1", "--floor", "0")
    with Daemon(tmp_path / "daemon", settings, count=1), store_at(socket) as secrets:
        secrets.set("app/a", "value-0")
        with program.start(
            *("--socket", str(socket), "exec", "--env", "A=app/a", *how),
            *("--", "sh", "-c", "echo $$ $A; exec sleep 600"),
        ) as process:
            one = Running(process)
            first, value = one.line().split()
            secrets.set("app/a", "value-1")
            second, newer = one.line().split()
            assert one.end()[0] == -signal.SIGTERM
    assert (value, newer, first != second) == ("value-0", "value-1", True)
