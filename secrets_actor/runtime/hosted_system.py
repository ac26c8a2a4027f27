"""Runs our tree as a child of another program's supervisor."""

from __future__ import annotations

from typing import Any

from secrets_actor.domain.ports import BackendFactory
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
from secrets_actor.runtime.system import Children, Source, System, expect_end, start_linked


class SystemProcess(GenServer):
    """The process that stands for our root in another program's tree.

    Our tree is not simply a part of the other one, because it has a node of its own: names, timers, and an observer.
    """

    trap_exit = True

    def __init__(self, system: System) -> None:
        self._system = system

    def init(self) -> Any:
        """Start our tree, linked to this process."""
        try:
            self._root = self.me.published = start_linked(self._system)
        except StartError as error:  # the machine had no thread: the supervisor may try again
            return Stop(error.reason)
        return None

    def handle_info(self, message: Any) -> Handled:
        """Stop for the same reason if our root has given up."""
        if isinstance(message, ExitSignal) and message.sender is self._root:
            return Stop(message.reason)
        return None

    def terminate(self, reason: ExitReason) -> None:  # noqa: ARG002
        """Stop our tree, and wait for its end."""
        expect_end(self._system)
        self._root.exit(SHUTDOWN, sender=self.me)
        self._root.wait()


class SystemSpec(ChildSpec, frozen=True, kw_only=True):
    """A child spec for our tree. `system` is the `System` that it runs, with the clients."""

    system: System


def child_spec(
    source: Source = None,
    *,
    id: str = "secrets_actor",
    observer: Observer | None = None,
    children: Children | None = None,
    backend: BackendFactory | None = None,
) -> SystemSpec:
    """Our tree as a child of another program's `otp.Supervisor`. The spec's `system` has the client and the ref.
    *source*, *observer*, *children* and *backend* are as for `start`. If our tree gives up, that supervisor decides
    what happens next.

        import secrets_actor
        from secrets_actor import otp

        class Greeter(otp.GenServer):
            def __init__(self, secrets: secrets_actor.Secrets) -> None:
                self.secrets = secrets

            def handle_call(self, request: str, caller: otp.From[str]) -> otp.Reply:
                return otp.Reply(f"{request}, version {self.secrets.get('greeting/key').version_id[:8]}")

        spec = secrets_actor.child_spec()              # or child_spec("config/aws.toml"), or child_spec(settings)
        children = [spec, otp.ChildSpec("greeter", lambda: Greeter(spec.system.secrets), name="greeter")]
        node = otp.Node()
        flags = otp.Flags(otp.Strategy.REST_FOR_ONE)
        host = otp.spawn(node, lambda: otp.Supervisor(flags, children), label="host")
        spec.system.secrets.set("greeting/key", "s3cret")
        print(otp.call(node.name("greeter"), "hello"))
        print(otp.snapshot(host))                      # the whole tree: the program's, with ours in it
        host.exit(otp.SHUTDOWN)
        host.wait()

    Raises `ConfigurationError`, `InvalidParameter`.
    """
    system = System(source, observer=observer, children=children, backend=backend)
    return SystemSpec(id, lambda: SystemProcess(system), restart=Restart.PERMANENT, kind=Kind.SUPERVISOR, system=system)
