"""SIGHUP: the configuration is read anew, whole or not at all."""

import signal
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.runtime.daemon import Daemon as InProcess
from secrets_actor.testing import kill, settled
from tests.daemon.rig import PATIENCE, UnixConnection, ask, configuration
from tests.servers.daemon import Daemon

CANARY = "hunter2-must-not-show"
OWN = {"who": ["uid:0"], "secrets": ["**"], "may": ["admin"]}


def reload(daemon: Daemon, path: Path, text: str) -> dict[str, Any]:
    """Have *daemon* read *text*, and return what its status says of that."""
    before = ask(path, "/control/status").json["reload"]
    daemon.configuration.write_text(text)
    daemon.send(signal.SIGHUP)
    end = clock_now() + PATIENCE
    while clock_now() < end:
        found: dict[str, Any] | None = ask(path, "/control/status").json["reload"]
        if found != before:
            assert found is not None
            return found
    raise TimeoutError("the daemon has not read it")


def get(where: Path | int, name: str, **headers: str) -> int:
    shown = {key.replace("_", "-"): value for key, value in headers.items()}
    return ask(where, f"/secretsmanager/get?secretId={name}", headers=shown).status


def test_a_reload_changes_policy_tokens_store_and_listeners_at_once(tmp_path: Path) -> None:
    path, added, gone = (tmp_path / name for name in ("api.sock", "added.sock", "gone.sock"))
    token = tmp_path / "token"
    token.write_text("first-token")
    first = configuration(tmp_path, f"unix:{path}", f"unix:{gone}", daemon={"allow": [OWN, {**OWN, "may": ["read"]}]})
    rules = [OWN, {"who": ["token:ci"], "secrets": ["billing/*"], "may": ["get"]}]
    second = configuration(
        tmp_path / "other",
        f"unix:{path}",
        f"unix:{added}",
        daemon={"allow": rules, "token": [{"name": "ci", "value": {"file": str(token)}}]},
    )
    (tmp_path / "other").mkdir()
    with Daemon(tmp_path, first, count=2) as daemon:
        kept = UnixConnection(path)
        kept.connect()
        assert create(path, "billing/db") == 200
        assert get(path, "billing/db") == 200

        assert reload(daemon, path, second)["mistakes"] == []

        daemon.wait_for_line(f"listening on unix:{added}")
        assert not gone.exists()
        assert stat.S_ISSOCK(added.stat().st_mode)
        assert get(path, "billing/db") == 400, "it is in the former store"
        assert create(path, "billing/db") == 200
        assert get(added, "billing/db", X_Aws_Parameters_Secrets_Token="first-token") == 200
        assert get(added, "billing/db", X_Aws_Parameters_Secrets_Token="another") == 403
        kept.request("GET", "/control/status")
        assert kept.getresponse().status == 200, "a connection that was open goes on"
        kept.close()
        tree = ask(path, "/control/tree").body
        assert f"listener unix:{added}".encode() in tree
        assert f"listener unix:{gone}".encode() not in tree


def create(where: Path, name: str) -> int:
    body = f'{{"Name": "{name}", "SecretString": "value", "ClientRequestToken": "{"t" * 32}"}}'.encode()
    headers = {"X-Amz-Target": "secretsmanager.CreateSecret", "Content-Type": "application/x-amz-json-1.1"}
    return ask(where, "/", "POST", body=body, headers=headers).status


@pytest.mark.parametrize(
    ("settings", "listen", "told"),
    [
        ({"ttl_seconds": -1}, {}, ["ttl_seconds: a number from 0 to 86400"]),
        ({"ttl_seconds": 7}, {}, ["ttl_seconds: not while the daemon runs: restart it"]),
        ({}, {"mode": "0666"}, ["daemon.listen: mode of unix:{path}: not while the daemon runs: restart it"]),
    ],
)
def test_a_configuration_with_a_mistake_changes_nothing_and_is_told(
    settings: Mapping[str, Any], listen: Mapping[str, Any], told: list[str], tmp_path: Path
) -> None:
    path, added = tmp_path / "api.sock", tmp_path / "added.sock"
    rows = [{"address": f"unix:{path}", **listen}, {"address": f"unix:{added}"}]
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}"), count=1) as daemon:
        found = reload(daemon, path, configuration(tmp_path, daemon={"listen": rows}, **settings))

        told = [one.format(path=path) for one in told]
        assert found["mistakes"] == told
        daemon.wait_for_line(f"the configuration was not taken, and the one before is in force: {'; '.join(told)}")
        assert not added.exists()
        assert ask(path, "/health/ready").status == 200


def test_an_address_that_is_taken_and_a_token_that_is_missing_leave_all_as_it_was(tmp_path: Path) -> None:
    path, other = tmp_path / "api.sock", tmp_path / "other.sock"
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}"), count=1) as daemon:
        other.write_text("no socket")
        taken = configuration(tmp_path, f"unix:{path}", f"unix:{tmp_path}/new.sock", f"unix:{other}")
        [mistake] = reload(daemon, path, taken)["mistakes"]
        assert "there is a file of that name that is no socket" in mistake
        assert not (tmp_path / "new.sock").exists(), "what was opened is closed again"

        tokens = {"token": [{"name": "ci", "value": {"file": str(tmp_path / "none")}}]}
        [mistake] = reload(daemon, path, configuration(tmp_path, f"unix:{path}", daemon=tokens))["mistakes"]
        assert mistake.startswith("daemon: token ci: ")
        assert ask(path, "/health/ready").status == 200


def test_a_reload_finds_listeners_in_place_even_if_their_supervisor_was_just_killed(tmp_path: Path) -> None:
    path, added = tmp_path / "api.sock", tmp_path / "added.sock"
    text = tmp_path / "daemon.toml"
    text.write_text(configuration(tmp_path, f"unix:{path}"))
    daemon = InProcess(text, say=lambda _: None, environ={})
    daemon.start()
    try:
        text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{added}"))
        kill(daemon.system, "listeners")
        assert daemon.reload()
        settled(daemon.system)
        assert [ask(where, "/health/live").status for where in (path, added)] == [200, 200]
    finally:
        daemon.stop()


def test_after_a_restart_of_the_core_the_listeners_are_those_of_the_reload(tmp_path: Path) -> None:
    """`faces` is started again after `core`, and must not go back to the first configuration."""
    path, added, gone = (tmp_path / name for name in ("api.sock", "added.sock", "gone.sock"))
    text = tmp_path / "daemon.toml"
    text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{gone}"))
    daemon = InProcess(text, say=lambda _: None, environ={})
    daemon.start()
    try:
        text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{added}"))
        assert daemon.reload()
        kill(daemon.system, "core")
        ids = {node.id for node in settled(daemon.system).root.walk()}
        assert {one for one in ids if one.startswith("listener ")} == {
            f"listener unix:{path}",
            f"listener unix:{added}",
        }
        assert [ask(where, "/health/live").status for where in (path, added)] == [200, 200]
    finally:
        daemon.stop()
    assert not added.exists()
