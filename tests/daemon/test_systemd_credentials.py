"""LoadCredential= of units, in a real systemd, from the socket of our daemon."""

import json
import os
import re
import signal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from secrets_actor import LocalSettings, Settings, start
from secrets_actor.faces.systemd_credentials import MOST_CHARACTERS
from secrets_actor.runtime.settings_loader import load
from tests.architecture.house import ROOT
from tests.cli.program import Program
from tests.daemon.rig import ask, configuration
from tests.daemon.systemd_rig import UserSystemd, our_unit
from tests.daemon.test_systemd import UNIT, install
from tests.faces.served import eventually
from tests.faces.systemd_client import MIB, Manager, asked_by
from tests.forking import in_child
from tests.needs import AS_ROOT
from tests.servers.behaviours import Answer, Hang
from tests.servers.daemon import Daemon
from tests.servers.faulty import FaultyServer

SOCKET = "secrets-actor-credentials.socket"
ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db/slow-AbCdEf"


class Units:
    """Units that copy their credentials out of the folder that only they can see."""

    def __init__(self, systemd: UserSystemd, folder: Path, socket: Path) -> None:
        self._systemd, self._folder, self._socket = systemd, folder, socket

    def start(self, unit: str, *credentials: str, more: str = "") -> tuple[str, dict[str, bytes]]:
        """Start *unit*: its ExecMainStatus, and what was in its files."""
        said = self.begin(unit, *credentials, more=more, block=True)
        found = {path.name: path.read_bytes() for path in said.iterdir()}
        return self._systemd.show(unit, "ExecMainStatus"), found

    def begin(self, unit: str, *credentials: str, more: str = "", block: bool = False) -> Path:
        """Have *unit* started, and wait for that with *block*: the folder that its files are copied to."""
        said = self._folder / f"{unit}.said"
        said.mkdir()
        loads = "".join(f"LoadCredential={one}:{self._socket}\n" for one in credentials)
        run = f"ExecStart=/bin/sh -c 'cp $CREDENTIALS_DIRECTORY/* {said}'\n"
        template = unit if "@" not in unit else f"{unit.partition('@')[0]}@.service"
        self._systemd.unit(template, f"[Service]\nType=oneshot\n{loads}{more}{run}")
        how = [] if block else ["--no-block"]
        self._systemd("systemctl", "--user", "start", *how, unit, check=False)
        return said


