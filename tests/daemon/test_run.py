"""`secrets-actor run` as a service manager runs it: it says where it listens, answers there, and ends as it is told."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from shutil import which

import boto3
import pytest

from secrets_actor.clock import now as clock_now
from tests.architecture.house import ROOT
from tests.cli.program import Program
from tests.daemon.rig import PATIENCE, UnixConnection, ask, configuration, port_of, wait_for_connections
from tests.otp.conftest import eventually
from tests.servers.daemon import Daemon


def test_a_daemon_answers_at_each_address_and_ends_with_0(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}", "127.0.0.1:0"), count=2) as daemon:
        port = port_of(daemon)
        assert daemon.stderr[0] == f"listening on unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        for where in (path, port):
            assert ask(where, "/health/live").json == {"alive": True}
            assert ask(where, "/health/ready").status == 200
            assert ask(where, "/health").json == {"status": "ok", "waits_for": [], "degraded": []}
        scraped = ask(port, "/metrics")
        assert scraped.headers["content-type"].startswith("text/plain; version=")
        assert re.search(rb"^secrets_actor_listener_connections \d", scraped.body, re.M)
        assert ask(port, "/control/status").status == 404, "only a Unix socket serves it"
        assert ask(port, "/health", headers={"Host": "evil.example"}).status == 421
        assert ask(path, "/health", headers={"Origin": "http://localhost"}).status == 403
        status = daemon.stop()

    assert status == 0
    assert not path.exists()


def test_the_operator_sees_status_tree_and_metrics_of_the_running_daemon(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}"), count=1) as daemon:
        deadline = clock_now() + PATIENCE
        while (status := ask(path, "/control/status").json)["status"] == "unready" and clock_now() < deadline:
            pass  # it listens a moment before it is ready
        tree = ask(path, "/control/tree").json
        metrics = ask(path, "/control/metrics").json

    assert (status["status"], status["pid"], status["backend"]) == ("ok", daemon.pid, "local_encrypted")
    [listener] = status["listeners"]
    assert (listener["address"], listener["up"]) == (f"unix:{path}", True)
    [faces] = [one for one in tree["root"]["children"] if one["id"] == "faces"]
    assert [one["id"] for one in faces["children"]] == ["watchdog", "files", "listeners"]
    assert [one["id"] for one in faces["children"][2]["children"]] == [f"listener unix:{path}"]
    assert {"secrets_actor_restarts", "secrets_actor_cache_hits"} <= {one["name"] for one in metrics}


def test_a_daemon_of_others_tells_a_caller_without_admin_only_that_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    rules = {"allow": [{"who": ["uid:4242"], "secrets": ["**"], "may": ["admin"]}]}
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}", daemon=rules), count=1):
        seen = ask(path, "/control/status")
        refused = ask(path, "/control/tree")

    assert (seen.status, seen.json["status"], "pid" in seen.json) == (200, "ok", False)
    assert refused.status == 403
    assert "no rule allows it" in refused.json["message"]


def test_a_request_under_way_is_answered_when_the_daemon_ends_and_no_new_one_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}"), count=1) as daemon:
        half = UnixConnection(path)
        half.connect()
        half.sock.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        wait_for_connections(path, 2)
        daemon.send(signal.SIGTERM)
        while path.exists():
            assert daemon.running
        half.sock.sendall(b"\r\n")
        answered = b"".join(iter(lambda: half.sock.recv(65_536), b""))
        assert answered.startswith(b"HTTP/1.1 503 ")
        assert b"it drains" in answered
        assert daemon.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_daemon_at_once(number: signal.Signals, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    text = configuration(tmp_path, f"unix:{path}", daemon={"drain_seconds": 300})
    with Daemon(tmp_path, text, count=1) as daemon:
        half = UnixConnection(path)
        half.connect()
        half.sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        wait_for_connections(path, 2)
        daemon.send(number)
        while path.exists():  # of two signals of a kind that wait, the kernel keeps one
            assert daemon.running
        began = clock_now()
        daemon.send(number)
        assert daemon.wait() == -number
        assert clock_now() - began < PATIENCE
        half.close()


def test_a_second_signal_ends_a_daemon_that_is_still_reloading_at_once(tmp_path: Path) -> None:
    """The reload waits for a listener that was taken away, and that one for the rest of a request."""
    path, gone = tmp_path / "api.sock", tmp_path / "gone.sock"
    slow = {"drain_seconds": 300}
    with Daemon(tmp_path, configuration(tmp_path, f"unix:{path}", f"unix:{gone}", daemon=slow), count=2) as daemon:
        half = UnixConnection(gone)
        half.connect()
        half.sock.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        assert ask(gone, "/health/live").status == 200, "so it has read what came before"
        daemon.configuration.write_text(configuration(tmp_path, f"unix:{path}", daemon=slow))
        daemon.send(signal.SIGHUP)
        while gone.exists():
            assert daemon.running
        daemon.send(signal.SIGTERM)
        daemon.send(signal.SIGINT)  # another one, because of two signals of a kind that wait, the kernel keeps one
        began = clock_now()
        assert daemon.wait() in (-signal.SIGTERM, -signal.SIGINT)
        assert clock_now() - began < PATIENCE
        half.close()


def test_a_daemon_whose_standard_error_nobody_reads_starts_reloads_and_ends_all_the_same(tmp_path: Path) -> None:
    path, text = tmp_path / "api.sock", tmp_path / "daemon.toml"
    text.write_text(configuration(tmp_path, f"unix:{path}", log={"output": str(tmp_path / "log")}))
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    os.set_blocking(write, True)
    daemon = subprocess.Popen([sys.executable, "-m", "secrets_actor", "--config", str(text), "run"], stderr=write)
    try:
        end = clock_now() + PATIENCE
        while not path.exists():
            assert clock_now() < end
        text.write_text("no TOML")
        while ask(path, "/health/ready").status != 200:
            assert clock_now() < end
        daemon.send_signal(signal.SIGHUP)
        while ask(path, "/control/status").json["reload"] is None:
            assert clock_now() < end
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE) == 0
    finally:
        daemon.kill()
        daemon.wait()
        os.close(read)
        os.close(write)


def test_what_cannot_be_listened_on_ends_the_start_with_one_line(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with Daemon(tmp_path / "first", configuration(tmp_path / "first", f"unix:{path}"), count=1):
        second = tmp_path / "second.toml"
        second.write_text(configuration(tmp_path / "second", f"unix:{path}"))
        ended = subprocess.run(
            [sys.executable, "-m", "secrets_actor", "--config", str(second), "run"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ask(path, "/health").status == 200, "the first one is as it was"

    assert ended.returncode == 1
    assert ended.stderr == (
        f"secrets-actor: unix:{path}: another daemon listens there already; stop it, or choose another path\n"
    )


def test_a_daemon_is_ready_when_its_prefetch_is_over_and_says_what_was_missed(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    text = configuration(tmp_path, f"unix:{path}", prefetch={"names": ["no/such"]})
    with Daemon(tmp_path, text, count=1):
        end, seen = clock_now() + PATIENCE, set[int]()
        while 200 not in seen:
            answer = ask(path, "/health/ready")
            seen.add(answer.status)
            assert answer.status == 200 or answer.json["waits_for"] == ["the configured prefetch"]
            assert clock_now() < end
        assert ask(path, "/health").json == {
            "status": "degraded",
            "waits_for": [],
            "degraded": [{"what": "prefetch", "detail": "1 secrets could not be fetched"}],
        }


ENDS_THE_TREE = """
import gc, threading, time

