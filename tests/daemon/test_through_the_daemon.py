"""Commands, and programs with `backend = "daemon"`, keep their secrets where the daemon does: in one store, by one
policy, in one audit log."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from secrets_actor import AccessDenied, DaemonClientSettings, SecretNotFound, Settings, start
from tests.backends.aws.backend_rig import FOUND, sent
from tests.cli.program import Program
from tests.daemon.rig import configuration
from tests.servers.behaviours import Hang
from tests.servers.daemon import Daemon, toml
from tests.servers.faulty import FaultyServer
from tests.servers.process import ROOT

ME = f"uid:{os.geteuid()}"
ALL_BELOW_APP = {"who": [ME], "secrets": ["app/**"], "may": ["read", "write"]}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that lets us at all below app/."""
    folder = tmp_path_factory.mktemp("d")
    text = configuration(folder, f"unix:{folder}/s", daemon={"allow": [ALL_BELOW_APP]})
    with Daemon(folder, text, count=1) as one:
        yield one


def socket_of(daemon: Daemon) -> Path:
    return daemon.configuration.parent / "s"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program without any configuration."""
    return Program(tmp_path / "home")


@pytest.fixture
def asking(daemon: Daemon, tmp_path: Path) -> Program:
    """The program, with the daemon's own configuration."""
    return Program(tmp_path / "home").with_settings(SECRETS_ACTOR_CONFIG=str(daemon.configuration))


def audited(daemon: Daemon, name: str) -> list[tuple[str, str]]:
    """(operation, outcome) of the daemon's audit records about the secret *name*."""
    daemon.wait_for_line(f'"secret_id": "{name}"')  # they are written a moment after the answer
    records = [json.loads(line) for line in daemon.stderr if line.startswith("{")]
    return [(one["operation"], one["outcome"]) for one in records if one.get("secret_id") == name]


def test_the_life_of_a_secret_through_a_daemon(program: Program, daemon: Daemon) -> None:
    def asked(*arguments: str, stdin: bytes = b"") -> bytes:
        done = program("--socket", str(socket_of(daemon)), *arguments, stdin=stdin)
        assert (done.status, done.stderr) == (0, ""), done
        return done.stdout

    asked("create", "app/life", "--tag", "k=v", stdin=b"one")
    asked("set", "app/life", stdin=b"two")
    asked("tag", "app/life", "x=y")
    asked("rotate", "app/life", "--generate", "password", "--length", "11")
    assert len(asked("get", "app/life", "--raw")) == 11
    assert asked("get", "app/life", "--raw", "--stage", "AWSPREVIOUS") == b"two"
    assert len(json.loads(asked("history", "app/life", "--json"))) == 3
    assert json.loads(asked("describe", "app/life", "--json"))["tags"] == {"k": "v", "x": "y"}
    assert [one["name"] for one in json.loads(asked("list", "--prefix", "app/life", "--json"))] == ["app/life"]
    asked("delete", "app/life")
    asked("restore", "app/life")
    asked("delete", "app/life", "--force")

    assert not (program.home / ".local").exists()  # no store of the user's own was made
    assert audited(daemon, "app/life")[0] == ("create", "ok")


def test_a_daemon_of_the_configuration_is_found_and_can_be_gone_past(asking: Program, daemon: Daemon) -> None:
    assert asking("set", "app/found", stdin=b"v").status == 0
    before = audited(daemon, "app/found")
    past = asking("--no-daemon", "get", "app/found", "--raw")  # by the files of the same store

    assert (past.stdout, audited(daemon, "app/found")) == (b"v", before)
    assert [outcome for _, outcome in before] == ["ok"]


def test_what_the_policy_does_not_allow_is_told_in_its_own_words(asking: Program, daemon: Daemon) -> None:
    done = asking("get", "other")

    assert done.status == 4
    assert "may not get other: no rule allows it" in done.complaint
    assert audited(daemon, "other") == [("get", "access_denied")]


def test_the_doctor_tells_of_the_daemon(asking: Program, daemon: Daemon) -> None:
    lines = asking("--json", "doctor", "--prefix", "app/").text.splitlines()
    found = {one["check"]: one for one in map(json.loads, lines)}

    assert [one["verdict"] for one in found.values()] == ["ok"] * 4
    assert str(socket_of(daemon)) in found["daemon"]["fact"]
    assert "--no-daemon" in found["daemon"]["fact"]
    assert found["get"]["fact"] == "allowed, for what begins with app/"


