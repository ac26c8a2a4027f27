"""The policy of a running daemon, for callers that are other users: what each may do, and what the audit log says."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.parse import quote

import pytest

from secrets_actor.backends.local.entry_codec import ARN_PREFIX, FORMER_ARN_PREFIX
from tests.actor.rig import eventually
from tests.cli.program import Program
from tests.daemon.rig import ask, configuration
from tests.forking import in_child
from tests.needs import AS_ROOT
from tests.servers.daemon import Daemon

pytestmark = AS_ROOT

BILLING, WEB, STRANGER = 12001, 12002, 12003
WEB_GROUP: Final = 4321
RULES: Final = [
    {"who": ["uid:0"], "secrets": ["**"], "may": ["admin"]},
    {"who": [f"uid:{BILLING}"], "secrets": ["billing/*"], "may": ["get", "describe"]},
    {"who": [f"gid:{WEB_GROUP}"], "secrets": ["shared/*"], "may": ["read"]},
]


def ask_as(uid: int, path: Path, target: str, gid: int = 12000) -> tuple[int, int, str]:
    """The pid of a process of this user that asks for *target*, and the status and body of its answer."""

    def ask_alone() -> str:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        answer = ask(path, target)
        return json.dumps([os.getpid(), answer.status, answer.body.decode()])

    pid, status, body = json.loads(in_child(ask_alone))
    return pid, status, body


def get(secret_id: str) -> str:
    return f"/secretsmanager/get?secretId={quote(secret_id, safe='')}"


def create(path: Path, name: str) -> str:
    """Create a secret, as root, and return its ARN."""
    token = f"{name.replace('/', '-'):0<36}"
    body = json.dumps({"Name": name, "SecretString": "hunter2", "ClientRequestToken": token}).encode()
    headers = {"X-Amz-Target": "secretsmanager.CreateSecret", "Content-Type": "application/x-amz-json-1.1"}
    made = ask(path, "/", "POST", body=body, headers=headers)
    assert made.status == 200, made.body
    arn: str = made.json["ARN"]
    return arn


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path / "home")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users may go through, which those of pytest are not."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


def rules(folder: Path, path: Path, allow: list[dict[str, Any]]) -> str:
    listen = [{"address": f"unix:{path}", "mode": "0666"}]
    log = {"output": str(folder / "daemon.log")}
    return configuration(folder, daemon={"listen": listen, "allow": allow}, log=log)


def test_each_user_may_do_what_the_rules_say_and_the_audit_log_says_who_it_was(folder: Path) -> None:
    path = folder / "api.sock"
    with Daemon(folder, rules(folder, path, RULES), count=1) as daemon:
        billing, shared = create(path, "billing/db"), create(path, "shared/smtp")
        pids = {}
        former = billing.replace(ARN_PREFIX, FORMER_ARN_PREFIX)
        for form in ("billing/db", billing, billing[:-7], former, former[:-7]):
            pids[form], status, body = ask_as(BILLING, path, get(form))
            assert (status, json.loads(body)["SecretString"]) == (200, "hunter2")
            status, body = ask_as(WEB, path, get(form), WEB_GROUP)[1:]
            assert (status, "hunter2" in body) == (403, False)
        elsewhere = billing.replace("us-east-1", "eu-west-1")
        assert ask_as(BILLING, path, get(elsewhere))[1] == 403
        status, body = ask_as(WEB, path, get(shared), WEB_GROUP)[1:]
        assert status == 200
        refusals = {uid: ask_as(uid, path, get("shared/smtp")) for uid in (BILLING, WEB, STRANGER)}
        assert {(status, "hunter2" in body) for _, status, body in refusals.values()} == {(403, False)}
        assert ask_as(BILLING, path, "/control/tree")[1] == 403

        changed = [{**RULES[1], "secrets": ["other/*"]}]
        daemon.configuration.write_text(rules(folder, path, [RULES[0], *changed]))
        daemon.send(signal.SIGHUP)
        eventually(lambda: ask_as(BILLING, path, get("billing/db"))[1] == 403, "the other rules are in force")
        assert ask_as(WEB, path, get("shared/smtp"), WEB_GROUP)[1] == 403

    records = daemon.audit()
    for form, pid in pids.items():
        [mine] = [one for one in records if one.get("caller_pid") == pid]
        assert (mine["operation"], mine["secret_id"], mine["outcome"]) in (
            ("get", form, "ok"),
            ("get", "billing/db", "ok"),
        )
        assert (mine["caller_uid"], mine["caller_by"]) == (BILLING, "peer")
    for uid, (pid, _, body) in refusals.items():
        [refused] = [one for one in records if one.get("caller_pid") == pid]
        told = (
            refused["operation"],
            refused["secret_id"],
            refused["outcome"],
            refused["source"],
            refused["caller_uid"],
        )
        assert told == ("get", "shared/smtp", "access_denied", "policy", uid)
        assert f"uid:{uid} may not get shared/smtp: no rule allows it" in body
    assert "hunter2" not in daemon.log.read_text()


def test_policy_check_says_what_the_daemon_does(folder: Path, program: Program) -> None:
    path = folder / "api.sock"
    with Daemon(folder, rules(folder, path, RULES), count=1) as daemon:
        for name in ("billing/db", "billing/a/b", "shared/smtp"):
            create(path, name)
        for uid, gid in ((BILLING, 12000), (WEB, WEB_GROUP), (STRANGER, 12000)):
            for name in ("billing/db", "billing/a/b", "shared/smtp"):
                terms = f"uid:{uid}+gid:{gid}"
                checked = program("--config", str(daemon.configuration), "policy", "check", "--as", terms, "get", name)
                assert (ask_as(uid, path, get(name), gid)[1] == 200) is (checked.status == 0), (uid, name)
