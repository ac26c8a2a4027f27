"""The daemon of the README: its configuration, its profile and its commands, with other places and another port."""

import json
import os
import pwd
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.cli.program import Program
from tests.daemon.rig import ask, port_of
from tests.examples import PAGES
from tests.servers.daemon import Daemon
from tests.servers.process import ROOT

README: Final = PAGES["README.md"]
SOCKET: Final = "/run/secrets-actor/api.sock"
GET: Final = "/secretsmanager/get?secretId="
NOT_OURS: Final = ("other/db", "other/no-such")
# What a program does that knows of AWS only.
PROGRAM: Final = """
import boto3, json, sys
client = boto3.client("secretsmanager")
found = [client.get_secret_value(SecretId="billing/db")["SecretString"]]
for name in ("other/db", "other/no-such"):
    try:
        client.get_secret_value(SecretId=name)
    except client.exceptions.ClientError as error:
        found.append([error.response["Error"]["Code"], error.response["Error"]["Message"]])
print(json.dumps(found))
"""


def block(language: str, part: str) -> str:
    """The only block of the README in *language* that has *part* in it."""
    [found] = [text for text in re.findall(rf"^```{language}\n(.*?)```$", README, re.M | re.S) if part in text]
    return str(found)


def replaced(text: str, **pairs: tuple[str, object]) -> str:
    for old, new in pairs.values():
        assert old in text, f"the README does not have {old} any more"
        text = text.replace(old, str(new))
    return text


def test_the_configuration_the_profile_and_the_commands_do_what_is_said(tmp_path: Path) -> None:
    path, home = tmp_path / "made" / "api.sock", tmp_path / "home"
    configuration = replaced(
        block("toml", "[[daemon.listen]]"),
        socket=(SOCKET, path),
        port=("127.0.0.1:2773", "127.0.0.1:0"),
        # This test may run as any user, so the rule for root is one for nobody here: it would allow all.
        group=("group:billing", f"gid:{os.getegid()}"),
        root=('"uid:0"', '"uid:4242"'),
    )
    log = tmp_path / "daemon.log"
    program = Program(home)
    with Daemon(tmp_path, f'{configuration}\n[log]\noutput = "{log}"\n', count=2) as daemon:
        for name in ("billing/db", "other/db"):
            assert program("--no-daemon", "set", name, stdin=f"value of {name}".encode()).status == 0
        asking = program.with_settings(SECRETS_ACTOR_CONFIG=str(daemon.configuration))

        [line] = re.findall(r"^secrets-actor --config daemon.toml (policy check .*?) +#", README, re.M)
        allowed = asking(*shlex.split(line))
        assert (allowed.status, "daemon.allow[0] allows it" in allowed.text) == (0, True)
        assert asking(*shlex.split(line.replace("get billing/db", "get other/db"))).status == 1

        assert asking("get", "--raw", "billing/db").stdout == b"value of billing/db"
        refused = asking("get", "other/db")
        assert (refused.status, "may not get other/db: no rule allows it" in refused.stderr) == (4, True)
        assert f"http://localhost{GET}" in README
        assert ask(path, f"{GET}billing/db").json["SecretString"] == "value of billing/db"
        assert ask(port_of(daemon), f"{GET}billing/db").status == 403, "over TCP, nothing says who asks"

        assert through_boto3(tmp_path, asking, port_of(daemon)) == [
            "value of billing/db",
            *(["AccessDeniedException", f"{caller()} may not get {name}: no rule allows it"] for name in NOT_OURS),
        ]
        records = daemon.audit()

    minted = [one for one in records if one.get("caller_by") == "minted"]
    assert [(one["operation"], one["secret_id"], one["outcome"], one["source"]) for one in minted] == [
        ("get", "billing/db", "ok", "cache"),
        *(("get", name, "access_denied", "policy") for name in NOT_OURS),
    ]
    assert {one["caller_uid"] for one in minted} == {os.getuid()}


def caller() -> str:
    """How the daemon calls a process of this user."""
    return f"user:{pwd.getpwuid(os.getuid()).pw_name}"


def through_boto3(folder: Path, asking: Program, port: int) -> list[object]:
    """What a program of boto3's finds by the profile of the README."""
    (folder / "config").write_text(
        replaced(block("ini", "[profile secrets]"), port=("127.0.0.1:2773", f"127.0.0.1:{port}"))
    )
    command = folder / "bin" / "secrets-actor"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m secrets_actor "$@"\n')
    command.chmod(0o755)
    environment = {
        **asking.environment,
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_PROFILE": "secrets",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))
