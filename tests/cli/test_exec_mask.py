"""`secrets-actor exec --mask`: what the command prints has no value in it, and its terminal stays one."""

import os
import signal
from typing import Final

import pytest

from tests.cli.program import Program, finished
from tests.delivery.terminals import Terminal, python

VALUE: Final = "correct horse battery"
PROGRAM: Final = """
import base64, os, sys
print(*map(os.isatty, range(3)), *os.get_terminal_size(), os.tcgetpgrp(0) == os.getpid())
value = os.environ["PASSWORD"]
print(input("name? "), value, base64.b64encode(value.encode()).decode(), file=sys.stderr)
"""
READY: Final = "print('ready', flush=True); input()"


@pytest.mark.slow
def test_through_pipes_and_on_a_terminal(program: Program) -> None:
    assert program("set", "db/password", stdin=VALUE.encode()).status == 0
    options = ("exec", "--mask", "--env", "PASSWORD=db/password", "--")
    script = 'echo "$PASSWORD"; echo "err $PASSWORD" >&2; test -t 1 || exit 7'
    done = finished(program.start(*options, "sh", "-c", script))
    assert (done.status, done.text, done.stderr) == (7, "****\n", "err ****\n")

    # A reader that takes its time gets all of it, though the command has ended long ago; or we are told to end.
    short = ("exec", "--mask", "--env", "PASSWORD=db/password", "--env", "PIN=db/pin", "--")
    assert program("set", "db/pin", stdin=b"1234").status == 0
    for patient in (True, False):
        with program.start(*short, "sh", "-c", "seq 1 20000; echo done >&2") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stderr.readline() == b"secrets-actor: exec: a value of fewer than 8 bytes is not masked\n"
            assert process.stderr.readline() == b"done\n"
            if not patient:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
            assert (process.stdout.read().count(b"\n") == 20000) == patient

    ours = python("-m", "secrets_actor", *options)
    environment = program.environment
    with Terminal(*ours, *python("-c", PROGRAM), environment=environment, size=(33, 77)) as terminal:
        before = terminal.modes()
        terminal.until(b"name? ")
        terminal.type(b"joe\r")
        assert terminal.end() == 0
        assert terminal.output == b"True True True 77 33 True\r\nname? joe\r\njoe **** ****\r\n"
        assert terminal.modes() == before
    for end in (b"\x03", b"\x04", signal.SIGTERM):  # Ctrl-C, Ctrl-D, and a service manager
        with Terminal(*ours, *python("-c", READY), environment=environment) as terminal:
            before = terminal.modes()
            terminal.until(b"ready")
            if isinstance(end, bytes):
                terminal.type(end)
            else:
                os.kill(terminal.pid, end)
            code = terminal.end()
            assert code == {b"\x03": -signal.SIGINT, b"\x04": 1}.get(end, -signal.SIGTERM), terminal.output
            assert terminal.modes() == before
