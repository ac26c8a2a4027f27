"""What a command prints comes out whole, in order and without the values; a terminal stays a terminal."""

import os
import signal
import subprocess
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from secrets_actor.clock import now
from secrets_actor.delivery.terminal import Relay, open_relay
from tests.delivery.terminals import PATIENCE, Terminal, python

VALUE: Final = b"hunter2hunter2"


def sh(relay: Relay, script: str, *arguments: str) -> "subprocess.Popen[bytes]":
    stdin, stdout, stderr = relay.child_stdio()
    return subprocess.Popen(["sh", "-c", script, "sh", *arguments], stdin=stdin, stdout=stdout, stderr=stderr)


def outcome(relay: Relay, script: str, *arguments: str) -> int:
    relay.start()
    code = sh(relay, script, *arguments).wait(PATIENCE)
    relay.finish(PATIENCE)
    return code


class Reader(threading.Thread):
    """Reads a pipe until its end."""

    def __init__(self, fd: int, at_once: int = 65536) -> None:
        super().__init__(daemon=True)
        self.got = b""
        self._fd = fd
        self._at_once = at_once
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._fd, self._at_once):
            self.got += chunk

    def all(self) -> bytes:
        self.join(PATIENCE)
        assert not self.is_alive()
        os.close(self._fd)
        return self.got


@pytest.fixture
def nothing() -> Iterator[int]:
    with Path(os.devnull).open("rb") as file:
        yield file.fileno()


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    left = set(os.listdir("/proc/self/fd")) - before
    assert len(left) <= 1, left  # the one of the folder that is listed


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    try:
        yield read, write
    finally:
        for fd in (read, write):
            with suppress(OSError):
                os.close(fd)


def test_two_pipes_stay_apart_and_both_are_masked(nothing: int) -> None:
    with pipe() as (out, stdout), pipe() as (err, stderr):
        relay = open_relay([VALUE], stdout, stderr, nothing)
        code = outcome(relay, f"echo out {VALUE.decode()}; echo err {VALUE.decode()} >&2; test -t 1 || exit 7")
        assert (os.read(out, 99), os.read(err, 99), code) == (b"out ****\n", b"err ****\n", 7)
        assert (relay.interactive, relay.launcher, repr(relay)) == (False, (), "<Relay, 2 outputs>")


def test_what_was_one_pipe_stays_one_in_its_order(nothing: int) -> None:
    with pipe() as (out, stdout):
        assert (
            outcome(open_relay([VALUE], stdout, stdout, nothing), "for i in 1 2 3; do echo $i; echo -$i >&2; done") == 0
        )
        assert os.read(out, 99) == b"1\n-1\n2\n-2\n3\n-3\n"


@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_reader_gets_all_and_in_order(nothing: int, blocking: bool) -> None:
    with pipe() as (out, stdout):
        os.set_blocking(stdout, blocking)  # programs that share a pipe set it so, node for one
        reader = Reader(os.dup(out), at_once=777)
        assert outcome(open_relay([VALUE], stdout, stdout, nothing), "seq 1 50000; echo $1", VALUE.decode()) == 0
        assert os.get_blocking(stdout) == blocking
        os.close(stdout)
        assert reader.all() == b"".join(b"%d\n" % number for number in range(1, 50001)) + b"****\n"


def test_orphans_that_keep_the_output_open_are_not_waited_for(nothing: int) -> None:
    with pipe() as (out, stdout):
        code = outcome(open_relay([VALUE], stdout, stdout, nothing), "sleep 600 & echo $!; printf 'the last hunter2'")
        orphan, _, rest = os.read(out, 99).partition(b"\n")
        os.kill(int(orphan), signal.SIGKILL)
        assert (code, rest) == (0, b"the last hunter2")


def test_orphans_that_go_on_to_print_do_not_keep_us(nothing: int) -> None:
    with pipe() as (out, stdout):
        reader = Reader(os.dup(out))
        began = now()
        assert outcome(open_relay([VALUE], stdout, stdout, nothing), "yes &") == 0
        assert now() - began < PATIENCE / 2
        os.close(stdout)
        assert set(reader.all().split(b"\n")) <= {b"y", b""}


def test_when_our_reader_is_gone_the_command_gets_sigpipe(nothing: int) -> None:
    with pipe() as (out, stdout):
        os.close(out)
        assert outcome(open_relay([VALUE], stdout, stdout, nothing), "exec yes") == -signal.SIGPIPE