def test_a_socket_that_was_left_behind_is_passed_over_unless_it_is_named(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with FaultyServer(Hang(), path=path):
        pass
    (tmp_path / "daemon.toml").write_text(configuration(tmp_path, f"unix:{path}"))
    own = program.with_settings(SECRETS_ACTOR_CONFIG=str(tmp_path / "daemon.toml"))

    assert own("set", "a", stdin=b"v").status == 0
    assert (tmp_path / "store" / "secrets.db").is_file()
    named = program("--socket", str(path), "get", "a")
    assert named.status == 5
    assert "'secrets-actor run' starts it" in named.complaint


@pytest.mark.slow
def test_a_daemon_that_hangs_is_an_error_and_no_reason_to_use_another_store(program: Program, tmp_path: Path) -> None:
    path = tmp_path / "s"
    (tmp_path / "daemon.toml").write_text(configuration(tmp_path, f"unix:{path}"))
    with FaultyServer(Hang(), path=path):
        done = program.with_settings(SECRETS_ACTOR_CONFIG=str(tmp_path / "daemon.toml"))("set", "a", stdin=b"v")

    assert done.status == 5
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--socket", "/x", "--no-daemon", "list"), "give one of them"),
        (("--socket", "/x", "store", "verify"), "run it as the daemon's user"),
        (("--socket", "/x", "get", "a", "--ask-passphrase"), "a daemon has opened its own already"),
    ],
)
def test_what_does_not_go_with_a_daemon_is_refused(program: Program, arguments: tuple[str, ...], told: str) -> None:
    done = program(*arguments)

    assert done.status == 2
    assert told in done.complaint


def test_a_program_has_its_secrets_from_the_daemon(daemon: Daemon) -> None:
    client = DaemonClientSettings(address=f"unix:{socket_of(daemon)}")
    with start(Settings(backend="daemon", daemon_client=client)) as system:
        made = system.secrets.set("app/program", "hunter2")
        found = system.secrets.get("app/program", refresh=True)

        assert (found.reveal(), found.version_id) == ("hunter2", made.version_id)
        assert found.origin == f"unix:{socket_of(daemon)}"
        assert system.secrets.get_many(["app/program", "app/none"]).found["app/program"].reveal() == "hunter2"
        for name, error in (("other", AccessDenied), ("app/none", SecretNotFound)):
            with pytest.raises(error):
                system.secrets.get(name)


# As a web server with workers does it: fork first, then start, and all ask at the same moment.
_PREFORK = """
import os, sys
import secrets_actor
from secrets_actor import DaemonClientSettings, Settings

settings = Settings(backend="daemon", ttl_seconds=0, daemon_client=DaemonClientSettings(address=sys.argv[1]))
workers, ready, go = [], os.pipe(), os.pipe()
for _ in range(16):
    worker = os.fork()
    if worker == 0:
        status = 1
        try:
            os.close(go[1])
            with secrets_actor.start(settings) as system:
                os.write(ready[1], b".")
                os.read(go[0], 1)
                found = [system.secrets.get("a").reveal() for _ in range(3)]
                status = 0 if found == ["found"] * 3 else 2
        finally:
            os._exit(status)
    workers.append(worker)
for _ in workers:
    os.read(ready[0], 1)
os.close(go[1])
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers))
"""


def test_sixteen_workers_of_a_server_are_one_question_to_aws(tmp_path: Path) -> None:
    with FaultyServer(FOUND) as aws:
        text = toml(
            {
                "backend": "aws_secrets_manager",
                "aws": {"region": "us-east-1", "endpoint_url": aws.url, "access_key": "AKIDEXAMPLE"}
                | {"secret_key": {"env": "UPSTREAM"}},
                "daemon": {"listen": [{"address": f"unix:{tmp_path}/s"}]},
            }
        )
        with Daemon(tmp_path, text, count=1, environment={"UPSTREAM": "secret"}):
            done = subprocess.run(
                [sys.executable, "-c", _PREFORK, f"unix:{tmp_path}/s"],
                cwd=ROOT,
                timeout=100,
                capture_output=True,
                check=False,
            )

        assert (done.returncode, done.stderr) == (0, b"")
        assert [action for action, _ in sent(aws)] == ["GetSecretValue"]
