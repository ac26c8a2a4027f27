"""Docker's credential helper, by its protocol and by programs that use one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from secrets_actor.errors import LimitExceeded
from secrets_actor.faces.aws_api import AwsApi
from secrets_actor.faces.identity import Identity
from tests.cli.helpers.guarded_folder import SCRIPTS_PATH, served
from tests.cli.program import Program
from tests.faces.served import served as served_by
from tests.faces.served_system import served_system

HUB = "https://index.docker.io/v1/"


def test_an_account_is_stored_listed_given_and_erased(program: Program) -> None:
    def ask(operation: str, given: str = "") -> tuple[int, str]:
        done = program("helper", "docker", operation, stdin=given.encode())
        return done.status, done.text

    unknown = (1, "credentials not found in native keychain\n")
    assert ask("list", "unused") == (0, "{}\n")
    assert ask("get", HUB) == unknown
    account = {"ServerURL": HUB, "Username": "u", "Secret": "p"}
    assert ask("store", json.dumps(account)) == (0, "")
    assert ask("store", json.dumps({"ServerURL": "registry:5000", "Username": "<token>", "Secret": "t"})) == (0, "")
    program("set", "docker/no=2address", stdin=b"x")
    program("set", "docker/bytes", "--value-file", "-", stdin=b"\xff")  # two that are no accounts, but are there
    program("set", "docker/list", stdin=b'{"username": []}')

    status, found = ask("get", f"{HUB}\n")
    assert (status, json.loads(found)) == (0, account)
    status, found = ask("list")
    assert (status, json.loads(found)) == (0, {HUB: "u", "registry:5000": "<token>"})
    program("set", "docker/alone", stdin=b"token")  # a value by hand
    assert json.loads(ask("get", "alone")[1]) == {"ServerURL": "alone", "Username": "", "Secret": "token"}
    assert ask("erase", HUB) == (0, "")
    assert ask("erase", HUB) == (0, "")
    assert ask("get", HUB) == unknown


def test_what_is_wrong_is_on_standard_output_in_the_texts_that_docker_knows(program: Program) -> None:
    program("set", "docker/half", stdin=b'{"username": "kanarie", "password": null}')
    program("set", "docker/bytes", "--value-file", "-", stdin=b"kanarie\xff")
    for operation, given, told in (
        ("get", " \n", "no credentials server URL"),
        ("store", '{"ServerURL": "", "Username": "u", "Secret": "p"}', "no credentials server URL"),
        ("store", '{"ServerURL": "r", "Username": "", "Secret": "p"}', "no credentials username"),
        ("store", '{"kanarie": ', "a JSON object"),
        ("store", '{"ServerURL": "\\ud800", "Username": "u", "Secret": "kanarie"}', "a JSON object"),
        ("store", '{"ServerURL": null, "Username": "u", "Secret": "kanarie"}', "a JSON object"),
        ("store", '{"ServerURL": "r", "Username": "u", "Secret": ["kanarie"]}', "a JSON object"),
        ("store", '{"ServerURL": "r", "Username": "u", "Secret": "kanarie\\ud800"}', "a JSON object"),
        ("store", '["kanarie"]', "a JSON object"),
        ("store", "[" * 100_000, "a JSON object"),
        ("get", "half", "docker/half has no password"),
        ("get", "bytes", "docker/bytes is binary"),
        ("fetch", "", "unknown operation"),
    ):
        done = program("helper", "docker", operation, stdin=given.encode())
        assert done.status == 1
        assert done.text.startswith(told)
        assert "kanarie" not in done.text + done.stderr
    away = program("--socket", "/nowhere/socket", "helper", "docker", "get", stdin=b"registry")
    assert (away.status, "/nowhere/socket" in away.text) == (1, True)


def test_a_list_that_would_lack_accounts_is_an_error(program: Program, tmp_path: Path) -> None:
    with served_system() as system:
        face = AwsApi(system.service, lambda request: Identity(request.peer, "ci"))
        for number in range(21):  # the store is asked for 20 at a time
            system.store.put(f"docker/{number}", '{"username": "u", "password": "p"}')
        with served_by(face.answer, tmp_path) as listener:
            socket = listener.place.removeprefix("unix:")
            for error, status, told in ((LimitExceeded("too many"), 1, "too many"), (None, 0, '"20":')):
                if error is not None:
                    system.store.fail_next(error, operation="get_many")
                done = program("--socket", socket, "helper", "docker", "list")
                assert (done.status, told in done.text) == (status, True), done.text


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["docker", "podman"])
def test_the_tools_themselves_log_in_and_out(tool: str, program: Program, tmp_path: Path) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed, and no registry of Python's has it")
    logins = program.home / ".docker/config.json"
    logins.parent.mkdir(parents=True)
    (tmp_path / "registry/v2").mkdir(parents=True)
    user = program.with_settings(PATH=SCRIPTS_PATH, REGISTRY_AUTH_FILE=str(logins))

    def run(*arguments: str, stdin: str = "") -> str:
        return subprocess.run(
            [tool, *arguments], env=user.environment, cwd=tmp_path, input=stdin, text=True, capture_output=True,
            timeout=60, check=True,
        ).stdout  # fmt: skip

    with served(tmp_path / "registry") as address:
        # podman takes no notice of `credsStore`, and writes the password into the file.
        logins.write_text(json.dumps({"credHelpers": {address: "secrets-actor"}}))
        plain = ["--tls-verify=false"] if tool == "podman" else []
        run("login", *plain, "--username", "u", "--password-stdin", address, stdin="p\n")
        kept = f"docker/{address.replace(':', '=3A')}"
        assert json.loads(user("get", kept, "--raw").stdout) == {"username": "u", "password": "p"}
        assert '"auth":' not in logins.read_text()
        if tool == "podman":
            assert run("login", "--get-login", address) == "u\n"
        run("logout", address)
    assert user("get", kept).status == 1  # it is scheduled for deletion