def end():
    while True:
        time.sleep(0.05)
        found = [one for one in gc.get_objects() if type(one).__name__ == "System" and one.running]
        if found:
            break
    from secrets_actor.testing import kill
    for _ in range(4):
        kill(found[0], "core")

threading.Thread(target=end, daemon=True).start()
"""


def test_a_daemon_whose_tree_gives_up_ends_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(ENDS_THE_TREE)
    more = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    daemon = Daemon(tmp_path, configuration(tmp_path, f"unix:{tmp_path}/api.sock"), count=1, environment=more).start()

    assert daemon.wait() == 5
    daemon.wait_for_line("the daemon has ended, because no restart helped: gave up on child core")
    daemon.kill()


def test_without_the_extra_the_remedy_is_told(tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise ModuleNotFoundError('no uvicorn here', name='uvicorn')")
    done = Program(tmp_path / "home").with_settings(PYTHONPATH=str(tmp_path))("run")

    assert done.status == 2
    assert "run needs uvicorn, which is not installed: pip install 'secrets-actor[daemon]'" in done.complaint


def test_a_daemon_that_would_ask_itself_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "daemon.toml"
    address = f"unix:{tmp_path}/api.sock"
    config.write_text(configuration(tmp_path, address, backend="daemon", daemon_client={"address": address}))
    done = Program(tmp_path / "home")("--config", str(config), "run")

    assert (done.status, "this one would ask itself" in done.complaint) == (6, True)


@pytest.mark.skipif(os.geteuid() != 0 or not which("unshare"), reason="only root may have a /run of its own")
def test_without_a_configuration_it_serves_the_same_user_and_the_command_line_finds_it(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    program = f"{sys.executable} -m secrets_actor"
    script = f"""
        mount -t tmpfs tmpfs /run || exit
        {program} run 2> {tmp_path}/err & daemon=$!
        until grep -q "listening on unix:/run/secrets-actor/api.sock" {tmp_path}/err; do sleep 0.05; done
        stat -c %a /run/secrets-actor /run/secrets-actor/api.sock
        printf hunter2 | {program} set db/password > /dev/null && {program} get --raw db/password && echo
        {program} --json status | grep -o '"backend": "[a-z_]*"'
        kill $daemon && wait $daemon && echo ended
    """
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "bash", "-c", script],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    if "Operation not permitted" in done.stderr:
        pytest.skip("namespaces are refused here")

    assert done.stdout.split("\n") == ["755", "600", "hunter2", '"backend": "local_encrypted"', "ended", ""], (
        done.stderr
    )


def test_credentials_for_sdks_are_given_out_and_are_good_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    text = configuration(tmp_path, f"unix:{path}", "127.0.0.1:0")

    def list_by(minted: dict[str, str], port: int) -> list[str]:
        client = boto3.client(
            "secretsmanager",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="eu-west-1",
            aws_access_key_id=minted["AccessKeyId"],
            aws_secret_access_key=minted["SecretAccessKey"],
            aws_session_token=minted["SessionToken"],
        )
        return [one["Name"] for one in client.list_secrets()["SecretList"]]

    with Daemon(tmp_path, text, count=2) as daemon:
        minted = ask(path, "/control/credentials").json
        assert list_by(minted, port_of(daemon)) == []
        assert ask(port_of(daemon), "/control/credentials").status == 403
    with Daemon(tmp_path, text, count=2) as daemon:
        assert list_by(minted, port_of(daemon)) == []
    assert stat.S_IMODE((tmp_path / "mint.key").stat().st_mode) == 0o600


def test_a_folder_that_keeps_out_whom_the_mode_lets_in_is_told_at_the_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    path = tmp_path / "made" / "api.sock"
    rows = [{"address": f"unix:{path}", "mode": "0666"}]
    with Daemon(tmp_path, configuration(tmp_path, daemon={"listen": rows}), count=1) as daemon:
        told = [line for line in daemon.stderr if not line.startswith("listening on ")]

    [line] = told
    assert line.startswith(f"daemon.listen: unix:{path} has mode 0666, but not all")
    assert line.endswith(": chmod a+x " + line.rpartition(" ")[2])
    assert str(tmp_path).startswith(line.rpartition(" ")[2]), "the first folder on the way that is closed"


@pytest.mark.slow
def test_restarts_by_hand_do_not_end_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "live.sock"
    listen = {"listen": [{"address": f"unix:{path}", "faces": ["health", "live"]}]}
    with Daemon(tmp_path, configuration(tmp_path, daemon=listen), count=1) as daemon:
        [token] = re.findall(r"\b[0-9a-f]{64}\b", ask(path, "/live", headers={"Host": "localhost"}).body.decode())
        headers = {"Host": "localhost", "x-live-token": token}

        def serial() -> int | None:
            children = ask(path, "/control/live").json["tree"]["children"]
            return next((one["serial"] for one in children if one["id"] == "background"), None)

        given = []
        # It is a child of the root, which makes three restarts a minute: the fourth would end the daemon.
        for _ in range(4):
            before = serial()
            body = json.dumps({"process": before}).encode()
            given.append(ask(path, "/live/restart", "POST", body=body, headers=headers).status)
            if given[-1] == 200:
                eventually(lambda before=before: serial() not in (before, None))

        assert given == [200, 200, 404, 404]
        assert daemon.running