def records(log: Path) -> list[tuple[str, str, str | None, str]]:
    """The audit records of gets: the unit, the secret, the outcome."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if '"audit"' in line]
    return [
        (one.get("caller_unit") or one["caller_user_unit"], one["operation"], one["secret_id"], one["outcome"])
        for one in lines
        if one.get("caller_by") == "manager"
    ]


def test_the_examples_load_and_the_socket_unit_belongs_to_them(tmp_path: Path) -> None:
    unit = (ROOT / "config" / SOCKET).read_text()
    page = (ROOT / "config" / "delivery.md").read_text().split("## systemd credentials")[1].split("\n## ")[0]
    shown = tmp_path / "shown.toml"
    shown.write_text("\n".join(re.findall(r"```toml\n(.*?)```", page, re.S)))
    ready = tmp_path / "ready.toml"
    ready.write_text(re.sub(r"^# (?=\[\[|\w+ = )", "", (ROOT / "config" / "daemon.toml").read_text(), flags=re.M))
    (tmp_path / "local.key").write_bytes(b"k" * 32)

    for path in (shown, ready):
        daemon = load(path, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).settings.daemon
        assert daemon is not None
        [listen] = [one for one in daemon.listen if one.faces == ("systemd",)]
        assert f"systemd:{re.findall('^FileDescriptorName=(.*)$', unit, re.M)[0]}" == listen.address
    [path_there] = re.findall("^ListenStream=(.*)$", unit, re.M)
    assert f"LoadCredential=billing~db:{path_there}" in page
    assert f"Service={UNIT}" in unit
    assert "SocketMode=0600" in unit


@pytest.mark.slow
def test_a_unit_gets_its_secrets_and_one_that_is_refused_does_not_start(systemd: UserSystemd, tmp_path: Path) -> None:
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system:
        system.secrets.set("db/password", "hunter2")
        system.secrets.set("db/login", '{"user": "deploy"}')
        system.secrets.set("certs/7", b"\0\1\2" * 20_000)
    api, path, log = tmp_path / "api.sock", tmp_path / "credentials.sock", tmp_path / "audit.log"
    rules = [
        {"who": [asked_by("app.service")], "secrets": ["db/*"], "may": ["get"]},
        {"who": ["unit:web@.service"], "secrets": ["certs/*"], "may": ["get"]},
        {"who": ["user:root"], "secrets": ["**"], "may": ["admin"]},
    ]
    rows = [{"unit": "web@*.service", "credential": "key", "secret": "certs/{instance}"}]
    listen = [{"address": f"unix:{api}"}, {"address": f"unix:{path}", "faces": ["systemd"]}]
    more = {"listen": listen, "systemd_credential": rows, "allow": rules}
    install(systemd, tmp_path, configuration(tmp_path, daemon=more, log={"output": str(log), "audit_hits": "each"}))
    units = Units(systemd, tmp_path, path)
    assert units.start("early.service", "db~password") == ("243", {}), "there is no daemon yet"
    systemd("systemctl", "--user", "start", UNIT)

    pre = "ExecStartPre=/bin/true\n"
    assert units.start("app.service", "db~password", "db~login#user", more=pre) == (
        "0",
        {"db~password": b"hunter2", "db~login#user": b"deploy"},
    )
    assert units.start("web@7.service", "key") == ("0", {"key": b"\0\1\2" * 20_000})
    assert units.start("other.service", "db~password") == ("243", {})
    assert units.start("web@8.service", "key") == ("243", {}), "there is no such secret"
    long = "x" * (MOST_CHARACTERS - len("long.service"))
    assert units.start("long.service", long)[0] == "243", "the daemon is asked, and refuses"
    assert units.start("much-longer.service", long)[0] == "243", "systemd cannot even ask"
    [listener] = [one for one in ask(api, "/control/status").json["listeners"] if one["address"] == f"unix:{path}"]
    pid = int(systemd.show(UNIT, "MainPID"))
    os.kill(pid, signal.SIGSTOP)
    units.begin("waits.service", "db~password")
    assert eventually(lambda: "/unit/waits.service/db~password" in Path("/proc/net/unix").read_text())
    os.kill(pid, signal.SIGKILL)
    systemd.wait_for("waits.service", ExecMainStatus="243")  # what was not accepted yet is no empty credential
    systemd("systemctl", "--user", "stop", UNIT)
    assert units.start("late.service", "db~password") == ("243", {}), "there is no daemon any more"

    assert listener["faces"] == ["systemd"]
    assert listener["up"]
    asked = records(log)
    assert sorted(set(asked)) == [
        ("app.service", "get", "db/login", "ok"),
        ("app.service", "get", "db/password", "ok"),
        ("long.service", "get", long, "access_denied"),
        ("other.service", "get", "db/password", "access_denied"),
        ("web@7.service", "get", "certs/7", "ok"),
        ("web@8.service", "get", "certs/8", "not_found"),
    ]
    assert asked.count(("app.service", "get", "db/password", "ok")) == 2, "once for each process of the unit"


@pytest.mark.slow
def test_a_slow_store_delays_a_unit_and_one_that_says_nothing_keeps_it_from_starting(
    systemd: UserSystemd, tmp_path: Path
) -> None:
    facts = {
        "ARN": ARN,
        "Name": "db/slow",
        "VersionId": "1" * 32,
        "SecretString": "late",
        "VersionStages": ["AWSCURRENT"],
    }
    body = json.dumps({**facts, "CreatedDate": 1.0}).encode()
    path, log = tmp_path / "credentials.sock", tmp_path / "audit.log"
    with FaultyServer(Answer(body, drip=0.005, last=True), Hang()) as server:
        place = {"file": str(tmp_path / "key")}
        (tmp_path / "key").write_text("AKIDEXAMPLE")
        install(
            systemd,
            tmp_path,
            configuration(
                tmp_path,
                daemon={
                    "listen": [{"address": "systemd:credentials", "faces": ["systemd"]}],
                    "allow": [
                        {"who": ["unit:slow.service", "unit:never.service"], "secrets": ["db/*"], "may": ["get"]}
                    ],
                },
                backend="aws_secrets_manager",
                aws={"region": "eu-west-1", "endpoint_url": server.url, "access_key": place, "secret_key": place},
                call_timeout_seconds=3.0,
                log={"output": str(log)},
            ),
        )
        systemd.unit(SOCKET, our_unit(SOCKET, {"ListenStream": str(path)}))
        systemd("systemctl", "--user", "start", SOCKET)
        units = Units(systemd, tmp_path, path)
        assert systemd.show(UNIT, "ActiveState") == "inactive", "the first unit starts it"

        assert units.start("slow.service", "db~slow") == ("0", {"db~slow": b"late"})
        assert units.start("never.service", "db~other") == ("243", {})

    slow, (*never, outcome) = records(log)
    assert slow == ("slow.service", "get", "db/slow", "ok")
    assert never == ["never.service", "get", "db/other"]
    assert outcome in ("deadline_exceeded", "backend_timeout")


@pytest.mark.slow
@AS_ROOT
def test_a_running_daemon_changes_its_rows_and_faces_and_knows_its_manager_from_another_user() -> None:
    with TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o711)  # another user gets through it, which those of pytest do not let in
        with start(Settings(local=LocalSettings(path=folder / "store"))) as system:
            system.secrets.set("a/x", "first")
            system.secrets.set("b/x", "second")
        path, api = folder / "credentials.sock", folder / "api.sock"

        def text(secret: str, *, swapped: bool = False) -> str:
            faces = [["systemd"], ["health"]]
            listen = [
                {"address": f"unix:{one}", "mode": "0666", "faces": face}
                for one, face in zip((path, api), reversed(faces) if swapped else faces, strict=True)
            ]
            rows = [{"secret": secret}]
            allow = [{"who": ["unit:web.service"], "secrets": ["*/*"], "may": ["get"]}]
            allow.append({"who": ["uid:0"], "secrets": ["**"], "may": ["admin"]})
            more = {"listen": listen, "systemd_credential": rows, "allow": allow}
            return configuration(folder, daemon=more, log={"output": str(folder / "daemon.log")})

        with Daemon(folder, text("a/{credential}"), count=2) as daemon:

            def reloaded(secret: str, *, swapped: bool = False) -> bool:
                """Whether the daemon goes by these rows in time."""
                daemon.configuration.write_text(text(secret, swapped=swapped))
                daemon.send(signal.SIGHUP)
                where, expected = api if swapped else path, b"second" if secret.startswith("b") else b"first"
                return eventually(lambda: Manager(f"unix:{where}", "web.service", "x").read() == expected)

            program = Program(folder / "home")
            assert Manager(f"unix:{path}", "web.service", "x").read() == b"first"
            shown = program("--config", str(daemon.configuration), "status")
            assert shown.status == 0, "it is not asked where only systemd is"
            assert f"unix:{path} (systemd;" in shown.text
            assert reloaded("b/{credential}")
            assert int(in_child(lambda: length_for(12001, path))) > MIB
            assert reloaded("a/{credential}", swapped=True)
            assert eventually(lambda: ask(path, "/health/live").status == 200)
        records = daemon.audit()
        [proof] = [one for one in records if one["source"] == "proof"]
        told = [json.loads(line) for line in daemon.log.read_text().splitlines() if '"credential_refused"' in line]

    assert (proof["operation"], proof["caller_uid"], proof["outcome"]) == ("get", 12001, "access_denied")
    assert [(one["unit"], one["reason"]) for one in told] == [
        ("uid:12001", "it is no manager of units that are served here")
    ]


def length_for(uid: int, path: Path) -> str:
    """How much the user *uid* gets who plays the manager."""
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
    return str(len(Manager(f"unix:{path}", "web.service", "x").read()))
