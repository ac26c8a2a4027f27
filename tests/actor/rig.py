"""What the tests of the running actor lean on: a store of their own behind the Backend port, and eyes on the tree.

`RigStore` is a user's backend, in memory: it keeps versions by token as the contract demands, notes every operation,
and holds those a test wants to catch in the middle.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from secrets_actor import LocalSettings, LogSettings, Settings, System
from secrets_actor.clock import now as clock_now
from secrets_actor.domain.errors import SecretNotFound
from secrets_actor.domain.operations import Delete, Get, List, Operation, Set
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext, CredentialSource
from secrets_actor.domain.results import SecretDescription
from secrets_actor.domain.secret import DeleteReceipt, Secret, SecretValue, SetReceipt
from secrets_actor.otp import LifecycleEvent, Pid

T = TypeVar("T")
PATIENCE: Final = 15.0
ARN: Final = "arn:local:secretsmanager:local:000000000000:secret:{}-aBcDeF"


def eventually(holds: Callable[[], object], what: str = "it") -> None:
    """Return when *holds* is true. Raises `AssertionError` after `PATIENCE` seconds."""
    deadline = clock_now() + PATIENCE
    while not holds():
        assert clock_now() < deadline, f"{what} did not come about"
        threading.Event().wait(0.005)


def in_background(call: Callable[[], T]) -> "Future[T]":
    """Run *call* in a thread of its own."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def failure(call: Callable[[], object]) -> BaseException:
    """What *call* raises."""
    try:
        found = call()
    except Exception as error:
        return error
    raise AssertionError(f"nothing was raised, but {found!r} returned")


@dataclass(eq=False)
class Hold:
    """Catches operations of one kind, for one secret or all: before they take effect, or after."""

    kind: str
    name: str | None
    after: bool
    caught: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    go: threading.Event = field(default_factory=threading.Event)
    workers: list[Pid] = field(default_factory=list)

    def wait(self) -> Pid:
        """Return when one (more) is caught: its worker."""
        assert self.caught.acquire(timeout=PATIENCE), f"no {self.kind} came"
        return self.workers[-1]

    def wants(self, operation: Operation[Any]) -> bool:
        """Whether *operation* is to be held."""
        wanted = self.name is None or self.name == getattr(operation, "secret_id", None)
        return operation.kind == self.kind and wanted and not self.go.is_set()


