"""The demonstration: sets, gets, lists and deletes a secret, and kills a worker and the secrets actor on the way.

Nothing is staged. The worker is killed while it carries out a get, the actor by the kill that our chaos tests use, and
the tree that is printed afterwards is the real one.
"""

from __future__ import annotations

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click
from msgspec.structs import replace

from secrets_actor.cli import output
from secrets_actor.clock import now, sleep
from secrets_actor.domain.errors import ServiceError
from secrets_actor.domain.operations import Get, Operation
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext
from secrets_actor.otp import Pid, Tree
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import LocalSettings, Settings
from secrets_actor.runtime.system import System

T = TypeVar("T")
NAME: Final = "demo/db-password"
_PATIENCE: Final = 10.0


class Teller(Protocol):
    """Prints the events of the demonstration."""

    def say(self, what: str, *why: str) -> None:
        """Print one event: *what* happened, and *why* it matters."""

    def draw(self, tree: Tree) -> None:
        """Print the tree as it is now."""


class TextTeller:
    """Prints for people, in colour on a terminal."""

    def say(self, what: str, *why: str) -> None:
        """Print one line, and further lines indented under it."""
        click.echo(f"{click.style(what.ljust(10), fg='red' if what == 'killed' else 'green')} {why[0]}")
        for more in why[1:]:
            click.echo(" " * 11 + more)

    def draw(self, tree: Tree) -> None:
        """Print the tree indented, between empty lines."""
        click.echo("\n" + "".join(f"    {line}\n" for line in output.drawing(tree).splitlines()))


class JsonTeller:
    """Prints for scripts: one JSON object a line."""

    def say(self, what: str, *why: str) -> None:
        """Print an object with `event` and `message`."""
        click.echo(output.as_json({"event": what, "message": " ".join(why)}))

    def draw(self, tree: Tree) -> None:
        """Print an object with the `event` "tree", and the members of `output.tree_facts`."""
        click.echo(output.as_json({"event": "tree", **output.tree_facts(tree)}))


class _WorkerKiller:
    """Stands between the workers and the store. Once armed, it holds up the next worker that comes with a get, so that
    the worker can be killed before the get is answered."""

    def __init__(self, factory: BackendFactory) -> None:
        self.factory = replace(factory, connect=lambda: _KillingBackend(factory.connect(), self))
        self._armed = False
        self.caught = threading.Event()
        self._killed = threading.Event()
        self.worker = ""  # its label and its serial number

    def arm(self) -> None:
        """Hold up the next get."""
        self._armed = True

    def release(self) -> None:
        """The worker is killed: let its thread, which cannot be stopped from outside, run to its end."""
        self._killed.set()

    def comes(self, operation: Operation[Any]) -> None:
        """Hold up the worker that calls this if its *operation* is the awaited get."""
        if self._armed and isinstance(operation, Get):
            self._armed, self.worker = False, threading.current_thread().name.replace("#", " #")
            self.caught.set()
            self._killed.wait(_PATIENCE)


class _KillingBackend:
    """A connection to the store that shows each operation to the killer first."""

    def __init__(self, backend: Backend, killer: _WorkerKiller) -> None:
        self._backend, self._killer = backend, killer
        self.name, self.close = backend.name, backend.close

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        """Perform *operation* on the store, after the killer let it pass."""
        self._killer.comes(operation)
        return self._backend.perform(operation, context)


def perform(teller: Teller) -> None:
    """Run the whole demonstration. Raises a `SecretsError` if anything goes another way than it tells."""
    with tempfile.TemporaryDirectory(prefix="secrets-actor-demo-") as folder:
        settings = Settings(local=LocalSettings(path=Path(folder)))
        killer = _WorkerKiller(local_factory_for(settings.local))
        begun = now()
        system = System(settings, backend=killer.factory).start()
        try:
            _play(teller, system, killer, (now() - begun) * 1000)
        finally:
            killer.release()
            system.stop()
        # All threads of the tree have a `#` and a serial number in their names.
        ours = [thread.name for thread in threading.enumerate() if "#" in thread.name]
        _check(not ours, "threads are left: " + ", ".join(ours))
        teller.say("stopped", "last part first; no thread is left, and the temporary store goes now")


def _play(teller: Teller, system: System, killer: _WorkerKiller, milliseconds: float) -> None:
    secrets = system.secrets
    teller.say("started", f"a supervision tree in {milliseconds:.0f} ms, without any network or account")
    teller.draw(settled(system))

    receipt = secrets.set(NAME, "correct horse battery staple")
    teller.say("set", f"{NAME}, version {receipt.version_id[:8]}: sealed with AES-256-GCM before it touched the disk")
    secret = secrets.get(NAME)
    teller.say("get", f"{secret.value!r}: it prints as a mask, and only reveal() shows it")
    again = secrets.get(NAME)
    teller.say("get again", f"from the {again.source}, {again.age * 1000:.1f} ms old: no message, no disk")
    names = ", ".join(info.name for info in secrets.list())
    teller.say("list", f"{names}: names and dates, never values")

    with ThreadPoolExecutor(1) as caller:
        killer.arm()
        answer = caller.submit(lambda: secrets.get(NAME, refresh=True))
        _check(killer.caught.wait(_PATIENCE), "no worker took up the get")
        _worker(system, killer.worker).kill()
        killer.release()
        secret = answer.result(_PATIENCE)
    _check(secret.reveal() == "correct horse battery staple", "the value is another one")
    teller.say(
        "killed",
        f"{killer.worker} with a get in its hands: another one took over,",
        "and the caller has its value without having noticed",
    )

    actor = system.whereis("secrets")
    _check(actor is not None, "there is no secrets actor")
    if actor is not None:
        actor.kill()
    secret = secrets.get(NAME, refresh=True)
    restarted = system.whereis("secrets")
    _check(restarted is not None and restarted is not actor, "the secrets actor was not restarted")
    _check(secret.reveal() == "correct horse battery staple", "the value is another one")
    teller.say(
        "killed", f"the secrets actor itself: its supervisor started {restarted!r},", "and the value is still there"
    )
    teller.draw(settled(system))

    gone = secrets.delete(NAME)
    teller.say("delete", f"softly: gone for good on {gone.deletion_date:%Y-%m-%d}, until then 'restore' brings it back")
    _check(secrets.list() == (), "the deleted secret is still listed")


def _worker(system: System, name: str) -> Pid:
    supervisor = system.whereis("workers")
    children = () if supervisor is None else supervisor.published.children
    for child in children:
        if child.pid is not None and f"{child.pid.label} #{child.pid.serial}" == name:
            worker: Pid = child.pid
            return worker
    raise ServiceError("the demonstration failed: the worker is not in the tree")


def settled(system: System) -> Tree:
    """Return the tree once nothing in it is being restarted or asked, so that it looks the same each time.

    After a second, return it as it is.
    """
    for _ in range(100):
        tree = system.tree()
        if all(node.state == "running" and not node.open_calls and not node.mailbox for node in tree.root.walk()):
            break
        sleep(0.01)
    return tree


def _check(holds: bool, problem: str) -> None:
    if not holds:
        raise ServiceError(f"the demonstration failed: {problem}")
