"""Settings become objects: what a tree is made of."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_rules import CacheRules
from secrets_actor.actor.present_kit import PresentKit
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.clock import SystemClock, WallLeaps, utc_now
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.domain.tracing import Tracer
from secrets_actor.otp import Clock, LifecycleEvent, Node, Observer
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.tree_metrics import EventCounter, register_gauges
from secrets_actor.telemetry.audit_buffer import AuditBuffer, AuditRules
from secrets_actor.telemetry.audit_log import AuditLog
from secrets_actor.telemetry.lifecycle_log import Reports
from secrets_actor.telemetry.logs import make_logger
from secrets_actor.telemetry.meters import Meters

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key import MasterKeySource

AUDIT, WORKERS, SECRETS, SUBSCRIBERS, PREFETCHES = "audit", "workers", "secrets", "subscribers", "prefetches"


class SystemParts(Struct, frozen=True):
    """What the processes of one system share."""

    settings: Settings
    node: Node
    present: PresentKit
    cache: Cache
    subscriptions: Subscriptions
    trail: AuditBuffer
    audit_log: AuditLog
    reports: Reports
    meters: Meters
    wall_clock: Callable[[], datetime]
    leaps: Callable[[], float] | None  # of the wall clock; None where a test moves the time
    tracer: Tracer | None = None


class StoreMade(LifecycleEvent, frozen=True):
    """An empty local store was made in *folder*, under the master key in *sealed_by*."""

    folder: str
    sealed_by: str
    advice: str = "keep a copy of the key in another place: without it nobody can read the store or a backup of it"


def assemble(
    settings: Settings,
    *,
    observer: Observer | None = None,
    clock: Clock | None = None,
    factory: BackendFactory | None = None,
    tracer: Tracer | None = None,
) -> SystemParts:
    """The parts for *settings*. *observer* hears of life-cycle events beside the log; *factory* takes the place of the
    configured store."""
    logger, meters = make_logger(format=settings.log.format, output=settings.log.output), Meters()
    observe = Reports(EventCounter(meters), logger, observer, meters)
    node, audit_log = Node(observe, clock, explains=False), AuditLog(logger, meters)
    cache = Cache(cache_rules(settings), random.random)
    subscriptions = Subscriptions()
    register_gauges(meters, node, cache, subscriptions)
    return SystemParts(
        settings=settings,
        node=node,
        present=PresentKit(factory or factory_for(settings, observe.from_worker)),
        cache=cache,
        subscriptions=subscriptions,
        trail=AuditBuffer(node.name(AUDIT), node.clock, audit_rules(settings), meters, audit_log.is_wanted),
        audit_log=audit_log,
        reports=observe,
        meters=meters,
        wall_clock=utc_now,
        leaps=WallLeaps() if clock is None or isinstance(clock, SystemClock) else None,
        tracer=tracer,
    )


def cache_rules(settings: Settings) -> CacheRules:
    """How the cache keeps what it has."""
    return CacheRules(
        ttl=settings.ttl_seconds,
        max_entries=settings.cache_entries,
        max_bytes=settings.cache_bytes,
        max_stale=settings.max_stale_seconds,
        missing_ttl=settings.missing_ttl_seconds,
        ahead=settings.refresh_ahead,
        jitter=settings.ttl_jitter,
    )


def audit_rules(settings: Settings) -> AuditRules:
    """Which records there are of cached gets, and how many wait."""
    log = settings.log
    return AuditRules(
        hits=log.audit_hits,
        buffer=log.audit_buffer,
        full=log.audit_full,
        summary_seconds=log.audit_summary_seconds,
    )


def assemble_afresh(
    parts: SystemParts, *, observer: Observer | None = None, factory: BackendFactory | None = None
) -> SystemParts:
    """*parts* in the child of a fork. What callers hold stays: node, cache, subscriptions, trail; they have
    forgotten. What may hold a connection, a file, or the lock of a thread that is not here is made anew."""
    settings = parts.settings
    logger = make_logger(format=settings.log.format, output=settings.log.output)
    observe = Reports(EventCounter(parts.meters), logger, observer, parts.meters)
    parts.node.start_afresh(observe)
    return replace(
        parts,
        present=PresentKit(factory or factory_for(settings, observe.from_worker)),
        audit_log=AuditLog(logger, parts.meters),
        reports=observe,
    )


def factory_for(
    settings: Settings, observe: Observer | None = None, key: MasterKeySource | None = None
) -> BackendFactory:
    """The configured store; *observe* is told what it finds out about this machine. Nothing is opened yet. *key*: where
    the master key of a local store is, whatever the settings say.

    Raises `ConfigurationError`.
    """
    if settings.backend == "local_encrypted":
        from secrets_actor.backends.local.backend import local_backend_factory

        local = settings.local
        if key is None and local.key != KeyPlace():
            from secrets_actor.backends.local.keys.sources import source_for

            key = source_for(place_of(local.key), local.path)

        def made(folder: str, sealed_by: str) -> None:
            if observe is not None:
                observe(StoreMade("local", folder, sealed_by))

        return local_backend_factory(
            path=local.path, recovery_window=local.recovery_window, key=key, makes=local.make, on_made=made
        )
    from secrets_actor.runtime.aws_factory import aws_factory_for

    return aws_factory_for(settings.aws, os.environ, observe)
