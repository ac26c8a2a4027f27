"""config/Containerfile without an engine: its steps are carried out in a folder, and its program runs as process 1."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from secrets_actor.clock import now as clock_now
from secrets_actor.clock import sleep
from tests.architecture.house import ROOT
from tests.daemon.rig import ask

STEPS = re.findall(r"^([A-Z]+) (.*)$", (ROOT / "config" / "Containerfile").read_text(), re.M)
PATIENCE = 30.0
LOOK = 0.05


def steps(kind: str) -> list[str]:
    return [rest for word, rest in STEPS if word == kind]


def test_the_image_runs_the_daemon_as_nobody_else_and_a_probe_that_it_has_itself() -> None:
    [user], [entry], [command] = steps("USER"), steps("ENTRYPOINT"), steps("CMD")
    [probe] = steps("HEALTHCHECK")
    [path] = re.findall(r"^HEALTHCHECK CMD (.*)$", "HEALTHCHECK " + probe, re.M)

    assert user == "10001:10001"
    assert json.loads(entry) + json.loads(command) == ["secrets-actor", "run"]
    assert json.loads(path)[-1] == "health"
    assert steps("STOPSIGNAL") == ["SIGTERM"]
    for variable in steps("ENV"):
        assert len(shlex.split(variable)) == 1


class Image:
    """What the steps make, below *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._places = {"/opt/": f"{folder}/opt/", "/run/": f"{folder}/run/", "/var/lib/": f"{folder}/lib/"}
        self.socket = folder / "run" / "secrets-actor" / "api.sock"

    def here(self, text: str) -> str:
        """*text* with the places, and the user, of the image as they are here."""
        text = text.replace('"/src[daemon]"', f'"{ROOT}[daemon]"').replace("10001", str(os.geteuid()))
        for there, place in self._places.items():
            text = text.replace(there, place)
        return text

    def build(self) -> None:
        for step in steps("RUN"):
            subprocess.run(self.here(step), shell=True, check=True, capture_output=True, timeout=300)

    @property
    def environment(self) -> dict[str, str]:
        pairs = (shlex.split(self.here(one))[0].partition("=") for one in steps("ENV"))
        return {name: value for name, _, value in pairs}

    @contextmanager
    def running(self) -> Iterator["subprocess.Popen[bytes]"]:
        """The program as process 1 of a pid namespace."""
        command = [*json.loads(steps("ENTRYPOINT")[0]), *json.loads(steps("CMD")[0])]
        outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--", *command],
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.folder,
        )
        try:
            assert outer.stderr is not None
            # It may say before that a folder on the way to the socket is closed to others: pytest's own is.
            last = next(line for line in outer.stderr if not line.startswith(b"daemon.listen"))
            assert last == f"listening on unix:{self.socket}\n".encode()
            yield outer
        finally:
            if outer.poll() is None:
                os.kill(first_of(outer), signal.SIGKILL)
            outer.wait(PATIENCE)


def first_of(outer: "subprocess.Popen[bytes]") -> int:
    """The process that is number 1 inside, by its number outside."""
    [child] = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
    return int(child)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may make a pid namespace")
    if subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], check=False).returncode:
        pytest.skip("pid namespaces are refused here")
    made = Image(tmp_path_factory.mktemp("image"))
    made.build()
    return made


@pytest.mark.slow
def test_the_program_of_the_image_answers_as_process_1_is_probed_and_ends_at_sigterm(image: Image) -> None:
    with image.running() as outer:
        assert ask(image.socket, "/control/status").json["pid"] == 1
        [probe] = [re.sub(r"^CMD ", "", one) for one in steps("HEALTHCHECK")]
        healthy = subprocess.run(
            json.loads(image.here(probe)), env=image.environment, capture_output=True, timeout=60, check=False
        )
        assert healthy.returncode == 0, healthy.stderr

        os.kill(first_of(outer), signal.SIGTERM)
        assert outer.wait(PATIENCE) == 0
    assert not image.socket.exists()


@pytest.mark.slow
def test_process_1_takes_the_exit_codes_of_orphans(image: Image) -> None:
    with image.running() as outer:
        first = first_of(outer)
        inside = ["nsenter", "-t", str(first), "-p", "-m", "--", "sh", "-c"]
        told = subprocess.run([*inside, "(sleep 0.1 & echo $!)"], capture_output=True, timeout=30, check=True)
        orphan = int(told.stdout)

        def seen() -> str:
            script = f"grep ^State: /proc/{orphan}/status || echo gone"
            return subprocess.run([*inside, script], capture_output=True, text=True, timeout=30, check=True).stdout

        end, was_zombie = clock_now() + PATIENCE, False
        while "gone" not in seen():
            was_zombie = was_zombie or "Z" in seen()
            assert clock_now() < end, "it stays a zombie"
            sleep(LOOK)
        assert was_zombie
        assert ask(image.socket, "/health/live").status == 200
