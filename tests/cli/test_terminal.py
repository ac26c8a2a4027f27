"""What a server, a user or a file has given cannot steer a terminal or forge a line; and a stream that takes nothing is
told by the exit code, whichever it is and whenever it says so."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from secrets_actor.cli.output import drawing, info_table
from secrets_actor.domain.results import SecretDescription
from secrets_actor.otp.tree_snapshot import Tree, TreeNode
from tests.cli.program import Done, Program, finished
from tests.servers.account import Keys
from tests.servers.behaviours import answer_json, aws_error
from tests.servers.faulty import FaultyServer
from tests.servers.process import ROOT

ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf"
KEYS = Keys("AKIAIOSFODNN7EXAMPLE", "x" * 40)
# Sets a title, clears the screen, turns the direction of writing, begins a line of its own, ends as a C1 control.
EVIL = "\x1b]0;owned\x07\x1b[2J\u202e\nname  forged\r\x9b31m\x7f\u2028\x85\x00"
VERSION = {
    "ARN": ARN,
    "Name": "db",
    "VersionId": "a" * 36,
    "SecretString": f"first{EVIL}",
    "VersionStages": ["AWSCURRENT", EVIL],
    "CreatedDate": 1.7e9,
}


def is_harmless(text: str, lines: int) -> bool:
    """Whether it is so many lines of what prints."""
    return all(line.isprintable() for line in text.split("\n")) and text.count("\n") == lines


def test_names_in_a_table_and_a_status_in_the_tree_are_told_in_lines_that_print() -> None:
    status = EVIL.replace("\n", "")
    assert is_harmless(info_table([SecretDescription(f"db{EVIL}", ARN)]), lines=1)
    assert is_harmless(drawing(Tree(TreeNode("db", "worker", "running", "permanent", status=status))), lines=0)


def test_what_a_server_says_is_told_in_lines_that_print(program: Program) -> None:
    with FaultyServer(answer_json(VERSION)) as server:
        plain, revealed, as_json, raw = program.on_aws(server.url, KEYS).at_once(
            ["get", "db"], ["get", "db", "--reveal"], ["--json", "get", "db", "--reveal"], ["get", "db", "--raw"]
        )
    assert (plain.status, revealed.status, as_json.status, raw.status) == (0, 0, 0, 0)
    assert is_harmless(plain.text, 9)
    assert r"\x1b]0;owned\x07\x1b[2J\u202e\nname  forged" in plain.text
    assert is_harmless(revealed.text, 10)
    assert r"first\x1b]0;owned" in revealed.text
    assert is_harmless(as_json.text, 1)
    assert as_json.stdout.isascii()
    assert (as_json.json["stages"], as_json.json["value"]) == (VERSION["VersionStages"], VERSION["SecretString"])
    assert raw.stdout == str(VERSION["SecretString"]).encode()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_errors_are_told_in_lines_that_print(program: Program, tmp_path: Path, options: list[str]) -> None:
    evil = EVIL.replace("\0", "").replace("\x85", "").replace("\u2028", "")
    with FaultyServer(aws_error("ResourceExistsException", text=evil)) as server:
        ends = program.on_aws(server.url, KEYS).at_once(
            [*options, "get", "db"],
            [*options, "doctor", "--seconds", "5"],
            ["--config", str(tmp_path / evil), *options, "list"],
            ["--config", str(tmp_path / evil), *options, "doctor"],
            [*options, "get", f"a{evil}"],
            [*options, f"no-such-command{evil}"],
        )
    for done in ends:
        assert done.status != 0
        shown = done.text + done.stderr
        assert all(line.isprintable() for line in shown.split("\n")), shown
        assert not any(line.startswith("name  forged") for line in shown.split("\n"))


def with_streams(program: Program, redirection: str, *arguments: str, stdin: bytes = b"") -> Done:
    """The program as a shell runs it with its streams redirected so."""
    command = ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-m", "secrets_actor", *arguments]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, cwd=ROOT, env=program.environment, **pipes) as process:  # type: ignore[call-overload]
        return finished(process, stdin)


COMMANDS: dict[str, Sequence[str]] = {
    "raw": ("get", "a", "--raw"),
    "reveal": ("get", "a", "--reveal"),
    "json": ("--json", "get", "a", "--reveal"),
    "list": ("list",),
    "tree": ("tree",),
    "doctor": ("doctor",),
    "verify": ("store", "verify"),
    "version": ("--version",),
    "help": ("--help",),
}


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
def test_a_value_that_could_not_be_printed_is_no_success(program: Program, redirection: str) -> None:
    assert program("set", "a", stdin=b"v").status == 0
    done = with_streams(program, redirection, "get", "a", "--raw")
    assert (done.status, done.stdout) == (1, b"")
    assert "the output cannot be written" in done.complaint


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", ">&- 2>&-", "<&- >/dev/full 2>/dev/full"])
def test_what_could_not_be_printed_is_not_done(program: Program, redirection: str) -> None:
    assert program("set", "a", stdin=b"v").status == 0
    for what, arguments in COMMANDS.items():
        done = with_streams(program, redirection, *arguments)
        assert done.status == 1, (what, done)
        assert done.stdout == b""
        if "2>" not in redirection:
            assert "the output cannot be written" in done.complaint, what
    done = with_streams(program, redirection.replace("<&-", ""), "set", "b", stdin=b"v")
    assert done.status == 1
    assert program("get", "b", "--raw").stdout == b"v"
    assert program("store", "verify").status == 0, "no file of ours took the number of a closed stream"


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_an_error_that_nobody_can_be_told_keeps_its_exit_code(program: Program, redirection: str) -> None:
    assert program("set", "a", stdin=b"v").status == 0
    missing = with_streams(program, redirection, "get", "nowhere")
    found = with_streams(program, redirection, "get", "a", "--raw")
    wrong = with_streams(program, redirection, "get")
    assert (missing.status, found.status, wrong.status) == (3, 0, 2)
    assert (missing.stdout, found.stdout, missing.stderr) == (b"", b"v", "")
