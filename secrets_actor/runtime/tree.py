"""The supervision tree as data: specs and flags. supervision.md has the same tree, with the reasons.

Rule 1: processes that others depend on start first and stop last.
Rule 2: a restart intensity is so high that a kill by hand now and then never takes the system down, and so low that a
        child that cannot live does so within seconds: then only the embedding program can help.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Final

from msgspec.structs import replace

from secrets_actor.actor.breaker import BreakerRules
from secrets_actor.actor.prefetch_plan import Wanted
from secrets_actor.actor.prefetcher import Prefetcher
from secrets_actor.actor.secrets_actor import Limits, SecretsActor
from secrets_actor.actor.subscriber import AskSchedule, Subscriber
from secrets_actor.actor.worker import Worker
from secrets_actor.actor.worker_supply import PoolOptions
from secrets_actor.client.background import Background
from secrets_actor.client.base_client import ClientParts
from secrets_actor.clock import wall_time
from secrets_actor.coroutines import closed
from secrets_actor.domain.errors import InvalidParameter
from secrets_actor.otp import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    Flags,
    InvalidTree,
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
# Workers end for reasons that lie outside the process: a connection that hangs is cut off together with its worker. In
# one outage all of them may end several times, and this does not mean that the process itself is sick.
WORKERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
# Background work for single callers must not take down the core, which serves all callers.
BACKGROUND_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
# A process that a program has added is started again twice at once, and then after pauses that grow to half a minute,
# unless its spec has a backoff of its own. So a message queue that is away costs the program that one process for a
# while, and never the secrets of all the others.
PROGRAM_BACKOFF: Final = Backoff(initial=0.1, factor=2.0, maximum=30.0, jitter=0.2, stable=60.0, at_once=2)
# For each process that a program has added: with the backoff above, one process makes nine restarts in 10 s at most, so
# that `faces` gives up only over a process with a backoff of its own that is shorter.
PROGRAM_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
SUBSCRIBERS_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=100, period=10.0)
PREFETCHES_FLAGS: Final = Flags(Strategy.ONE_FOR_ONE, intensity=10, period=10.0)
# Seconds that a subscriber has to end when the system stops. A callback that takes longer is cut off.
SUBSCRIBER_SHUTDOWN: Final = 1.0
# Prefetches that may be under way at a time: each has a thread, and one request at the store.
MAX_PREFETCHES: Final = 16
# The prefetch at the start begins at a random moment within this many seconds: many programs that are started together
# must not all ask the store at once.
PREFETCH_SPREAD: Final = 1.0
# Seconds that a worker has to finish its exchange when the system stops.
WORKER_SHUTDOWN: Final = 2.0
# A worker that ends again and again is restarted more and more slowly, because the cause lies outside. The first
# restarts come at once, because a caller's job waits for the worker.
WORKER_BACKOFF: Final = Backoff(initial=0.02, factor=2.0, maximum=5.0, jitter=0.5, stable=30.0, at_once=2)


def worker_spec(parts: SystemParts) -> ChildSpec:
    """Return the spec of a worker. Transient: a worker that was told to end is not restarted."""
    current_backend, owner, meter = parts.current_backend, parts.node.name(SECRETS), parts.meters
    return ChildSpec(
        "worker",
        lambda: Worker(current_backend, owner, meter),
        restart=Restart.TRANSIENT,
        shutdown=WORKER_SHUTDOWN,
        backoff=WORKER_BACKOFF,
    )


def secrets_actor(parts: SystemParts) -> SecretsActor:
    """Make the secrets actor."""
    settings = parts.settings
    return SecretsActor(
        current_backend=parts.current_backend,
        cache=parts.cache,
        audit=parts.audit_buffer,
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
    """Return the spec for the process of subscription *number*. Transient: not restarted once that is cancelled."""
    settings, table, secrets = parts.settings, parts.subscriptions, parts.node.name(SECRETS)
    backend = parts.current_backend
    schedule = AskSchedule(settings.ttl_seconds, settings.ttl_jitter, random.random)
    return ChildSpec(
        "subscriber",
        lambda: Subscriber(number, table, secrets, schedule, lambda: backend.factory.tells_versions),
        restart=Restart.TRANSIENT,
        shutdown=SUBSCRIBER_SHUTDOWN,
    )


def prefetch_spec(parts: SystemParts, wanted: Wanted, spread: float = 0.0) -> ChildSpec:
    """Return the spec for the process of one prefetch, which begins within *spread* seconds.

    Transient: a prefetch that is done is not restarted.
    """
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


def checked_added(given: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
    """The child specs that a program has *given*, each with a backoff. Raises `InvalidParameter`."""
    # A function without a `return` gives None, and one with a single child may give that alone.
    several = isinstance(given, Iterable)
    if not several:
        closed(given)  # if it is a coroutine: else Python warns as well that nobody awaited it
    specs = tuple(given) if several else ()
    wrong: list[object] = [one for one in specs if not isinstance(one, ChildSpec)] if several else [given]
    problem = f"not {type(wrong[0]).__name__}" if wrong else None
    try:
        if problem is None:
            Supervisor(PROGRAM_FLAGS, specs)  # it checks what it is to start
            return tuple(one if one.backoff is not None else replace(one, backoff=PROGRAM_BACKOFF) for one in specs)
    except InvalidTree as error:
        problem = str(error)
    raise InvalidParameter("children", f"a function that takes the client and returns otp.ChildSpecs: {problem}")


def _program_supervisor(added: tuple[ChildSpec, ...]) -> ChildSpec:
    """The supervisor of what a program has *added*.

    At the start of the tree, a process that cannot be started is an error, which the program hears at once. When
    `faces` is started again later, such as because `core` was, that process is tried again after a pause: the root
    makes three restarts in a minute, and must not spend them on a message queue that is away.
    """
    flags = replace(PROGRAM_FLAGS, intensity=PROGRAM_FLAGS.intensity * len(added))
    starts = count()
    return ChildSpec("faces", lambda: Supervisor(flags, added, keeps_trying=next(starts) > 0), kind=Kind.SUPERVISOR)


def children(parts: SystemParts, added: tuple[ChildSpec, ...] = ()) -> tuple[ChildSpec, ...]:
    """The children of the root. *added*: what a program adds; without any there is no supervisor for it, for that would
    be one more thread to wait for at each start."""
    audit = ChildSpec(AUDIT, lambda: AuditProcess(parts.audit_buffer, parts.audit_log, wall_time), name=AUDIT)
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
        *([_program_supervisor(added)] if added else ()),
    )


def root(parts: SystemParts, added: tuple[ChildSpec, ...] = ()) -> Supervisor:
    """The root supervisor; with what a program has *added*."""
    return Supervisor(ROOT_FLAGS, children(parts, added))


def client_parts(parts: SystemParts, running: Callable[[], bool]) -> ClientParts:
    """Return the objects that the clients of a system use. *running*: whether its tree is up, or could be made so."""
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
        audit=parts.audit_buffer,
        clock=node.clock,
        call_timeout=parts.settings.call_timeout_seconds,
        running=running,
        background=background,
        tracer=parts.tracer,
    )
