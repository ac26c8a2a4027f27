"""SIGHUP: the configuration is read anew, whole or not at all."""

import http.client
import signal
import ssl
import stat
import threading
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from secrets_actor.clock import now as clock_now
from secrets_actor.runtime.daemon import Daemon as InProcess
from secrets_actor.testing import kill, settled
from tests.actor.rig import eventually
from tests.daemon.rig import PATIENCE, UnixConnection, ask, configuration, port_of
from tests.servers.daemon import Daemon
from tests.threadless import no_threads

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


def test_a_daemon_that_was_started_under_nohup_reads_its_configuration_anew(tmp_path: Path) -> None:
    path, added = tmp_path / "api.sock", tmp_path / "added.sock"
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}"), count=1) as daemon:
            signal.signal(signal.SIGHUP, before)
            assert reload(daemon, path, configuration(tmp_path, f"unix:{path}", f"unix:{added}"))["mistakes"] == []
            assert added.exists()
    finally:
        signal.signal(signal.SIGHUP, before)


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


def create(where: Path, name: str, value: str = "value") -> int:
    body = f'{{"Name": "{name}", "SecretString": "{value}", "ClientRequestToken": "{"t" * 32}"}}'.encode()
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
    path, added, gone = (tmp_path / name for name in ("api.sock", "added.sock", "gone.sock"))
    text = tmp_path / "daemon.toml"
    text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{gone}"))
    daemon = InProcess(text, say=lambda _: None, environ={})
    daemon.start()
    try:
        text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{added}"))
        kill(daemon.system, "listeners")
        assert daemon.reload()
        settled(daemon.system)
        assert [ask(where, "/health/live").status for where in (path, added)] == [200, 200]
        assert not gone.exists(), "nobody serves it, and its clients would wait forever"
    finally:
        daemon.stop()


def test_a_reload_on_a_machine_without_threads_is_in_force_when_there_are_some_again(tmp_path: Path) -> None:
    path, added = tmp_path / "api.sock", tmp_path / "added.sock"
    text = tmp_path / "daemon.toml"
    text.write_text(configuration(tmp_path, f"unix:{path}"))
    daemon = InProcess(text, say=lambda _: None, environ={})
    daemon.start()
    try:
        text.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{added}"))
        with no_threads():
            assert daemon.reload()
        settled(daemon.system)
        assert [ask(where, "/health/live").status for where in (path, added)] == [200, 200]
        assert daemon.condition().ready
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


def test_nobody_reads_in_another_store_by_the_rules_for_the_one_before(tmp_path: Path) -> None:
    """Rules and store are replaced together: what only the old rules allow is not read in the new store."""
    path, configured, lines = tmp_path / "api.sock", tmp_path / "daemon.toml", list[str]()
    (tmp_path / "token").write_text("web-token")

    def write(store: str, *allow: Mapping[str, Any]) -> None:
        (tmp_path / store).mkdir(exist_ok=True)
        listen = [{"address": f"unix:{path}"}, {"address": "127.0.0.1:0"}]
        token = [{"name": "web", "value": {"file": str(tmp_path / "token")}}]
        table = {"listen": listen, "token": token, "allow": [OWN, *allow]}
        configured.write_text(
            configuration(tmp_path / store, daemon=table, log={"output": str(tmp_path / "daemon.log")})
        )

    open_to_web = {"who": ["token:web"], "secrets": ["**"], "may": ["get"]}
    write("closed")
    daemon = InProcess(configured, say=lines.append, environ={})
    daemon.start()
    [place] = [line for line in lines if line.startswith("listening on 127.0.0.1:")]
    answers = [Counter[str]() for _ in range(4)]
    over = threading.Event()

    def read(seen: Counter[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(place.rpartition(":")[2]), timeout=PATIENCE)
        while not over.is_set():
            connection.request("GET", "/v1/billing/db", headers={"X-Vault-Token": "web-token"})
            answer = connection.getresponse()
            body = answer.read().decode()
            seen["closed" if "of closed" in body else str(answer.status)] += 1
        connection.close()

    def each_has_asked_anew() -> None:
        before = [seen.total() for seen in answers]
        eventually(
            lambda: all(seen.total() > count + 1 for seen, count in zip(answers, before, strict=True)), "all have asked"
        )

    readers = [threading.Thread(target=read, args=(seen,)) for seen in answers]
    try:
        assert create(path, "billing/db", "of closed") == 200
        write("open", open_to_web)
        assert daemon.reload()
        assert create(path, "billing/db", "of open") == 200
        for reader in readers:
            reader.start()
        for _ in range(5):
            each_has_asked_anew()
            write("closed")
            assert daemon.reload()
            each_has_asked_anew()
            write("open", open_to_web)
            assert daemon.reload()
    finally:
        over.set()
        for reader in readers:
            if reader.is_alive():
                reader.join(PATIENCE)
        daemon.stop()

    for seen in answers:
        assert seen.keys() == {"200", "403"}, answers


def test_a_reload_takes_up_a_certificate_that_was_renewed(tmp_path: Path) -> None:
    """Its path is the same, so nothing in the configuration says that the file is another one."""
    path, cert, key = (tmp_path / name for name in ("api.sock", "tls.pem", "tls.key"))

    def renew() -> str:
        made = trustme.CA().issue_cert("localhost")
        cert.write_bytes(made.cert_chain_pems[0].bytes())
        key.write_bytes(made.private_key_pem.bytes())
        return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode()).hex()

    before = renew()
    rows = [{"address": f"unix:{path}"}, {"address": "127.0.0.1:0", "tls": {"cert": str(cert), "key": str(key)}}]
    text = configuration(tmp_path, daemon={"listen": rows})
    with Daemon(tmp_path, text, count=2) as daemon:
        place = ("127.0.0.1", port_of(daemon))
        assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(place)).hex() == before
        after = renew()

        assert reload(daemon, path, text)["mistakes"] == []

        assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(place)).hex() == after
