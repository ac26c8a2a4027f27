"""Ctrl-C, and a reader that goes away: the program ends at once, as the shell expects it, and without a traceback."""

import json
import signal
from pathlib import Path

from tests.cli.program import Program, finished
from tests.cli.test_exit_codes import SOME_KEYS
from tests.servers.behaviours import Hang
from tests.servers.faulty import FaultyServer


def test_an_interrupt_cuts_off_a_get_that_waits(program: Program) -> None:
    on_aws = program.on_aws
    with (
        FaultyServer(Hang()) as server,
        on_aws(server.url, SOME_KEYS).start("--json", "--verbose", "get", "a") as process,
    ):
        server.wait_for_requests(1)
        process.send_signal(signal.SIGINT)
        done = finished(process)

    assert (done.status, done.stdout) == (130, b"")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    (complaint,) = [at for at, line in enumerate(lines) if line.get("error") == "interrupted"]
    before = lines[:complaint]
    assert {"job_started"} <= {one["event"] for one in before}
    ends = {one["process"]: one["reason"] for one in before if one["event"] in ("process_ended", "process_disowned")}
    assert ends["secrets_actor"] == "killed"  # in peace it would have waited for the worker: shutdown


def test_an_interrupt_at_the_prompt_sets_nothing(program: Program) -> None:
    with program.on_terminal("set", "db/password") as terminal:
        terminal.wait_for("Value of db/password: ")
        terminal.type("\x03")

        assert terminal.wait_for_end() == 130

    assert "Traceback" not in terminal.transcript
    assert "secrets-actor: interrupted" in terminal.transcript
    assert program("get", "db/password").status == 3


def test_the_end_of_input_at_the_prompt_sets_nothing(program: Program) -> None:
    with program.on_terminal("set", "db/password") as terminal:
        terminal.wait_for("Value of db/password: ")
        terminal.type("\x04")

        assert terminal.wait_for_end() == 130

    assert "Traceback" not in terminal.transcript


def test_a_reader_that_went_away_is_no_error_to_tell(program: Program) -> None:
    program("set", "db/password", stdin=b"x" * 65_000)
    for arguments in (["get", "db/password", "--raw"], ["list"]):
        with program.start(*arguments) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            told = process.stderr.read()
            process.wait(30)

        assert (process.returncode, told) == (141, b"")


def test_output_that_cannot_be_written_is_told_in_one_line(program: Program) -> None:
    with Path("/dev/full").open("wb") as full, program.start("list", stdout=full) as process:
        done = finished(process)

    assert done.status == 1
    assert "No space left on device" in done.complaint
