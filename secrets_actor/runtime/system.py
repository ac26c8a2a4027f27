"""A running system: start, stop, wait, look; on its own, or as a child of another program's supervisor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from secrets_actor.actor.failures import translated
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import StartFailed
from secrets_actor.domain.ports import BackendKit
from secrets_actor.otp import (
    SHUTDOWN,
    ChildSpec,
    Clock,
    Down,
    ExitReason,
    ExitSignal,
    GenServer,
    Handled,
    Kind,
    LifecycleEvent,
    NamedRef,
    Observer,
    OtpError,
    Pid,
    Restart,
    StartError,
    Stop,
    Tree,
    snapshot,
    spawn,
)
from secrets_actor.runtime import tree
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_source import load
from secrets_actor.runtime.wiring import SECRETS, assemble

Source = str | os.PathLike[str] | Settings | None
# Seconds that `stop` waits for the threads of processes that were cut off; one that hangs longer is left behind.
_THREADS_GRACE = 1.0


@dataclass(frozen=True, slots=True)
class CallbackFailed(LifecycleEvent):
    """`on_give_up` raised; `error_type` is what."""

    error_type: str


class System:
    """One supervision tree with its client. Make it with `start` or `child_spec`.

    `secrets` is the client for threads, `ref` what other pykka actors `ask` and `tell`. Both hold names, so they go on
    working after any restart.
    """

    def __init__(
        self,
        settings: Source = None,
        *,
        observer: Observer | None = None,
        on_give_up: Callable[[ExitReason], object] | None = None,
        clock: Clock | None = None,
        kit: BackendKit | None = None,
    ) -> None:
        self._root: Pid | None = None
        self.settings = load(settings)
        self._parts = assemble(self.settings, observer=observer, clock=clock, kit=kit)
        self._on_give_up = on_give_up
        self._stopping = False
        self._told_by: threading.Thread | None = None  # who runs on_give_up
        self._ended = threading.Event()
        self._reason: ExitReason | None = None
        node = self._parts.node
        self.secrets = Secrets(
            server=node.name(SECRETS),
            cache=self._parts.cache,
            audit=self._parts.trail,
            clock=node.clock,
            call_timeout=self.settings.call_timeout_seconds,
            running=self.is_running,
        )
        self.ref = NamedRef(node, SECRETS, translated)

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the tree; touches no network. Nothing if it runs already. Raises `StartFailed`."""
        if not self.is_running():
            self._start_root(link=False)
        return self

    def _start_root(self, *, link: bool) -> Pid:
        parts = self._parts
        self._ended.clear()
        self._stopping = False
        try:
            root = spawn(parts.node, lambda: tree.root(parts), label=tree.ROOT, link=link)
        except StartError as error:
            problem = str(error.reason)
        except OtpError as error:  # forked, or somebody else starts it at this moment
            problem = str(error)
        else:
            self._root = root
            root.monitor(self._on_end)
            return root
        self._ended.set()
        raise StartFailed(f"the tree did not come up: {problem}")

    def _on_end(self, down: Down) -> None:
        self._reason = down.reason
        if not self._stopping and self._on_give_up is not None:
            self._told_by = threading.current_thread()
            try:
                self._on_give_up(down.reason)
            except BaseException as error:  # noqa: BLE001  # the thread that ends the root has more to do
                self._parts.node.observe(CallbackFailed(tree.ROOT, type(error).__name__))
            finally:
                self._told_by = None
        if down.pid is self._root:  # else on_give_up has started another
            self._ended.set()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop the tree, last part first; what is not done in *timeout* seconds is cut off. Nothing if it has ended."""
        root = self._root
        if root is None or self._told_by is threading.current_thread():
            return
        self._stopping = True
        node, deadline = self._parts.node, time.monotonic() + timeout
        root.exit(SHUTDOWN, sender=root.parent)
        root.wait(timeout)
        # None, unless time is up, or the root was killed: then orphans end by themselves. Supervisors come first. Those
        # below another root are of the next tree, which a host may have started already.
        for pid in sorted((pid for pid in node.live if _is_below(root, pid)), key=lambda pid: pid.serial):
            if pid.wait(max(0.0, deadline - time.monotonic())) is None:
                pid.kill()
        for pid in node.disowned:
            if pid.thread is not None and pid.thread is not threading.current_thread():
                pid.thread.join(_THREADS_GRACE)

    def wait(self, timeout: float | None = None) -> ExitReason | None:
        """Wait until the tree has ended: the reason, or None after *timeout* seconds."""
        return self._reason if self._ended.wait(timeout) else None

    def is_running(self) -> bool:
        """Whether the tree is up."""
        return self._root is not None and self._root.is_alive()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- looking --------------------------------------------------------------------------------------------------

    def tree(self) -> Tree:
        """The tree as it is now; its `str` is a drawing. Raises `StartFailed` if it was never started."""
        if self._root is None:
            raise StartFailed("the system has not been started")
        return snapshot(self._root)

    def whereis(self, name: str) -> Pid | None:
        """The process that is registered as *name* now: `secrets`, `workers`, `audit`, `timers`."""
        return self._parts.node.registry.whereis(name)

    def __repr__(self) -> str:
        settings = getattr(self, "settings", None)  # none yet, if it is shown in the traceback of a bad configuration
        return f"<System {settings and settings.backend} {'running' if self.is_running() else 'stopped'}>"


def _is_below(root: Pid, pid: Pid | None) -> bool:
    while pid is not None and pid is not root:
        pid = pid.parent
    return pid is root


class _Hosted(GenServer):
    """Stands for our root in another program's tree: ours has names, timers and an observer of its own."""

    trap_exit = True

    def __init__(self, system: System) -> None:
        self._system = system

    def init(self) -> Any:
        """Bring our tree up."""
        self._root = self.me.published = self._system._start_root(link=True)

    def handle_info(self, message: Any) -> Handled:
        """Our root has given up: so does this, for the same reason."""
        if isinstance(message, ExitSignal) and message.sender is self._root:
            return Stop(message.reason)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Take our tree down."""
        self._system._stopping = True
        self._root.exit(SHUTDOWN, sender=self.me)
        self._root.wait()


@dataclass(frozen=True, slots=True)
class SystemSpec(ChildSpec):
    """A child spec for our tree; `system` is the System that it runs."""

    system: System | None = None


def start(
    source: Source = None,
    *,
    observer: Observer | None = None,
    on_give_up: Callable[[ExitReason], object] | None = None,
) -> System:
    """Start a system from a configuration file's path, from `Settings`, or (None) from SECRETS_ACTOR_CONFIG or the
    defaults: the encrypted local store.

    *observer* is told every life-cycle event of the tree; *on_give_up* that the root has given up, with the reason.
    Raises `ConfigurationError`, `StartFailed`.
    """
    return System(source, observer=observer, on_give_up=on_give_up).start()


def child_spec(source: Source = None, *, id: str = "secrets_actor", observer: Observer | None = None) -> SystemSpec:
    """Our tree as a child of another program's `otp.Supervisor`. The spec's `system` has the client and the ref.

    Raises `ConfigurationError`.
    """
    system = System(source, observer=observer)
    return SystemSpec(id, lambda: _Hosted(system), restart=Restart.PERMANENT, kind=Kind.SUPERVISOR, system=system)
