"""The commands that write: what each changes, and that a value given as an argument is never quoted."""

import json
import re

import pytest

from tests.cli.program import Program

CANARY = "kanarie-7"


def test_a_secret_is_created_once(program: Program) -> None:
    created = program("create", "a", "--tag", "k=v", "--description", "d", "--json", stdin=b"one")
    again = program("create", "a", stdin=b"two")

    assert (created.status, created.json["created"]) == (0, True)
    assert again.status == 1
    assert program("get", "a", "--raw").stdout == b"one"
    assert program("describe", "a", "--json").json["tags"] == {"k": "v"}


def test_a_version_is_put_only_on_a_secret_that_is_there(program: Program) -> None:
    missing = program("put", "a", stdin=b"one")
    program("set", "a", stdin=b"one")
    staged = program("put", "a", "--stage", "X", "--stage", "Y", "--json", stdin=b"two")

    assert missing.status == 3
    assert sorted(staged.json["stages"]) == ["X", "Y"]
    current, by_stage = program.at_once(("get", "a", "--raw"), ("get", "a", "--raw", "--stage", "X"))
    assert (current.stdout, by_stage.stdout) == (b"one", b"two")


def test_an_update_changes_what_is_given_and_reads_no_value_without_being_told(program: Program) -> None:
    program("set", "a", "--description", "old", stdin=b"one")

    described = program("update", "a", "--description", "new", "--json", stdin=b"not read")
    assert described.json == {"name": "a", "updated": True}
    assert program("get", "a", "--raw").stdout == b"one"
    valued = program("update", "a", "--value-file", "-", "--json", stdin=b"two\n")
    assert set(valued.json) == {"name", "version_id", "updated"}
    assert program("get", "a", "--raw").stdout == b"two\n"  # byte for byte, unlike a pipe without --value-file -
    assert program("describe", "a", "--json").json["description"] == "new"
    assert program("update", "a").status == 2  # nothing is to be changed


def test_tags_are_added_changed_and_removed(program: Program) -> None:
    program("set", "a", "--tag", "x=1", stdin=b"v")

    assert program("tag", "a", "x=2", "y=a=b", "z", "--json").json == {"name": "a", "tagged": ["x", "y", "z"]}
    assert program("untag", "a", "z", "--json").json == {"name": "a", "untagged": ["z"]}
    assert program("describe", "a", "--json").json["tags"] == {"x": "2", "y": "a=b"}
    assert program("tag", "a", "x=1", "x=2").status == 2


def test_a_set_can_restore(program: Program) -> None:
    program("set", "a", stdin=b"one")
    program("delete", "a")

    assert program("set", "a", stdin=b"two").status == 1
    assert program("set", "a", "--restore", stdin=b"two").status == 0
    assert program("get", "a", "--raw").stdout == b"two"


def test_a_rotation_makes_a_value_and_shows_none(program: Program) -> None:
    program("set", "a", stdin=b"one")

    rotated = program("rotate", "a", "--generate", "password", "--length", "40", "--json")
    assert set(rotated.json) == {"name", "version_id", "rotation"}
    assert len(program("get", "a", "--raw").stdout) == 40
    assert program("get", "a", "--raw", "--stage", "AWSPREVIOUS").stdout == b"one"
    assert program("rotate", "a", "--generate", "bytes").status == 0
    refused = program("rotate", "a")
    assert refused.status == 1
    assert "has no rotation function" in refused.complaint


@pytest.mark.parametrize(
    "options",
    [
        ("--cancel", "--later"),
        ("--length", "9"),
        ("--generate", "bytes", "--length", "9"),
        ("--generate", "bytes", "--every", "9"),
        ("--generate", "nothing"),
    ],
)
def test_options_of_a_rotation_that_do_not_go_together_are_refused(program: Program, options: tuple[str, ...]) -> None:
    assert program("rotate", "a", *options).status == 2


def test_a_password_is_made_as_it_is_asked_for_and_printed_unless_it_is_stored(program: Program) -> None:
    plain, simple, as_json, stored = program.at_once(
        ("generate",),
        ("generate", "--length", "12", "--no-punctuation", "--no-uppercase", "--exclude", "abc"),
        ("--json", "generate", "--length", "8"),
        ("generate", "--set", "made", "--json"),
    )

    assert re.fullmatch(r"\S{32}\n", plain.text)
    assert re.fullmatch(r"[d-z0-9]{12}\n", simple.text)
    assert len(as_json.json["password"]) == 8
    assert set(stored.json) == {"name", "version_id", "created"}
    value = program("get", "made", "--raw").text
    assert len(value) == 32
    assert value not in stored.text + stored.stderr
    assert program("generate", "--length", "0").status == 2


@pytest.mark.parametrize("command", ["set", "create", "put", "update"])
def test_a_value_given_as_an_argument_is_refused_and_not_quoted(program: Program, command: str) -> None:
    done = program(command, "a", CANARY)

    assert done.status == 2
    assert "A value is never an argument" in done.complaint
    assert CANARY not in done.stderr
    assert not (program.home / ".local").exists()


def test_json_may_stand_behind_a_command_for_errors_too(program: Program) -> None:
    done = program("get", "a", "--json")

    assert (done.status, json.loads(done.stderr)["error"]) == (3, "not_found")


def test_a_prompt_names_the_secret(program: Program) -> None:
    with program.on_terminal("create", "db/password") as terminal:
        terminal.wait_for("Value of db/password: ")
        terminal.type("hunter2\n")
        terminal.wait_for("Repeat for confirmation: ")
        terminal.type("hunter2\n")
        assert terminal.wait_for_end() == 0

    assert "hunter2" not in terminal.transcript
    assert program("get", "db/password", "--raw").stdout == b"hunter2"
