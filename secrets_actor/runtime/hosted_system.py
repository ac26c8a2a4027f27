"""Our tree as a child of another program's supervisor."""

from __future__ import annotations

from typing import Any

from secrets_actor.otp import (
    SHUTDOWN,
    ChildSpec,
    ExitReason,
    ExitSignal,
    GenServer,
    Handled,
    Kind,
    Observer,
    Restart,
    StartError,
    Stop,
)
from secrets_actor.runtime.system import Source, System


class Hosted(GenServer):
    """Stands for our root in another program's tree: ours has names, timers and an observer of its own."""

    trap_exit = True

    def __init__(self, system: System) -> None:
        self._system = system

    def init(self) -> Any:
        """Bring our tree up."""
        try:
            self._root = self.me.published = self._system.start_linked()
        except StartError as error:  # no thread: the supervisor knows what to do
            return Stop(error.reason)
        return None

    def handle_info(self, message: Any) -> Handled:
        """Our root has given up: so does this, for the same reason."""
        if isinstance(message, ExitSignal) and message.sender is self._root:
            return Stop(message.reason)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Take our tree down."""
        self._system.expect_end()
        self._root.exit(SHUTDOWN, sender=self.me)
        self._root.wait()


class SystemSpec(ChildSpec, frozen=True):
    """A child spec for our tree; `system` is the System that it runs."""

    system: System | None = None


def child_spec(source: Source = None, *, id: str = "secrets_actor", observer: Observer | None = None) -> SystemSpec:
    """Our tree as a child of another program's `otp.Supervisor`. The spec's `system` has the client and the ref.

    Raises `ConfigurationError`.
    """
    system = System(source, observer=observer)
    return SystemSpec(id, lambda: Hosted(system), restart=Restart.PERMANENT, kind=Kind.SUPERVISOR, system=system)
