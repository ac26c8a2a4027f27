"""Makes, from the settings, the objects that the processes of one system share."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.actor.cache import Cache
from secrets_actor.actor.cache_keys import CacheRules
from secrets_actor.actor.current_backend import CurrentBackend
from secrets_actor.actor.subscriptions import Subscriptions
from secrets_actor.clock import SystemClock, WallLeaps, utc_now
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.domain.tracing import Tracer
from secrets_actor.otp import Clock, Node, Observer
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.settings_loader import Loaded
from secrets_actor.runtime.tree_metrics import EventCounter, register_gauges
from secrets_actor.telemetry.audit_buffer import AuditBuffer, AuditRules
from secrets_actor.telemetry.audit_log import AuditLog
from secrets_actor.telemetry.callbacks import ReportedTracer
from secrets_actor.telemetry.lifecycle_log import Reports
from secrets_actor.telemetry.logs import make_logger
from secrets_actor.telemetry.meters import Meters

AUDIT, WORKERS, SECRETS, SUBSCRIBERS, PREFETCHES = "audit", "workers", "secrets", "subscribers", "prefetches"


class SystemParts(Struct, frozen=True):
    """The objects that the processes of one system share."""

    loaded: Loaded
    node: Node
    current_backend: CurrentBackend
    cache: Cache
    subscriptions: Subscriptions
    audit_buffer: AuditBuffer
    audit_log: AuditLog
    reports: Reports
    meters: Meters
    wall_clock: Callable[[], datetime]
    # Seconds that the wall clock has leapt ahead since the last call: the machine slept, or its clock was set. None if
    # a test moves the time.
    leaps: Callable[[], float] | None
    tracer: Tracer | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self.loaded.settings


def assemble(
    loaded: Loaded,
    *,
    observer: Observer | None = None,
    clock: Clock | None = None,
    factory: BackendFactory | None = None,
    tracer: Tracer | None = None,
) -> SystemParts:
    """Make the parts of a system from the settings that were *loaded*.

    *observer* is told of life-cycle events, as the log is. *factory* replaces the configured store.
    """
    settings = loaded.settings
    logger, meters = make_logger(format=settings.log.format, output=settings.log.output), Meters()
    observe = Reports(EventCounter(meters), logger, observer, meters)
    node, audit_log = Node(observe, clock, explains=False), AuditLog(logger, meters)
    cache = Cache(cache_rules(settings), random.random)
    subscriptions = Subscriptions()
    register_gauges(meters, node, cache, subscriptions)
    return SystemParts(
        loaded=loaded,
        node=node,
        current_backend=CurrentBackend(factory or loaded.make_factory(observe.from_worker)),
        cache=cache,
        subscriptions=subscriptions,
        audit_buffer=AuditBuffer(node.name(AUDIT), node.clock, audit_rules(settings), meters, audit_log.is_wanted),
        audit_log=audit_log,
        reports=observe,
        meters=meters,
        wall_clock=utc_now,
        leaps=WallLeaps() if clock is None or isinstance(clock, SystemClock) else None,
        tracer=None if tracer is None else ReportedTracer(tracer, node.observe),
    )


def cache_rules(settings: Settings) -> CacheRules:
    """Return the rules of the cache: times, sizes, refresh ahead."""
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
    """Return the rules of the audit log: which cached gets it records, and how many records may wait."""
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
    """Return *parts* as the child of a fork needs them.

    The objects that callers hold stay: node, cache, subscriptions and audit buffer. They have already dropped all that
    belonged to the parent. Objects that may hold a connection, a file, or the lock of a thread that does not exist here
    are made anew.
    """
    settings = parts.settings
    logger = make_logger(format=settings.log.format, output=settings.log.output)
    observe = Reports(EventCounter(parts.meters), logger, observer, parts.meters)
    parts.node.start_afresh(observe)
    return replace(
        parts,
        current_backend=CurrentBackend(factory or parts.loaded.make_factory(observe.from_worker)),
        audit_log=AuditLog(logger, parts.meters),
        reports=observe,
    )
