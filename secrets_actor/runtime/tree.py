"""The tree as data: the same as in supervision.md, where the reasons stand.

What others lean on starts first and stops last. Intensities: a kill by hand now and then must never take the system
down; a child that cannot live must, within seconds, for then only the embedding program can help.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Final

from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.prefetch_plan import Wanted
from secrets_actor.actor.prefetcher import Prefetcher
from secrets_actor.actor.secrets_actor import Limits, SecretsActor
from secrets_actor.actor.subscriber import Rhythm, Subscriber
from secrets_actor.actor.worker import Worker
from secrets_actor.actor.worker_supply import PoolOptions
from secrets_actor.client.background import Background
from secrets_actor.client.base_client import ClientParts
from secrets_actor.clock import wall_time
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
from secrets_actor.runtime.wiring import AUDIT, PREFETCHES, SECRETS, SUBSCRIBERS, WORKERS, SystemParts
from secrets_actor.telemetry.audit_process import AuditProcess

ROOT: Final = "secrets_actor"
ROOT_FLAGS: Final = Flags(Strategy.REST_FOR_ONE, intensity=3, period=60.0)
INFRA_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
CORE_FLAGS: Final = Flags(Strategy.REST_FOR_ONE, intensity=10, period=10.0)
# Workers end for reasons that lie outside: connections that hang are cut off with their workers. All of them may go
# several times within one outage before that means that the process itself is sick.
WORKERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
# What works for callers in the background must not take down what they all lean on.
BACKGROUND_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
SUBSCRIBERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
PREFETCHES_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
# Seconds a subscriber has when the system stops; a callback that is under way is cut off.
SUBSCRIBER_SHUTDOWN: Final = 1.0
# Prefetches under way at a time: each has a thread, and one question out.
MAX_PREFETCHES: Final = 16
# Seconds within which the prefetch of the start begins.
PREFETCH_SPREAD: Final = 1.0
# Seconds a worker has to finish its exchange when the system stops.
WORKER_SHUTDOWN: Final = 2.0
# A worker that ends again and again is started more and more slowly, for what ends it lies outside; but not the first
# times, for somebody's job waits for it.
WORKER_BACKOFF: Final = Backoff(initial=0.02, factor=2.0, maximum=5.0, jitter=0.5, stable=30.0, at_once=2)


def worker_spec(parts: SystemParts) -> ChildSpec:
    """One worker. Transient: one that was told to go is not started again."""
    present, owner, meter = parts.present, parts.node.name(SECRETS), parts.meters
    return ChildSpec(
        "worker",
        lambda: Worker(present, owner, meter),
        restart=Restart.TRANSIENT,
        shutdown=WORKER_SHUTDOWN,
        backoff=WORKER_BACKOFF,
    )


def secrets_actor(parts: SystemParts) -> SecretsActor:
    """The secrets actor."""
    settings = parts.settings
    return SecretsActor(
        present=parts.present,
        cache=parts.cache,
        audit=parts.trail,
        pool=PoolOptions(
            parts.node.name(WORKERS),
            worker_spec(parts),
            settings.max_workers,
            settings.worker_idle_seconds,
            BreakerRules(settings.breaker_failures),
        ),
        limits=Limits(settings.call_timeout_seconds, settings.max_pending),
        wall_clock=parts.wall_clock,
        subscriptions=parts.subscriptions,
        meter=parts.meters,
        leaps=parts.leaps,
    )


def subscriber_spec(parts: SystemParts, number: int) -> ChildSpec:
    """The process of subscription *number*. Transient: one whose subscription was cancelled is not started again."""
    settings, table, secrets = parts.settings, parts.subscriptions, parts.node.name(SECRETS)
    rhythm = Rhythm(settings.ttl_seconds, settings.ttl_jitter, random.random)
    return ChildSpec(
        "subscriber",
        lambda: Subscriber(number, table, secrets, rhythm),
        restart=Restart.TRANSIENT,
        shutdown=SUBSCRIBER_SHUTDOWN,
    )


def prefetch_spec(parts: SystemParts, wanted: Wanted, spread: float = 0.0) -> ChildSpec:
    """The process of one prefetch. Transient: one that is done is not started again."""
    secrets, cache = parts.node.name(SECRETS), parts.cache
    return ChildSpec(
        "prefetch",
        lambda: Prefetcher(wanted, secrets, cache, spread, random.random),
        restart=Restart.TRANSIENT,
        backoff=WORKER_BACKOFF,
    )


def _first_prefetch(parts: SystemParts) -> Iterator[ChildSpec]:
    section = parts.settings.prefetch
    wanted = Wanted.of(section.names, section.prefixes, section.tags)
    if wanted:
        yield prefetch_spec(parts, wanted, PREFETCH_SPREAD)


def _background(parts: SystemParts) -> tuple[ChildSpec, ...]:
    table = parts.subscriptions
    subscribers = ChildSpec(
        SUBSCRIBERS,
        lambda: DynamicSupervisor(
            SUBSCRIBERS_FLAGS, initial=lambda: (subscriber_spec(parts, number) for number in table.numbers)
        ),
        kind=Kind.SUPERVISOR,
        name=SUBSCRIBERS,
    )
    prefetches = ChildSpec(
        PREFETCHES,
        lambda: DynamicSupervisor(PREFETCHES_FLAGS, MAX_PREFETCHES, initial=lambda: _first_prefetch(parts)),
        kind=Kind.SUPERVISOR,
        name=PREFETCHES,
    )
    return subscribers, prefetches


def children(parts: SystemParts) -> tuple[ChildSpec, ...]:
    """The children of the root."""
    audit = ChildSpec(AUDIT, lambda: AuditProcess(parts.trail, parts.audit_log, wall_time), name=AUDIT)
    workers = ChildSpec(
        WORKERS,
        lambda: DynamicSupervisor(WORKERS_FLAGS, parts.settings.max_workers),
        kind=Kind.SUPERVISOR,
        name=WORKERS,
    )
    return (
        supervisor_spec("infra", INFRA_FLAGS, [ChildSpec("timers", TimerServer, name="timers"), audit]),
        supervisor_spec("core", CORE_FLAGS, [workers, ChildSpec(SECRETS, lambda: secrets_actor(parts), name=SECRETS)]),
        supervisor_spec("background", BACKGROUND_FLAGS, _background(parts)),
    )


def root(parts: SystemParts) -> Supervisor:
    """The root supervisor."""
    return Supervisor(ROOT_FLAGS, children(parts))


def client_parts(parts: SystemParts, running: Callable[[], bool]) -> ClientParts:
    """What the clients of a system of *parts* are made of. *running*: whether its tree is up, or could be brought
    up."""
    node = parts.node
    background = Background(
        subscriptions=parts.subscriptions,
        subscribers=node.name(SUBSCRIBERS),
        subscriber=lambda number: subscriber_spec(parts, number),
        prefetches=node.name(PREFETCHES),
        prefetcher=lambda wanted: prefetch_spec(parts, wanted),
        observe=node.observe,
        cache=parts.cache,
        clock=node.clock,
        running=running,
    )
    return ClientParts(
        server=node.name(SECRETS),
        cache=parts.cache,
        audit=parts.trail,
        clock=node.clock,
        call_timeout=parts.settings.call_timeout_seconds,
        running=running,
        background=background,
        tracer=parts.tracer,
    )
