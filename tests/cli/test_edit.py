"""`edit`: what an editor is given, what is written, and what is left behind: nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.cli.program import Done, Program, Terminal, finished

CANARY: Final = "kanarie"


@dataclass(frozen=True, slots=True)
class Desk:
    """A user with an editor that runs a script, with the file as `$1`, and with a folder in memory of their own."""

    program: Program
    memory: Path

    @property
    def home(self) -> Path:
        return self.program.home

    def with_editor(self, script: str) -> Program:
        path = self.home / "editor.sh"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return self.program.with_settings(VISUAL=str(path), HERE=str(self.home), XDG_RUNTIME_DIR=str(self.memory))

    def edit(self, script: str, *arguments: str) -> Done:
        """Run `edit` to its end, with an editor of *script*; whatever happens, nothing is left in memory."""
        done = self.with_editor(script)("edit", *(arguments or ("a",)))
        assert list(self.memory.iterdir()) == []
        return done

    def on_terminal(self, script: str) -> Terminal:
        return self.with_editor(script).on_terminal("edit", "a")

    def start(self, script: str) -> "subprocess.Popen[bytes]":
        return self.with_editor(script).start("edit", "a")

    def set(self, value: bytes, name: str = "a") -> None:
        assert self.program("set", name, "--value-file", "-", stdin=value).status == 0

    def value(self, name: str = "a") -> bytes:
        return self.program("get", name, "--raw").stdout


@pytest.fixture
def desk(program: Program) -> Iterator[Desk]:
    memory = Path(tempfile.mkdtemp(prefix="test-", dir="/dev/shm"))
    try:
        yield Desk(program, memory)
    finally:
        shutil.rmtree(memory)


def test_the_file_is_in_memory_for_this_user_alone_and_nothing_is_left(desk: Desk) -> None:
    desk.set(f"{CANARY} 1".encode(), "db/pass=word")
    script = (
        'echo "$1" > $HERE/path; stat -c "%a %u" "$1" "$(dirname "$1")" > $HERE/stat; touch "$1.swp"; '
        f'cp "$1" $HERE/given; printf "{CANARY} 2\\n" > "$1"'
    )

    done = desk.edit(script, "db/pass=word", "--json")

    assert (done.status, done.json["changed"]) == (0, True)
    path = Path((desk.home / "path").read_text().strip())
    assert (path.parent.parent, path.name) == (desk.memory, "pass_word.txt")
    assert (desk.home / "stat").read_text().splitlines() == [f"600 {os.getuid()}", f"700 {os.getuid()}"]
    assert (desk.home / "given").read_bytes() == f"{CANARY} 1".encode()
    assert desk.value("db/pass=word") == f"{CANARY} 2".encode()
    assert CANARY not in done.text + done.stderr
    assert "see that the editor keeps no copy elsewhere" in done.stderr  # nobody knows this editor


def test_what_is_not_changed_is_not_written(desk: Desk) -> None:
    desk.set(b"one")
    version = desk.program("get", "a", "--json").json["version_id"]

    done = desk.edit('printf "one\\n" > "$1"', "a", "--json")

    assert (done.status, done.json) == (0, {"name": "a", "changed": False})
    assert desk.program("get", "a", "--json").json["version_id"] == version


@pytest.mark.parametrize(
    ("before", "typed", "after"), [(b"x\n", r"y\n", b"y\n"), (b"x", r"y\n\n", b"y\n"), (b"x", "y", b"y")]
)
def test_a_value_keeps_its_line_end_or_gets_none(desk: Desk, before: bytes, typed: str, after: bytes) -> None:
    desk.set(before)

    assert desk.edit(f"printf '{typed}' > \"$1\"").status == 0
    assert desk.value() == after


def test_a_secret_that_is_not_there_is_created_and_an_editor_is_told_of_json_by_the_name(desk: Desk) -> None:
    made = desk.edit('test ! -s "$1" && echo \'{"a": 1}\' > "$1"')
    again = desk.edit('echo "$1" > $HERE/path; echo \'{"a": 2}\' > "$1"')

    assert (made.status, again.status) == (0, 0)
    assert json.loads(desk.value()) == {"a": 2}
    assert (desk.home / "path").read_text().endswith("/a.json\n")


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        ('printf two > "$1"; exit 3', 1, "the editor ended with 3; nothing was written"),
        ("exit 3", 1, "the editor ended with 3; nothing was written"),
        ('printf two > "$1"; kill -9 $$', 1, "the editor ended with -9; nothing was written"),
        ('rm "$1"', 1, "the editor has left no file; nothing was changed"),
        ('printf "" > "$1"', 2, "empty"),
        ('head -c 70000 /dev/zero | tr "\\0" x > "$1"', 2, "has 65536 bytes at most, this one 70000"),
    ],
    ids=["fails", "fails untouched", "is killed", "removes", "empties", "too long"],
)
def test_what_an_editor_spoils_is_not_written(desk: Desk, script: str, status: int, told: str) -> None:
    desk.set(b"one")

    done = desk.edit(script)

    assert done.status == status
    assert told in done.stderr
    assert desk.value() == b"one"


def test_a_version_that_came_meanwhile_is_kept(desk: Desk) -> None:
    desk.set(b"one")
    other = f"printf meanwhile | {sys.executable} -m secrets_actor set a"

    done = desk.edit(f'{other} > /dev/null; printf two > "$1"')

    assert done.status == 1
    assert "a got another version meanwhile" in done.stderr
    assert desk.value() == b"meanwhile"


def test_bytes_are_no_text_to_edit(desk: Desk) -> None:
    desk.set(b"\xff\xfe")

    done = desk.edit("touch $HERE/was-run")

    assert done.status == 2
    assert "binary" in done.stderr
    assert not (desk.home / "was-run").exists()


@pytest.mark.parametrize("visual", ["no-such-editor", "an unclosed 'quote", "/etc/passwd"])
def test_an_editor_that_is_none_is_told(desk: Desk, visual: str) -> None:
    done = desk.program.with_settings(VISUAL=visual, XDG_RUNTIME_DIR=str(desk.memory))("edit", "a")

    assert done.status == 2
    assert "set VISUAL or EDITOR" in done.complaint


def test_a_folder_on_a_disk_is_passed_over(desk: Desk, tmp_path: Path) -> None:
    program = desk.with_editor('echo "$1" > $HERE/path; printf two > "$1"')

    assert program.with_settings(XDG_RUNTIME_DIR=str(tmp_path))("edit", "a").status == 0
    assert Path((desk.home / "path").read_text()).parts[1:3] == ("dev", "shm")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_the_command_removes_the_file(desk: Desk, number: signal.Signals) -> None:
    desk.set(b"one")
    os.mkfifo(desk.home / "ready")
    with desk.start('printf two > "$1"; echo > $HERE/ready; exec cat') as process:
        (desk.home / "ready").read_text()  # returns when the editor has come so far
        process.send_signal(number)
        done = finished(process)

    assert done.status == 130
    assert f"ended by {number.name}; nothing was written" in done.stderr
    assert list(desk.memory.iterdir()) == []
    assert desk.value() == b"one"


def test_what_was_typed_survives_a_crash_of_the_editor(desk: Desk) -> None:
    desk.set(b"one")
    script = 'if test -e $HERE/crashed; then grep -q two "$1" && printf three > "$1"; else touch $HERE/crashed; '
    script += 'printf two > "$1"; exit 1; fi'
    with desk.on_terminal(script) as terminal:
        terminal.wait_for("the editor ended with 1")
        terminal.wait_for("[edit]: ")
        terminal.type("edit\n")
        assert terminal.wait_for_end() == 0

    assert desk.value() == b"three"
    assert list(desk.memory.iterdir()) == []


@pytest.mark.parametrize(("wish", "kept", "status"), [("write", b"no json", 0), ("drop", b'{"a": 1}', 1)])
def test_json_that_is_none_any_more_is_asked_about(desk: Desk, wish: str, kept: bytes, status: int) -> None:
    desk.set(b'{"a": 1}')
    with desk.on_terminal('printf "no json" > "$1"') as terminal:
        terminal.wait_for("is none any more")
        terminal.type(f"{wish}\n")
        assert terminal.wait_for_end() == status

    assert desk.value() == kept


@pytest.mark.skipif(
    shutil.which("vim") is None, reason="vim is not installed; what is tried is what vim itself leaves behind"
)
def test_vim_leaves_nothing_outside_of_the_folder(desk: Desk) -> None:
    desk.set(f"{CANARY} 1".encode())
    (desk.home / ".vimrc").write_text(
        "set undofile undodir=~/undo backup backupdir=~/backup directory=~/swap viminfo='9,<9\n"
    )
    for name in ("undo", "backup", "swap"):
        (desk.home / name).mkdir()
    program = desk.program.with_settings(VISUAL="vim", XDG_RUNTIME_DIR=str(desk.memory))
    with program.on_terminal("edit", "a") as terminal:
        terminal.wait_for(CANARY)
        terminal.type("yyccnew value\x1b:wq\r")
        assert terminal.wait_for_end() == 0

    assert desk.value() == b"new value"
    kept = [path for path in desk.home.rglob("*") if path.is_file() and ".local/share" not in str(path)]
    assert [path for path in kept if CANARY.encode() in path.read_bytes() or b"new value" in path.read_bytes()] == []
    assert list(desk.memory.iterdir()) == []
