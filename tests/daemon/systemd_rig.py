"""A real systemd in namespaces of its own, as a user's manager, and our units in it.

Rule 1: it has a mount namespace, a cgroup namespace and a cgroup of its own: a manager without them would move all
        processes of the machine into its tree.
Rule 2: it wants /run/systemd/system to be there, so it has a /run of its own.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Self

from secrets_actor.clock import now as clock_now
from secrets_actor.clock import sleep
from tests.architecture.house import ROOT

SYSTEMD: Final = Path("/lib/systemd/systemd")
PATIENCE: Final = 30.0
_LOOK: Final = 0.05
_BOOT: Final = """
set -eu
mount --make-rprivate /
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/user/0
chmod 700 /run/user/0
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
exec "$SYSTEMD" --user --log-target=console
"""


def _hierarchy() -> Path:
    """Where the unified hierarchy of cgroups is mounted."""
    both = Path("/sys/fs/cgroup/unified")
    return both if both.is_dir() else Path("/sys/fs/cgroup")


@cache
def missing() -> str | None:
    """Why there can be no systemd here; None if there can."""
    if os.geteuid() != 0:
        return "only root may make the namespaces that a systemd of its own needs"
    if not SYSTEMD.exists() or shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return "systemd, unshare or nsenter is not installed"
    if not (_hierarchy() / "cgroup.procs").exists():
        return "no unified hierarchy of cgroups is mounted"
    tried = subprocess.run(
        ["unshare", "-m", "-C", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/run"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    return "namespaces are refused here" if tried.returncode else None


class UserSystemd:
    """Context manager: a systemd with the units that are put into it. *home* is a folder for it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._units = home / ".config" / "systemd" / "user"
        self._cgroup = _hierarchy() / f"tests-{os.getpid()}-{home.name}"
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": "/run/user/0",
            "LANG": "C.UTF-8",
            "SYSTEMD": str(SYSTEMD),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def unit(self, name: str, text: str) -> None:
        """Write a unit, before or while it runs."""
        self._units.mkdir(parents=True, exist_ok=True)
        (self._units / name).write_text(text)
        if self._process is not None:
            self("systemctl", "--user", "daemon-reload")

    def __call__(self, *command: str, check: bool = True) -> str:
        """Run *command* inside, and return what it prints."""
        assert self._process is not None
        inside = ["nsenter", "-t", str(self._process.pid), "-m", "-C", "--", *command]
        done = subprocess.run(
            inside, capture_output=True, text=True, env=self._environment, timeout=PATIENCE, check=False
        )
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def show(self, unit: str, name: str) -> str:
        """A property of *unit*."""
        return self("systemctl", "--user", "show", "--value", "-p", name, unit).strip()

    def wait_for(self, unit: str, **expected: str) -> None:
        """Return when the properties of *unit* are as *expected*. Raises `TimeoutError`."""
        end, seen = clock_now() + PATIENCE, {}
        while clock_now() < end:
            seen = {name: self.show(unit, name) for name in expected}
            if seen == expected:
                return
            sleep(_LOOK)  # systemd tells nobody of its changes but over D-Bus, which is not there
        raise TimeoutError(f"{unit}: {seen} in place of {expected}\n{self.log()}")

    def log(self, lines: int = 40) -> str:
        """The end of what systemd and its services print."""
        return "\n".join((self._home / "log").read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        self._cgroup.mkdir()
        with (self._home / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", 'echo $$ > "$1"/cgroup.procs; exec unshare -m -C --propagation private bash -c "$2"',
                 "boot", str(self._cgroup), _BOOT],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment,
            )  # fmt: skip
        end = clock_now() + PATIENCE
        while "running" not in self("systemctl", "--user", "is-system-running", check=False):
            assert clock_now() < end, self.log()
            assert self._process.poll() is None, self.log()
            sleep(_LOOK)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self("systemctl", "--user", "exit", check=False)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for folder in sorted((path for path in self._cgroup.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        self._cgroup.rmdir()


def our_unit(name: str, replaced: Mapping[str, str | None]) -> str:
    """The unit *name* of config/, with other values for some keys; None leaves a key out."""
    lines = []
    for line in (ROOT / "config" / name).read_text().splitlines():
        key = line.partition("=")[0]
        if key not in replaced:
            lines.append(line)
        elif replaced[key] is not None:
            lines.append(f"{key}={replaced[key]}")
    return "\n".join(lines) + "\n"