class RigStore:
    """The store. `seen` is every operation that reached it, in order; `connections` how many were opened."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.versions: dict[str, list[tuple[str, SecretValue]]] = {}
        self.seen: list[Operation[Any]] = []
        self.contexts: list[CallContext] = []
        self.connections = self.closed = 0
        self.holds: list[Hold] = []
        self.before: Callable[[Operation[Any], CallContext], None] = lambda _operation, _context: None

    def factory(self, credentials: CredentialSource[Any] | None = None) -> BackendFactory:
        """How the runtime opens it."""
        return BackendFactory("rig", lambda: _Connection(self), credentials)

    def hold(self, kind: str, name: str | None = None, *, after: bool = False) -> Hold:
        """Catch operations from now on, until its `go` is set."""
        self.holds.append(Hold(kind, name, after))
        return self.holds[-1]

    def count(self, kind: str) -> int:
        """How many operations of *kind* reached it."""
        return Counter(one.kind for one in list(self.seen))[kind]

    def put(self, name: str, value: str) -> None:
        """As if somebody else had set it."""
        self.set(Set(name, SecretValue(value), f"{len(self.versions.get(name, ())):032}"))

    def set(self, operation: Set) -> SetReceipt:
        """The rule of the contract: a token makes one version, however often it comes."""
        assert operation.token is not None
        name = operation.secret_id
        with self.lock:
            created = name not in self.versions
            versions = self.versions.setdefault(name, [])
            if operation.token not in [token for token, _ in versions]:
                versions.append((operation.token, operation.value))
        return SetReceipt(name, ARN.format(name), operation.token, created)

    def get(self, operation: Get) -> Secret:
        """The newest version."""
        name = operation.secret_id
        with self.lock:
            if name not in self.versions:
                raise SecretNotFound(f"no secret {name} in the rig")
            token, value = self.versions[name][-1]
        return Secret(name, ARN.format(name), value, token, ("AWSCURRENT",), datetime(2026, 1, 1, tzinfo=UTC))

    def perform(self, operation: Operation[Any]) -> Any:
        """What it does."""
        match operation:
            case Get():
                return self.get(operation)
            case Set():
                return self.set(operation)
            case Delete():
                with self.lock:
                    self.versions.pop(operation.secret_id, None)
                name = operation.secret_id
                return DeleteReceipt(name, ARN.format(name), datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=30))
            case List():
                with self.lock:
                    return tuple(SecretDescription(name, ARN.format(name)) for name in sorted(self.versions))
        raise AssertionError(f"the rig knows no {operation.kind}")


class _Connection(Backend):
    def __init__(self, rig_store: RigStore) -> None:
        self._shelf = rig_store
        rig_store.connections += 1

    @property
    def name(self) -> str:
        return "rig"

    def perform(self, operation: Operation[T], context: CallContext) -> Answer[T]:
        from secrets_actor.otp.pid import current

        rig_store = self._shelf
        rig_store.seen.append(operation)
        rig_store.contexts.append(context)
        rig_store.before(operation, context)
        holds = [hold for hold in rig_store.holds if hold.wants(operation)]
        done: Any = None if any(not hold.after for hold in holds) else rig_store.perform(operation)
        for hold in holds:
            here = current()
            assert here is not None
            hold.workers.append(here)
            hold.caught.release()
            hold.go.wait(2 * PATIENCE)
        return Answer(done if done is not None else rig_store.perform(operation), "request-1")

    def close(self) -> None:
        self._shelf.closed += 1


class Watch:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[LifecycleEvent] = []

    def __call__(self, event: LifecycleEvent) -> None:
        self.events.append(event)

    def count(self, kind: str, process: str | None = None) -> int:
        """How many events of the class named *kind* there were."""
        return sum(type(one).__name__ == kind and process in (None, one.process) for one in list(self.events))


def settings(folder: Path, **given: Any) -> Settings:
    """Settings for the local store in *folder*, logging into a file beside it."""
    log = LogSettings(output=str(folder / "log"))
    return Settings(**{"local": LocalSettings(path=folder / "store"), "log": log, **given})


@contextlib.contextmanager
def running(system: System, *stores: RigStore) -> Iterator[System]:
    """*system* started; stopped at the end, with all holds let go."""
    try:
        yield system.start()
    finally:
        for rig_store in stores:
            for hold in rig_store.holds:
                hold.go.set()
        system.stop()


def process(system: System, name: str) -> Pid:
    """The process that has *name* now."""
    eventually(lambda: (pid := system.whereis(name)) is not None and pid.is_alive(), f"a process {name}")
    pid = system.whereis(name)
    assert pid is not None
    return pid


def kill(system: System, name: str) -> Pid:
    """Kill the process that has *name*, and wait for the next to have it: the next."""
    killed = process(system, name)
    killed.kill()
    eventually(lambda: system.whereis(name) not in (None, killed), f"another {name}")
    return process(system, name)


def supervisor(system: System, label: str) -> Pid:
    """A supervisor of the tree, by its label: the one above a process that has a name."""
    below = {"infra": "audit", "faces": "subscribers"}.get(label, "workers")
    pid: Pid | None = process(system, below)
    while pid is not None and pid.label != label:
        pid = pid.parent
    assert pid is not None, f"no supervisor {label}"
    return pid


def workers(system: System) -> list[Pid]:
    """The workers there are."""
    return [row.pid for row in process(system, "workers").published.children if row.pid is not None]


def some_worker(system: System) -> Pid:
    """One of the workers: the first that its supervisor knows of, which may be a moment after it has begun."""
    eventually(lambda: workers(system), "a worker")
    return workers(system)[0]


def whole(system: System) -> bool:
    """Whether every process of the tree runs, and none has anything to do."""
    return all(
        node.state == "running" and not node.open_calls and not node.mailbox for node in system.tree().root.walk()
    )


def audit_log(folder: Path) -> list[dict[str, Any]]:
    """What was written to the log of `settings` by the audit."""
    import json

    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == "audit"]
