"""The demonstration: the main job on the default store, with two murders.

Nothing here is staged: the worker is killed while the get is in its hands, the actor by the same kill that a harness of
ours uses, and what is printed afterwards is what the tree says.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click

from secrets_actor.actor.jobs import JobStarted
from secrets_actor.domain.errors import ServiceError
from secrets_actor.otp import LifecycleEvent, Pid, Tree
from secrets_actor.runtime.settings import LocalSettings, Settings
from secrets_actor.runtime.system import System

NAME = "demo/db-password"
_PATIENCE = 10.0


class _Assassin:
    """Stops the next worker that takes up a get, so that it can be killed with the get in its hands."""

    def __init__(self) -> None:
        self._armed = False
        self.caught = threading.Event()
        self._killed = threading.Event()
        self.serial = 0

    def arm(self) -> None:
        """The next get is the one."""
        self._armed = True

    def release(self) -> None:
        """The deed is done: let the dead worker's thread run out."""
        self._killed.set()

    def __call__(self, event: LifecycleEvent) -> None:
        """Observe, and hold the worker if it is the one."""
        if self._armed and isinstance(event, JobStarted) and event.operation == "get":
            self._armed, self.serial = False, event.serial
            self.caught.set()
            self._killed.wait(_PATIENCE)


def run(echo: Callable[[str], object]) -> None:
    """Run it all. Raises a SecretsError if anything is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="secrets-actor-demo-") as folder:
        assassin = _Assassin()
        settings = Settings(local=LocalSettings(path=Path(folder)))
        begun = time.perf_counter()
        system = System(settings, observer=assassin).start()
        try:
            _play(echo, system, assassin, (time.perf_counter() - begun) * 1000)
        finally:
            assassin.release()
            system.stop()
        ours = [thread.name for thread in threading.enumerate() if "#" in thread.name]
        _check(not ours, "threads are left: " + ", ".join(ours))
        _say(echo, "stopped", "last part first; no thread is left, and the temporary store goes now")


def _play(echo: Callable[[str], object], system: System, assassin: _Assassin, milliseconds: float) -> None:
    secrets = system.secrets
    _say(echo, "started", f"a supervision tree in {milliseconds:.0f} ms, without any network or account")
    _draw(echo, system)

    receipt = secrets.set(NAME, "correct horse battery staple")
    _say(echo, "set", f"{NAME}, version {receipt.version_id[:8]}: sealed with AES-256-GCM before it touched the disk")
    secret = secrets.get(NAME)
    _say(echo, "get", f"{secret.value!r}: it prints as a mask, and only reveal() shows it")
    again = secrets.get(NAME)
    _say(echo, "get again", f"from the {again.source}, {again.age * 1000:.1f} ms old: no message, no disk")
    names = ", ".join(info.name for info in secrets.list())
    _say(echo, "list", f"{names}: names and dates, never values")

    with ThreadPoolExecutor(1) as caller:
        assassin.arm()
        answer = caller.submit(lambda: secrets.get(NAME, refresh=True))
        _check(assassin.caught.wait(_PATIENCE), "no worker took up the get")
        _worker(system, assassin.serial).kill()
        assassin.release()
        secret = answer.result(_PATIENCE)
    _check(secret.reveal() == "correct horse battery staple", "the value is another one")
    _say(echo, "killed", f"worker #{assassin.serial} with a get in its hands: another one took over,")
    _say(echo, "", "and the caller has his value without having noticed")

    actor = system.whereis("secrets")
    _check(actor is not None, "there is no secrets actor")
    if actor is not None:
        actor.kill()
    secret = secrets.get(NAME, refresh=True)
    restarted = system.whereis("secrets")
    _check(restarted is not None and restarted is not actor, "the secrets actor was not restarted")
    _check(secret.reveal() == "correct horse battery staple", "the value is another one")
    _say(echo, "killed", f"the secrets actor itself: its supervisor started {restarted!r},")
    _say(echo, "", "and the value is still there")
    _draw(echo, system)

    gone = secrets.delete(NAME)
    _say(echo, "delete", f"softly: gone for good on {gone.deletion_date:%Y-%m-%d}, until then 'restore' brings it back")
    _check(secrets.list() == (), "the deleted secret is still listed")


def _worker(system: System, serial: int) -> Pid:
    supervisor = system.whereis("workers")
    children = () if supervisor is None else supervisor.published.children
    for child in children:
        if child.pid is not None and child.pid.serial == serial:
            worker: Pid = child.pid
            return worker
    raise ServiceError("the demonstration failed: the worker is not in the tree")


def _say(echo: Callable[[str], object], what: str, why: str) -> None:
    colour = {"killed": "red", "": None}.get(what, "green")
    echo(f"{click.style(what.ljust(10), fg=colour)} {why}")


def _draw(echo: Callable[[str], object], system: System) -> None:
    echo("")
    for line in str(_settled(system)).splitlines():
        echo(f"    {line}")
    echo("")


def _settled(system: System) -> Tree:
    """The tree once nothing in it is being restarted or asked, so that a picture shows a state and not a moment."""
    for _ in range(100):
        tree = system.tree()
        if all(node.state == "running" and not node.open_calls and not node.mailbox for node in tree.root.walk()):
            break
        time.sleep(0.01)
    return tree


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ServiceError(f"the demonstration failed: {problem}")
