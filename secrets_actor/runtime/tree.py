"""The tree as data: the same as in supervision.md, where the reasons stand.

Who is leaned on starts first and stops last. Intensities: a kill by hand now and then must never take the system down;
a child that cannot live must, within seconds, for then only the embedding program can help.
"""

from __future__ import annotations

import time
from typing import Final

from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.secrets_actor import Limits, SecretsActor
from secrets_actor.actor.staff import Crew
from secrets_actor.actor.worker import Worker
from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    Kind,
    Restart,
    Strategy,
    Supervisor,
    TimerServer,
    supervisor_spec,
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
# A worker that ends again and again is started more and more slowly, for what ends it lies outside.
WORKER_BACKOFF: Final = Backoff(initial=0.01, factor=2.0, maximum=5.0, jitter=0.5, stable=30.0)


def worker_spec(parts: Parts) -> ChildSpec:
    """One worker. Transient: one that was told to go is not started again."""
    present, owner, meter = parts.present, parts.node.name(SECRETS), parts.meters
    return ChildSpec(
        "worker",
        lambda: Worker(present, owner, meter),
        restart=Restart.TRANSIENT,
        shutdown=WORKER_SHUTDOWN,
        backoff=WORKER_BACKOFF,
    )


def secrets_actor(parts: Parts) -> SecretsActor:
    """The secrets actor."""
    settings = parts.settings
    return SecretsActor(
        present=parts.present,
        cache=parts.cache,
        audit=parts.trail,
        crew=Crew(
            parts.node.name(WORKERS),
            worker_spec(parts),
            settings.max_workers,
            settings.worker_idle_seconds,
            BreakerRules(settings.breaker_failures),
        ),
        limits=Limits(settings.call_timeout_seconds, settings.max_pending),
        wall_clock=parts.wall_clock,
        meter=parts.meters,
    )


def children(parts: Parts) -> tuple[ChildSpec, ...]:
    """The children of the root."""
    audit = ChildSpec(AUDIT, lambda: AuditServer(parts.trail, parts.audit_log, time.time), name=AUDIT)
    workers = ChildSpec(
        WORKERS,
        lambda: DynamicSupervisor(WORKERS_FLAGS, parts.settings.max_workers),
        kind=Kind.SUPERVISOR,
        name=WORKERS,
    )
    return (
        supervisor_spec("infra", INFRA_FLAGS, [ChildSpec("timers", TimerServer, name="timers"), audit]),
        supervisor_spec("core", CORE_FLAGS, [workers, ChildSpec(SECRETS, lambda: secrets_actor(parts), name=SECRETS)]),
    )


def root(parts: Parts) -> Supervisor:
    """The root supervisor."""
    return Supervisor(ROOT_FLAGS, children(parts))
