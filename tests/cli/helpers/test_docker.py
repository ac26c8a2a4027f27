"""Docker's credential helper, by its protocol and by programs that use one."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.helpers.guarded_folder import SCRIPTS_PATH, served
from tests.cli.program import Program

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
    for operation, given, told in (
        ("get", " \n", "no credentials server URL"),
        ("store", '{"ServerURL": "", "Username": "u", "Secret": "p"}', "no credentials server URL"),
        ("store", '{"ServerURL": "r", "Username": "", "Secret": "p"}', "no credentials username"),
        ("store", '{"kanarie": ', "a JSON object"),
        ("store", '{"ServerURL": "\\ud800", "Username": "u", "Secret": "kanarie"}', "a JSON object"),
        ("get", "half", "the account at half has no password"),
        ("fetch", "", "unknown operation"),
    ):
        done = program("helper", "docker", operation, stdin=given.encode())
        assert done.status == 1
        assert done.text.startswith(told)
        assert "kanarie" not in done.text + done.stderr
    away = program("--socket", "/nowhere/socket", "helper", "docker", "get", stdin=b"registry")
    assert (away.status, "/nowhere/socket" in away.text) == (1, True)


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
