"""The tree as data: the same as in supervision.md, where the reasons stand.

Who is leaned on starts first and stops last. Intensities: a kill by hand now and then must never take the system down;
a child that cannot live must, within seconds, for then only the embedding program can help.
"""

from __future__ import annotations

from typing import Final

from secrets_actor.actor.secrets_actor import Limits, SecretsActor
from secrets_actor.actor.staff import Crew
from secrets_actor.actor.worker import Worker
from secrets_actor.otp import (
    ChildSpec,
    DynamicSupervisor,
    Flags,
    InitResult,
    Kind,
    Restart,
    Strategy,
    Supervisor,
    TimerServer,
)
from secrets_actor.runtime.wiring import AUDIT, SECRETS, WORKERS, Parts
from secrets_actor.telemetry.audit_server import AuditServer

ROOT: Final = "secrets_actor"
ROOT_FLAGS: Final = Flags(Strategy.REST_FOR_ONE, intensity=3, period=60.0)
INFRA_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
CORE_FLAGS: Final = Flags(Strategy.REST_FOR_ONE, intensity=10, period=10.0)
# Workers end for reasons that lie outside: connections that hang are cut off with their workers. All of them may go
# several times within one outage before that means that the process itself is sick.
WORKERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
# Seconds a worker has to finish its exchange when the system stops.
WORKER_SHUTDOWN: Final = 2.0
# Seconds that a new supervisor waits for the processes of a killed one: workers take longest.
LEAVE_GRACE: Final = 10.0


def worker_spec(parts: Parts) -> ChildSpec:
    """One worker. Transient: one that was told to go is not started again."""
    owner = parts.node.name(SECRETS)
    return ChildSpec("worker", lambda: Worker(parts.kit, owner), restart=Restart.TRANSIENT, shutdown=WORKER_SHUTDOWN)


def secrets_actor(parts: Parts) -> SecretsActor:
    """The secrets actor."""
    settings = parts.settings
    return SecretsActor(
        kit=parts.kit,
        cache=parts.cache,
        audit=parts.trail,
        crew=Crew(parts.node.name(WORKERS), worker_spec(parts), settings.max_workers),
        limits=Limits(settings.call_timeout_seconds, settings.max_pending),
        wall_clock=parts.wall_clock,
    )


class Successor(Supervisor):
    """A supervisor that lets the processes of a killed predecessor end first: they hold the names, and every start that
    fails for that would count as a restart."""

    def __init__(self, flags: Flags, children: tuple[ChildSpec, ...]) -> None:
        super().__init__(flags, children)
        self._names = [spec.name for spec in children if spec.name is not None]

    def init(self) -> InitResult:
        """Wait, then start the children."""
        deadline = self.node.clock.now() + LEAVE_GRACE
        for name in self._names:
            holder = self.node.registry.whereis(name)
            if holder is not None:
                holder.wait(max(0.0, deadline - self.node.clock.now()))
        return super().init()


def _successor(child: str, flags: Flags, *children: ChildSpec) -> ChildSpec:
    return ChildSpec(child, lambda: Successor(flags, children), kind=Kind.SUPERVISOR)


def children(parts: Parts) -> tuple[ChildSpec, ...]:
    """The children of the root."""
    audit = ChildSpec(AUDIT, lambda: AuditServer(parts.trail, parts.audit_log, parts.report_lost), name=AUDIT)
    workers = ChildSpec(
        WORKERS,
        lambda: DynamicSupervisor(WORKERS_FLAGS, parts.settings.max_workers),
        kind=Kind.SUPERVISOR,
        name=WORKERS,
    )
    return (
        _successor("infra", INFRA_FLAGS, ChildSpec("timers", TimerServer, name="timers"), audit),
        _successor("core", CORE_FLAGS, workers, ChildSpec(SECRETS, lambda: secrets_actor(parts), name=SECRETS)),
    )


def root(parts: Parts) -> Supervisor:
    """The root supervisor."""
    return Supervisor(ROOT_FLAGS, children(parts))
