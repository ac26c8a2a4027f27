"""Settings become objects: what a tree is made of."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from secrets_actor.actor.cache import Cache
from secrets_actor.domain.ports import AuditSink, BackendKit, CredentialSource
from secrets_actor.otp import Clock, LifecycleEvent, Node, Observer
from secrets_actor.runtime.settings import AwsSettings, Settings, region_of
from secrets_actor.telemetry.audit import AuditLog
from secrets_actor.telemetry.audit_server import AuditTrail
from secrets_actor.telemetry.logs import Log, make_logger
from secrets_actor.telemetry.reports import LifecycleReporter

AUDIT, WORKERS, SECRETS = "audit", "workers", "secrets"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the processes of one system share."""

    settings: Settings
    node: Node
    kit: BackendKit
    cache: Cache
    trail: AuditTrail
    audit_log: AuditSink
    report_lost: Callable[[int], None]
    wall_clock: Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def assemble(
    settings: Settings, *, observer: Observer | None = None, clock: Clock | None = None, kit: BackendKit | None = None
) -> Parts:
    """The parts for *settings*. *observer* hears of life-cycle events beside the log; *kit* takes the place of the
    configured store."""
    logger = make_logger(format=settings.log.format, output=settings.log.output)
    reporter = LifecycleReporter(logger)
    node = Node(_both(reporter, observer), clock)
    return Parts(
        settings=settings,
        node=node,
        kit=kit or kit_for(settings),
        cache=Cache(settings.ttl_seconds, settings.cache_entries),
        trail=AuditTrail(node.name(AUDIT)),
        audit_log=AuditLog(logger),
        report_lost=_lost_records_reporter(logger),
        wall_clock=utc_now,
    )


def assemble_afresh(parts: Parts, *, observer: Observer | None = None, kit: BackendKit | None = None) -> Parts:
    """*parts* in the child of a fork. What callers hold stays: node, cache and trail, which have forgotten. What may
    hold a connection, a file, or the lock of a thread that is not here is made anew."""
    settings = parts.settings
    logger = make_logger(format=settings.log.format, output=settings.log.output)
    parts.node.start_afresh(_both(LifecycleReporter(logger), observer))
    return replace(
        parts, kit=kit or kit_for(settings), audit_log=AuditLog(logger), report_lost=_lost_records_reporter(logger)
    )


def _lost_records_reporter(logger: Log) -> Callable[[int], None]:
    return lambda lost: logger.error("audit_records_lost", count=lost)


def _both(reporter: Observer, observer: Observer | None) -> Observer:
    if observer is None:
        return reporter

    def observe(event: LifecycleEvent) -> None:
        try:
            reporter(event)
        finally:
            observer(event)

    return observe


def kit_for(settings: Settings) -> BackendKit:
    """The configured store. Nothing is opened yet. Raises `ConfigurationError`."""
    if settings.backend == "local_encrypted":
        from secrets_actor.backends.local.backend import kit as local_kit

        return local_kit(path=settings.local.path, recovery_window=settings.local.recovery_window)
    from secrets_actor.backends.aws.backend import kit as aws_kit

    aws = settings.aws
    return aws_kit(
        region=region_of(aws, os.environ) or "",
        endpoint_url=aws.endpoint_url,
        ca_bundle=None if aws.ca_bundle is None else str(aws.ca_bundle),
        timeout=aws.timeout,
        recovery_window=aws.recovery_window,
        credentials=_credentials(aws),
    )


def _credentials(aws: AwsSettings) -> CredentialSource:
    if aws.auth_method == "access_key":
        from secrets_actor.backends.aws.credentials.static import StaticCredentials

        return StaticCredentials(aws.access_key, aws.secret_key, aws.session_token)
    from secrets_actor.backends.aws.credentials.instance_metadata import InstanceMetadataCredentials

    return InstanceMetadataCredentials()
