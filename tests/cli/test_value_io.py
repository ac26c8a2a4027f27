"""The way of a value in and out: from a pipe, a file or a prompt, and never as an argument."""

import base64
import os
from pathlib import Path

import pytest

from tests.cli.program import Program, finished


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (b"two lines,\n and an empty one\n\n", b"two lines,\n and an empty one\n"),
        (b"from elsewhere\r\n", b"from elsewhere"),
        (b"a carriage return of its own\r", b"a carriage return of its own\r"),
    ],
    ids=["only-one-newline", "crlf", "lone-cr"],
)
def test_standard_input_loses_one_line_end_and_nothing_else(program: Program, given: bytes, kept: bytes) -> None:
    program("store", "init")
    done = program("set", "db/password", stdin=given)
    assert (done.status, done.stderr) == (0, "")

    assert program("get", "--raw", "db/password").stdout == kept


def test_a_value_file_is_kept_byte_for_byte(program: Program, tmp_path: Path) -> None:
    value = bytes(range(256)) + b"\n"
    (tmp_path / "value").write_bytes(value)

    assert program("set", "db/key", "--value-file", str(tmp_path / "value")).status == 0

    raw = program("get", "db/key", "--raw")
    assert (raw.status, raw.stdout, raw.stderr) == (0, value, "")
    shown = program("--json", "get", "db/key", "--reveal").json
    assert (shown["kind"], base64.b64decode(shown["value_base64"])) == ("binary", value)


def test_a_home_is_found_where_the_shell_does_not_look_for_one(program: Program, tmp_path: Path) -> None:
    program.home.mkdir()
    (program.home / "v").write_bytes(b"value")

    assert program("set", "db/key", "--value-file=~/v").status == 0
    assert program("get", "db/key", "--raw").stdout == b"value"
    refused = program("set", "db/key", "--value-file=~no-such-user/v")
    assert refused.status == 2
    assert "begins with ~ and the name of a user that this machine does not know" in refused.stderr.replace("\n", " ")


def test_text_can_be_kept_as_bytes(program: Program) -> None:
    program("set", "db/key", "--binary", stdin=b"text")

    assert program("--json", "get", "db/key").json["kind"] == "binary"


def test_a_prompt_hides_the_value_and_asks_twice(program: Program) -> None:
    with program.on_terminal("set", "db/password") as terminal:
        terminal.wait_for("Value of db/password: ")
        terminal.type("correct horse\n")
        terminal.wait_for("Repeat for confirmation: ")
        terminal.type("battery staple\n")
        terminal.wait_for("do not match")
        for times, prompt in ((2, "Value of db/password: "), (2, "Repeat for confirmation: ")):
            terminal.wait_for(prompt, times)
            terminal.type("Grüße, 世界\n")

        assert terminal.wait_for_end() == 0

    assert "version_id" in terminal.transcript
    for hidden in ("horse", "staple", "Grüße"):
        assert hidden not in terminal.transcript
    assert program("get", "--raw", "db/password").text == "Grüße, 世界"


def test_nobody_is_asked_for_the_value_of_a_name_that_is_none(program: Program) -> None:
    with program.on_terminal("set", "no name") as terminal:
        assert terminal.wait_for_end() == 2

    assert "Value" not in terminal.transcript
    assert terminal.transcript.startswith("secrets-actor: a secret name is made of")


def test_a_value_as_an_argument_is_refused_and_not_repeated(program: Program) -> None:
    for done in program.at_once(("set", "db/password", "hunter2"), ("set", "db/password", "--value=hunter2")):
        assert done.status == 2
        assert "--value-file" in done.complaint
        assert "hunter2" not in done.stderr + done.text

    assert program("get", "db/password").status == 3


def test_values_that_no_store_takes_are_refused_in_one_line(program: Program, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * 65_537)
    (tmp_path / "fits").write_bytes(b"x" * 65_536)

    command = ("set", "db/password")
    endless = program(*command, stdin=b"x" * 1_000_000)
    empty, long, missing = program.at_once(
        command,
        (*command, "--value-file", str(tmp_path / "long")),
        (*command, "--value-file", str(tmp_path / "missing")),
    )

    assert [done.status for done in (empty, long, endless, missing)] == [2, 2, 2, 2]
    assert "is empty; give at least one byte" in empty.complaint
    assert "65536 bytes at most" in long.complaint
    assert "65536 bytes at most" in endless.complaint
    assert "--value-file" in missing.complaint
    assert program("set", "db/password", "--value-file", str(tmp_path / "fits")).status == 0


def test_closed_standard_input_is_refused_in_one_line(program: Program) -> None:
    with program.start("set", "db/password", stdin=None, preexec_fn=_close_standard_input) as process:
        done = finished(process)

    assert done.status == 2
    assert "standard input is closed" in done.complaint


def _close_standard_input() -> None:
    os.close(0)
