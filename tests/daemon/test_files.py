"""Rendered files in the running daemon: ready means rendered, a reload takes changes, and health tells what fails. And
systemd reads the files that are made for it."""

import signal
from pathlib import Path
from typing import Any

import pytest

from secrets_actor import start
from secrets_actor.clock import now as clock_now
from secrets_actor.clock import sleep
from secrets_actor.delivery.formats import Formatted
from secrets_actor.runtime.daemon import Daemon as InProcess
from secrets_actor.runtime.settings import DaemonClientSettings, LocalSettings, Settings
from secrets_actor.testing import kill
from tests.actor.rig import eventually
from tests.daemon.rig import PATIENCE, ask, configuration
from tests.daemon.systemd_rig import UserSystemd
from tests.delivery.given_values import Given
from tests.delivery.test_formats import HARD
from tests.servers.daemon import Daemon

CANARY = "xK9-canary"
QUICK = {"debounce_seconds": 0.0, "floor_seconds": 0.0}


def files(folder: Path, **given: Any) -> str:
    """A configuration with one file."""
    row = {"path": folder / "out" / "app.conf", "text": "key = ${db/x}\n", **QUICK, **given}
    text = configuration(folder, f"unix:{folder}/api.sock")
    keys = "".join(f"{name} = {_toml(value)}\n" for name, value in row.items())
    return f"{text}\n[[file]]\n{keys}"


def _toml(value: Any) -> str:
    return str(value) if isinstance(value, (int, float)) else repr(str(value)).replace("'", '"')


def until(folder: Path, state: str) -> dict[str, Any]:
    """The one file, when it is in *state*."""
    end = clock_now() + PATIENCE
    while clock_now() < end:
        [found] = ask(folder / "api.sock", "/control/status").json["files"]
        if found["state"] == state:
            return dict(found)
        sleep(0.02)  # the daemon tells nobody of it
    raise TimeoutError(f"not {state}: {found}")


@pytest.mark.slow
def test_the_daemon_is_ready_when_the_file_is_made_and_makes_it_anew_with_each_change(tmp_path: Path) -> None:
    socket, path = tmp_path / "api.sock", tmp_path / "out" / "app.conf"
    with Daemon(tmp_path, files(tmp_path), count=1) as daemon:
        ready = ask(socket, "/health/ready")
        assert (ready.status, ready.json["waits_for"]) == (503, ["a file"])
        set_secret(socket, "one")
        # The secret was missing at first: it is asked for again after a pause.
        assert "make the folder" in until(tmp_path, "failing")["problem"]
        path.parent.mkdir()
        until(tmp_path, "rendered")
        assert path.read_text() == "key = one\n"
        assert ask(socket, "/health/ready").status == 200

        set_secret(socket, "two")
        eventually(lambda: path.read_text() == "key = two\n")

        inode = path.stat().st_ino
        reload(daemon, files(tmp_path, mode="0440", text="key: ${db/x}\n"))
        eventually(lambda: path.read_text() == "key: two\n")
        assert (path.stat().st_mode & 0o777, path.stat().st_ino == inode) == (0o440, False)
        assert ask(socket, "/health/ready").status == 200, "what was rendered is still there"
        reload(daemon, files(tmp_path, text="key: ${db/x|no}"))
        [mistake] = ask(socket, "/control/status").json["reload"]["mistakes"]
        assert mistake.startswith("file[0].text: line 1, column 13: no filter")

        path.unlink()
        path.symlink_to("elsewhere")
        reload(daemon, files(tmp_path, text="again ${db/x}\n"))
        assert "it is a link" in until(tmp_path, "failing")["problem"]
        health = ask(socket, "/health").json
        assert (health["status"], [one["what"] for one in health["degraded"]]) == ("degraded", ["files"])
        assert str(path) not in str(health)

        reload(daemon, configuration(tmp_path, f"unix:{socket}"))
        assert ask(socket, "/control/status").json["files"] == []
        assert daemon.stop() == 0
        assert path.is_symlink(), "files stay"
        assert "two" not in "\n".join(daemon.stderr)
        assert any('"file_failed"' in line for line in daemon.stderr)


def set_secret(socket: Path, value: str) -> None:
    with start(Settings(backend="daemon", daemon_client=DaemonClientSettings(address=f"unix:{socket}"))) as system:
        system.secrets.set("db/x", value)


def reload(daemon: Daemon, text: str) -> None:
    def reloads() -> int:
        return sum('"event": "reload' in line for line in daemon.stderr)

    before = reloads()
    daemon.configuration.write_text(text)
    daemon.send(signal.SIGHUP)
    eventually(lambda: reloads() > before)


def test_either_process_of_a_file_may_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / "app.conf"
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system:
        system.secrets.set("db/x", "one")
    config = tmp_path / "daemon.toml"
    config.write_text(files(tmp_path))
    monkeypatch.setenv("SECRETS_ACTOR_CONFIG", str(config))
    daemon = InProcess(None, say=lambda _: None, environ={})
    daemon.start()
    try:
        eventually(lambda: daemon.status().files[0].state == "rendered")
        inode = path.stat().st_ino
        for name in (f"file {path}", f"changes {path}", "files"):
            kill(daemon.system, name)
        daemon.system.secrets.set("db/x", "two")
        eventually(lambda: path.read_text() == "key = two\n")
        assert path.stat().st_ino != inode
        assert daemon.status().configuration == str(config), "although a variable alone names it"
        assert daemon.status().files[0].state == "rendered"
    finally:
        daemon.stop()


# --- a real systemd ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_systemd_reads_an_environment_file_as_it_was_meant(systemd: UserSystemd, tmp_path: Path) -> None:
    file = Formatted.of("systemd", {name: f"s/{name}" for name in HARD}, ())
    environment, out = tmp_path / "environment", tmp_path / "seen"
    environment.write_bytes(file.render(Given({f"s/{name}": value for name, value in HARD.items()})))
    systemd.unit(
        "reads.service",
        f"[Service]\nType=oneshot\nEnvironmentFile={environment}\n"
        f"ExecStart=/bin/sh -c 'exec cat /proc/self/environ > {out}'\n",
    )

    systemd("systemctl", "--user", "start", "reads.service")

    seen = dict(one.split("=", 1) for one in out.read_bytes().decode().split("\0") if "=" in one)
    assert {name: seen.get(name) for name in HARD} == HARD