def test_a_reader_that_does_not_read_is_waited_for_no_longer_than_asked(nothing: int) -> None:
    with pipe() as (_, stdout):
        relay = open_relay([VALUE], stdout, stdout, nothing)
        relay.start()
        assert sh(relay, "seq 1 20000").wait(PATIENCE) == 0  # more than one pipe holds, and less than two
        assert not relay.drain(0.05)
        relay.finish(0.05)


def test_a_closed_output_is_told_before_anything_is_started(nothing: int) -> None:
    with pipe() as (_, stdout):
        pass
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_relay([VALUE], stdout, stdout, nothing)


def test_after_a_rotation_the_old_and_the_new_value_are_masked(nothing: int) -> None:
    with pipe() as (out, stdout):
        relay = open_relay([VALUE], stdout, stdout, nothing)
        relay.start()
        assert sh(relay, "echo $1", VALUE.decode()).wait(PATIENCE) == 0
        relay.replace_values([b"another password"])
        assert sh(relay, "echo $1 another password", VALUE.decode()).wait(PATIENCE) == 0
        relay.finish(PATIENCE)
        assert os.read(out, 99) == b"****\n**** ****\n"


def test_a_terminal_stays_one_with_its_size_and_its_modes(nothing: int) -> None:
    """Nobody types here, so our own terminal is left as it is."""
    outer, stdout = os.openpty()
    with pipe() as (_, other):
        termios.tcsetwinsize(stdout, (33, 77))
        before = termios.tcgetattr(stdout)
        relay = open_relay([VALUE], stdout, other, nothing)
        relay.start()
        script = "test -t 1 && ! test -t 2 && stty size <&1 && stty raw -echo <&1 && echo $1"
        assert sh(relay, script, VALUE.decode()).wait(PATIENCE) == 0
        termios.tcsetwinsize(stdout, (44, 88))
        relay.resized()
        assert sh(relay, "exec 3>&1; stty size <&3; stty -a <&3 | grep -c ' icanon'").wait(PATIENCE) == 0  # raw no more
        relay.finish(PATIENCE)

        assert os.read(outer, 999).split() == [b"33", b"77", b"****", b"44", b"88", b"1"]
        assert termios.tcgetattr(stdout) == before
        assert not relay.interactive
    os.close(outer)
    os.close(stdout)


def test_a_prompt_is_seen_though_a_value_begins_like_it(nothing: int) -> None:
    outer, stdout = os.openpty()
    tty.setraw(stdout)
    with pipe() as (answer, answers):
        relay = open_relay([b"name: is a value"], stdout, stdout, answer)
        relay.start()
        command = sh(relay, "printf na; read x; echo $x; printf 'name'; read x; printf ': is a value.'")
        assert read(outer, 2) == b"na"
        os.write(answers, b"yes\n")
        assert read(outer, 7) == b"yes\nnam"
        os.write(answers, b"\n")
        assert command.wait(PATIENCE) == 0
        relay.finish(PATIENCE)
        assert read(outer, 5) == b"****."
    os.close(outer)
    os.close(stdout)


def read(fd: int, count: int) -> bytes:
    got = b""
    while len(got) < count:
        got += os.read(fd, count - len(got))
    return got


def test_all_that_a_command_had_printed_on_its_terminal_is_shown_after_its_end(nothing: int) -> None:
    outer, stdout = os.openpty()
    tty.setraw(stdout)
    relay = open_relay([VALUE], stdout, stdout, nothing)
    relay.start()
    assert sh(relay, "seq 1 4000").wait(PATIENCE) == 0  # more than a terminal takes at once, and nobody reads yet
    expected = b"".join(b"%d\n" % number for number in range(1, 4001))
    got = list[bytes]()
    reader = threading.Thread(target=lambda: got.append(read(outer, len(expected))), daemon=True)
    reader.start()
    relay.finish(PATIENCE)
    reader.join(PATIENCE)
    assert got == [expected]
    os.close(outer)
    os.close(stdout)


def test_when_our_terminal_is_gone_so_is_that_of_the_command(nothing: int) -> None:
    outer, stdout = os.openpty()
    relay = open_relay([VALUE], stdout, stdout, nothing)
    os.close(outer)
    assert outcome(relay, "exec yes 2>/dev/null") != 0  # EIO
    os.close(stdout)


