"""Our units in a real systemd: ready, reload, the watchdog, and a socket that outlives the daemon."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from secrets_actor import LocalSettings, Settings, start
from secrets_actor.runtime.settings_loader import load
from tests.architecture.house import ROOT
from tests.daemon.rig import ask, configuration
from tests.daemon.systemd_rig import UserSystemd, our_unit

UNIT, SOCKET = "secrets-actor.service", "secrets-actor.socket"
CONFIG = ROOT / "config"
# What a user's manager cannot do, what the tests have in another place, and what mounts something below /proc, which a
# container refuses. All the rest of the hardening is in force here.
ELSEWHERE = dict.fromkeys(
    ("DynamicUser", "User", "LoadCredentialEncrypted", "StateDirectory", "StateDirectoryMode", "RuntimeDirectory",
     "RuntimeDirectoryPreserve", "ProtectHome", "PrivateTmp", "ProtectKernelTunables", "ProtectKernelLogs",
     "Requires", "After", "Wants")
)  # fmt: skip


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed, which rates the unit"
)
def test_the_service_is_as_closed_as_the_policy_lets_it_be() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(CONFIG / UNIT)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for blinding in ("PrivateUsers", "ProtectProc", "ProcSubset"):
        assert not re.search(rf"^{blinding}=", (CONFIG / UNIT).read_text(), re.M), "the policy goes by who asks"


def test_the_units_belong_together_and_their_configuration_loads(tmp_path: Path) -> None:
    service, socket = (CONFIG / UNIT).read_text(), (CONFIG / SOCKET).read_text()
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "local.key").write_bytes(b"k" * 32)

    settings = load(CONFIG / "daemon.toml", environment).settings

    assert settings.daemon is not None
    [listen] = settings.daemon.listen
    assert listen.address == f"systemd:{_value(socket, 'FileDescriptorName')}"
    assert Path(_value(socket, "ListenStream")).parent.name == _value(service, "RuntimeDirectory")
    assert str(settings.local.path).startswith(f"/var/lib/{_value(service, 'StateDirectory')}/")
    assert _value(service, "ExecStart").endswith("--config /etc/secrets-actor/daemon.toml run")
    assert float(_value(service, "TimeoutStopSec")) > settings.daemon.drain_seconds + 10


def _value(unit: str, key: str) -> str:
    [found] = re.findall(rf"^{key}=(.*)$", unit, re.M)
    return str(found)


def install(systemd: UserSystemd, folder: Path, text: str, *, watchdog: str = "30") -> Path:
    config = folder / "daemon.toml"
    config.write_text(text)
    run = f"{sys.executable} -m secrets_actor --config {config} run"
    # Beside what is in another place here: there is no journal.
    more = [run, f"Environment=PYTHONPATH={ROOT}", f"ReadWritePaths={folder}", "StandardError=inherit"]
    systemd.unit(UNIT, our_unit(UNIT, {**ELSEWHERE, "ExecStart": "\n".join(more), "WatchdogSec": watchdog}))
    return config


@pytest.mark.slow
def test_systemd_hears_when_the_daemon_is_ready_reloads_and_ends(systemd: UserSystemd, tmp_path: Path) -> None:
    path, other = tmp_path / "api.sock", tmp_path / "other.sock"
    config = install(systemd, tmp_path, configuration(tmp_path, f"unix:{path}"))

    systemd("systemctl", "--user", "start", UNIT)  # it returns when READY has come
    assert ask(path, "/health/ready").status == 200
    assert systemd.show(UNIT, "StatusText") == f"listening on unix:{path}"

    config.write_text(configuration(tmp_path, f"unix:{path}", f"unix:{other}"))
    systemd("systemctl", "--user", "reload", UNIT)
    systemd.wait_for(UNIT, StatusText=f"listening on unix:{path}, unix:{other}")
    assert ask(other, "/health/ready").status == 200

    systemd("systemctl", "--user", "stop", UNIT)
    systemd.wait_for(UNIT, ActiveState="inactive", Result="success", ExecMainStatus="0")


@pytest.mark.slow
def test_the_watchdog_of_systemd_starts_a_daemon_anew_that_hangs_and_no_other(
    systemd: UserSystemd, tmp_path: Path
) -> None:
    path = tmp_path / "api.sock"
    install(systemd, tmp_path, configuration(tmp_path, f"unix:{path}"), watchdog="2")
    systemd("systemctl", "--user", "start", UNIT)
    first = int(systemd.show(UNIT, "MainPID"))
    threading.Event().wait(5)  # more than twice its time: a daemon that works feeds it
    assert systemd.show(UNIT, "NRestarts") == "0", systemd.log()

    os.kill(first, signal.SIGSTOP)
    systemd.wait_for(UNIT, NRestarts="1", ActiveState="active")
    assert int(systemd.show(UNIT, "MainPID")) != first
    assert ask(path, "/health/ready").status == 200


@pytest.mark.slow
def test_no_client_is_refused_while_a_daemon_on_a_socket_of_systemd_is_started_anew(
    systemd: UserSystemd, tmp_path: Path
) -> None:
    path = tmp_path / "api.sock"
    install(systemd, tmp_path, configuration(tmp_path, "systemd:api"))
    systemd.unit(SOCKET, our_unit(SOCKET, {"ListenStream": str(path)}))
    systemd("systemctl", "--user", "start", SOCKET)
    assert systemd.show(UNIT, "ActiveState") == "inactive"

    assert ask(path, "/health/live").json == {"alive": True}, "the first client starts it"
    answers, failures, over = [0], list[Exception](), threading.Event()

    def knock() -> None:
        while not over.is_set():
            try:
                answers[0] += ask(path, "/health/live").status == 200
            except Exception as error:
                failures.append(error)

    knocking = threading.Thread(target=knock)
    knocking.start()
    pids = {systemd.show(UNIT, "MainPID")}
    for _ in range(3):
        systemd("systemctl", "--user", "restart", UNIT)
        pids.add(systemd.show(UNIT, "MainPID"))
    over.set()
    knocking.join()

    assert len(pids) == 4
    assert not failures
    assert answers[0] > 3


ASKS = """
import os, sys
from pathlib import Path
from tests.daemon.rig import ask
socket, said, below, *names = sys.argv[1:]
if below:
    [mine] = [line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")]
    group = Path(f"/sys/fs/cgroup{mine}/{below}")
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))
answers = [str(ask(Path(socket), f"/v1/{name}").status) for name in names]
Path(said).write_text(" ".join(answers))
"""


@pytest.mark.slow
def test_a_caller_has_the_unit_that_systemd_gave_it_and_none_that_it_names_itself(
    systemd: UserSystemd, tmp_path: Path
) -> None:
    names = ("billing/db", "worker/db", "users/db")
    with start(Settings(local=LocalSettings(path=tmp_path / "store"))) as system:
        for name in names:
            system.secrets.set(name, "hunter2")
    allow = [
        {"who": ["unit:billing.service"], "secrets": ["billing/*"], "may": ["get"]},
        {"who": ["unit:worker@.service"], "secrets": ["worker/*"], "may": ["get"]},
        {"who": ["user_unit:1000/billing.service"], "secrets": ["users/*"], "may": ["get"]},
    ]
    path, script = tmp_path / "api.sock", tmp_path / "asks.py"
    script.write_text(ASKS)
    install(systemd, tmp_path, configuration(tmp_path, f"unix:{path}", daemon={"allow": allow}))
    systemd("systemctl", "--user", "start", UNIT)

    def answers(unit: str, below: str = "") -> str:
        said = tmp_path / f"{unit}.said"
        command = " ".join([sys.executable, str(script), str(path), str(said), f'"{below}"', *names])
        service = f"[Service]\nType=oneshot\nDelegate=yes\nEnvironment=PYTHONPATH={ROOT}\nExecStart={command}\n"
        systemd.unit(unit, service)
        systemd("systemctl", "--user", "start", unit)
        return said.read_text()

    assert answers("billing.service") == "200 403 403"
    assert answers("worker@7.service") == "403 200 403"
    assert answers("other.service") == "403 403 403"
    assert answers("delegated.service", "billing.service") == "403 403 403"
    assert answers("delegated-again.service", "system.slice/billing.service") == "403 403 403"
    # A user's manager: it is the user who has named what lies below it.
    assert answers("user@1000.service", "app.slice/billing.service") == "403 403 200"
