"""Every exit code by a real cause, with one line that says what to do."""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import pytest

from secrets_actor.cli.exit_codes import EXIT_CODES
from secrets_actor.cli.main import cli
from tests.cli.program import Program
from tests.servers.account import Keys, allow_everything
from tests.servers.behaviours import Hang, html_500
from tests.servers.faulty import FaultyServer
from tests.servers.ministack import Ministack
from tests.servers.process import reserve
from tests.servers.tls import issue

SOME_KEYS = Keys("AKIASOMEBODYSOMEBODY", "somebodys/secret+key/that/nobody/looks/at")


# What is given, and a piece of what is told.
WRONG_USAGE: Final = {
    ("nonsense",): "No such command 'nonsense'. See 'secrets-actor --help'.",
    ("list", "--nonsense"): "See 'secrets-actor list --help'.",
    ("get",): "Missing argument 'NAME'. See 'secrets-actor get --help'.",
    ("delete", "a", "--recovery-window", "soon"): "not a valid integer. See 'secrets-actor delete --help'.",
    ("delete", "a", "--recovery-window", "31"): "recovery_window: 7 to 30 days",
    ("delete", "a", "--recovery-window", "7", "--force"): "no recovery window together with force",
    ("policy", "check", "--as", "uid:0", "fly", "a"): ". See 'secrets-actor policy check --help'.",
    ("get", "no name"): "ASCII letters, digits and /_+=.@- only",
    ("get", "a", "--version-id", "7"): "version_id: 32 to 64 characters",
}


def test_wrong_usage_is_2(program: Program) -> None:
    for (arguments, told), done in zip(WRONG_USAGE.items(), program.at_once(*WRONG_USAGE), strict=True):
        assert (done.status, done.stdout) == (2, b""), arguments
        assert done.complaint.startswith("secrets-actor: ")
        assert told in done.complaint


def test_a_missing_secret_is_3(program: Program) -> None:
    done = program("get", "db/password")

    assert (done.status, done.stdout) == (3, b"")
    assert "there is no secret db/password in the local store; list shows those there are" in done.complaint


@pytest.fixture
def users(fresh_ministack: Ministack) -> Keys:
    """The keys of a user who may do anything."""
    return fresh_ministack.account.user(allow_everything())


def test_a_wrong_secret_key_is_4(program: Program, fresh_ministack: Ministack, users: Keys) -> None:
    wrong = dataclasses.replace(users, secret_key=SOME_KEYS.secret_key)

    done = program.on_aws(fresh_ministack.url, wrong)("get", "db/password")

    assert done.status == 4
    assert "signature" in done.complaint
    assert users.access_key_id not in done.stderr
    assert wrong.secret_key not in done.stderr


def test_a_missing_permission_is_4(program: Program, fresh_ministack: Ministack) -> None:
    keys = fresh_ministack.account.user()

    done = program.on_aws(fresh_ministack.url, keys)("--json", "list")

    assert done.status == 4
    assert json.loads(done.complaint)["error"] == "access_denied"


def test_missing_keys_are_4(program: Program) -> None:
    done = program.with_settings(SECRETS_ACTOR_BACKEND="aws_secrets_manager", AWS_REGION="us-east-1")("list")

    assert done.status == 4
    assert "set aws.access_key or AWS_ACCESS_KEY_ID" in done.complaint


def test_a_refused_connection_is_5(program: Program) -> None:
    with reserve() as nobody:  # bound, and nobody listens
        port = nobody.getsockname()[1]
        done = program.on_aws(f"http://127.0.0.1:{port}", SOME_KEYS)("get", "db/password")

    assert done.status == 5
    assert f"127.0.0.1:{port}" in done.complaint


@pytest.fixture
def hanging() -> Iterator[FaultyServer]:
    with FaultyServer(Hang()) as server:
        yield server