RELAYED: Final = ("-m", "tests.delivery.relayed", VALUE.decode())
PROGRAM: Final = """
import os, sys
print(*map(os.isatty, range(3)), *os.get_terminal_size(), os.tcgetpgrp(0) == os.getpid())
print(input("name? "), os.environ["SECRET"], file=sys.stderr)
"""


@pytest.mark.slow
def test_an_interactive_program_has_a_terminal_of_its_own_and_ours_gets_its_modes_back() -> None:
    with Terminal(*python(*RELAYED, *python("-c", PROGRAM)), environment={"SECRET": VALUE.decode()}) as terminal:
        before = terminal.modes()
        terminal.until(b"name? ")
        assert terminal.is_raw()
        terminal.type(b"joe\r")
        assert terminal.end() == 0

        assert terminal.output == b"True True True 80 24 True\r\nname? joe\r\njoe ****\r\n"
        assert terminal.modes() == before


RAW: Final = """
import os, tty
tty.setraw(0)
os.write(1, b"ready")
os.write(1, ascii(os.read(0, 9)).encode() + b"\\n" + os.environb[b"SECRET"])
"""


@pytest.mark.slow
def test_a_program_in_raw_mode_gets_each_key_and_its_screen_is_not_changed() -> None:
    """As editors and pagers do; a line end without a return is theirs to decide."""
    with Terminal(*python(*RELAYED, *python("-c", RAW)), environment={"SECRET": VALUE.decode()}) as terminal:
        terminal.until(b"ready")
        terminal.type(b"\x03\x1a\x04\x1b[A")
        assert terminal.end() == 0
        assert terminal.output == b"readyb'\\x03\\x1a\\x04\\x1b[A'\n****"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["crash", "SIGTERM"])
def test_our_terminal_gets_its_modes_back_however_we_end(ending: str) -> None:
    script = "echo ready; read x"
    with Terminal(*python(*RELAYED, "sh", "-c", script), environment={"CRASH": "1"}) as terminal:
        before = terminal.modes()
        terminal.until(b"ready")
        if ending == "crash":
            terminal.type(b"\r")
            assert terminal.end() == 1
            assert b"RuntimeError" in terminal.output
        else:
            os.kill(terminal.pid, signal.SIGTERM)
            terminal.end()
        assert terminal.modes() == before


@pytest.mark.slow
def test_job_control_works_for_programs_and_for_shells() -> None:
    """A shell on a terminal starts us; we start a program that is stopped, and a shell that stops its own jobs."""
    ours = " ".join(python(*RELAYED))
    with Terminal("bash", "--norc", "--noediting", "-i", environment={"PS1": "READY> ", "BASH_SILENCE": "1"}) as shell:
        shell.until(b"READY> ")
        before = shell.modes()
        shell.type(f"{ours} {sys.executable} -c 'print(11 * 11, input(11 * 12))'; echo code $?\r".encode())
        shell.until(b"132")
        shell.type(b"\x1a")
        shell.until(b"Stopped")
        shell.until(b"READY> ")
        assert shell.modes() == before
        shell.type(b"fg\r")
        wait_until_raw(shell)
        shell.type(VALUE + b"\r")
        shell.until(b"121 ****\r\n")
        shell.until(b"READY> ")
        assert shell.modes() == before

        shell.type(f"{ours} cat; echo code $?\r".encode())  # Ctrl-C
        shell.until(b"code $?\r\n")
        wait_until_raw(shell)
        shell.type(b"typed\r")
        shell.until(b"typed\r\ntyped\r\n")
        shell.type(b"\x03")
        shell.until(b"code 130")
        shell.until(b"READY> ")

        shell.type(f"{ours} bash --norc --noediting -i; echo code $?\r".encode())
        shell.until(b"code $?\r\n")
        shell.until(b"READY> ")
        shell.type(b"sh -c 'echo $((6*111)); exec sleep 600'\r")
        shell.until(b"666")
        shell.type(b"\x1a")
        shell.until(b"Stopped")
        shell.type(b"kill %1; echo hunter2hun''ter2\r")
        shell.until(b"****")
        shell.resize(30, 90)
        shell.type(b"stty size\r")
        shell.until(b"30 90")
        shell.type(b"\x04")  # Ctrl-D
        shell.until(b"code")
        shell.until(b"READY> ")
        assert shell.modes() == before


def wait_until_raw(terminal: Terminal) -> None:
    """Nothing tells of a change of modes."""
    assert any(terminal.is_raw() or threading.Event().wait(0.01) for _ in range(3000))