def test_a_store_that_does_not_answer_in_time_is_5(program: Program, hanging: FaultyServer) -> None:
    impatient = program.on_aws(hanging.url, SOME_KEYS).with_settings(SECRETS_ACTOR_CALL_TIMEOUT_SECONDS="0.5")

    done = impatient("--json", "set", "db/password", stdin=b"hunter2")

    assert done.status == 5
    assert json.loads(done.complaint)["error"] in ("deadline_exceeded", "backend_timeout")
    assert "hunter2" not in done.stderr


def test_a_local_store_is_5_only_where_another_try_may_help(program: Program, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "copy").touch()
    program("set", "a", stdin=b"v")
    below_a_file = program.with_settings(SECRETS_ACTOR_LOCAL__PATH=str(tmp_path / "file" / "store"))

    for lasting in (below_a_file("set", "a", stdin=b"v"), program("store", "backup", str(tmp_path / "copy"))):
        assert lasting.status == 1, lasting
    full = program("--json", "store", "backup", "/dev/full/copy")
    assert (full.status, json.loads(full.complaint)["error"]) == (1, "store_unavailable")


def test_a_store_that_fails_on_its_side_is_5(program: Program) -> None:
    with FaultyServer(html_500()) as server:
        done = program.on_aws(server.url, SOME_KEYS)("list")

    assert done.status == 5
    assert "<h1>" not in done.complaint


def test_a_certificate_that_is_not_accepted_is_1_for_another_try_meets_it_again(
    program: Program, tmp_path: Path
) -> None:
    ours, theirs = issue(tmp_path / "ours"), issue(tmp_path / "theirs")
    with Ministack(tmp_path / "tls", certificates=theirs) as server:
        trusting = program.on_aws(server.url, SOME_KEYS).with_settings(AWS_CA_BUNDLE=str(ours.ca))
        done = trusting("--json", "get", "db/password")

    assert (done.status, json.loads(done.complaint)["error"]) == (1, "tls_failed")


BAD_CONFIGURATIONS: Final = {
    "backend = blue": "is not TOML: at line 1, column 11",
    "colour = 'blue'": "colour: unknown key",
    "ttl_seconds = -1\nmax_workers = 0": "ttl_seconds: a number from 0 to 86400; max_workers:",
}


def test_a_bad_configuration_is_6(program: Program, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.toml" for number in range(len(BAD_CONFIGURATIONS))]
    for file, text in zip(files, BAD_CONFIGURATIONS, strict=True):
        file.write_text(text)

    ends = program.at_once(*(("--config", str(file), "list") for file in files))

    for told, done in zip(BAD_CONFIGURATIONS.values(), ends, strict=True):
        assert done.status == 6
        assert told in done.complaint


def test_a_missing_configuration_file_is_6(program: Program, tmp_path: Path) -> None:
    done = program("--json", "--config", str(tmp_path / "missing.toml"), "list")

    assert done.status == 6
    assert json.loads(done.complaint)["error"] == "bad_configuration"


def test_a_wrong_key_file_is_6(program: Program) -> None:
    program("set", "db/password", stdin=b"hunter2")
    key = program.home / ".local" / "share" / "secrets-actor" / "key"
    right = key.read_bytes()
    key.write_bytes(os.urandom(len(right)))

    done = program("get", "db/password")

    assert done.status == 6
    assert "put the right key back" in done.complaint
    key.write_bytes(right)
    assert program("get", "db/password", "--raw").stdout == b"hunter2"


# exec hands on the exit codes of another program, and has few of its own.
@pytest.mark.parametrize("name", [None, *(one for one in cli.commands if one != "exec")])
def test_each_help_lists_every_exit_code(name: str | None) -> None:
    command: click.Command = cli if name is None else cli.commands[name]

    text = command.get_help(click.Context(command, info_name=command.name, terminal_width=200))

    assert {0, 2, 3, 4, 5, 6} < EXIT_CODES.keys()
    for code, meaning in EXIT_CODES.items():
        assert f"    {code:<3}  {meaning}" in text.splitlines()
