"""What the hooks of a system are told, and the types that a hook of a program needs.

An `Observer` is called with each `LifecycleEvent`: those of otp, such as `ProcessCrashed`, and those of this package,
such as `BreakerOpened`. A `Tracer` is told of each call that the cache could not answer (`CallTrace`) and of each
attempt of a worker (`Attempt`). `on_give_up` gets an `ExitReason`."""

from secrets_actor.actor.endpoint_breakers import BreakerClosed, BreakerOpened
from secrets_actor.actor.flights import ReleaseFailed, RenewalFailed
from secrets_actor.actor.messages import JobStarted
from secrets_actor.actor.prefetcher import PrefetchDone, PrefetchFailed
from secrets_actor.actor.secrets_actor import ClockLeapt
from secrets_actor.actor.subscriber import SubscriberFailed
from secrets_actor.delivery.changes import ChangesFailed
from secrets_actor.delivery.file_events import FileFailed, FileRendered
from secrets_actor.domain.tracing import Attempt, CallerFacts, CallTrace, Tracer
from secrets_actor.faces.events import (
    ConnectionsRefused,
    CredentialRefused,
    HandlerFailed,
    Reloaded,
    ReloadRefused,
    TokenReadFailed,
    TokenRenewed,
)
from secrets_actor.otp import (
    AnswerForgotten,
    ChildRestarted,
    ChildStartFailed,
    ExitReason,
    LifecycleEvent,
    Observer,
    ProcessCrashed,
    ProcessDisowned,
    ProcessEnded,
    ProcessStarted,
    SupervisorGaveUp,
    SupervisorShutDown,
    TooManyDisowned,
)
from secrets_actor.runtime.aws_factory import ClockSkewed
from secrets_actor.runtime.local_factory import StoreMade
from secrets_actor.runtime.vault_factory import ServerNotVerified, TokensNotKept
from secrets_actor.telemetry.audit_process import AuditLogFails, AuditRecordsLost
from secrets_actor.telemetry.callbacks import CallbackFailed
from secrets_actor.telemetry.courier import EventsLost

__all__ = [
    "AnswerForgotten",
    "Attempt",
    "AuditLogFails",
    "AuditRecordsLost",
    "BreakerClosed",
    "BreakerOpened",
    "CallTrace",
    "CallbackFailed",
    "CallerFacts",
    "ChangesFailed",
    "ChildRestarted",
    "ChildStartFailed",
    "ClockLeapt",
    "ClockSkewed",
    "ConnectionsRefused",
    "CredentialRefused",
    "EventsLost",
    "ExitReason",
    "FileFailed",
    "FileRendered",
    "HandlerFailed",
    "JobStarted",
    "LifecycleEvent",
    "Observer",
    "PrefetchDone",
    "PrefetchFailed",
    "ProcessCrashed",
    "ProcessDisowned",
    "ProcessEnded",
    "ProcessStarted",
    "ReleaseFailed",
    "ReloadRefused",
    "Reloaded",
    "RenewalFailed",
    "ServerNotVerified",
    "StoreMade",
    "SubscriberFailed",
    "SupervisorGaveUp",
    "SupervisorShutDown",
    "TokenReadFailed",
    "TokenRenewed",
    "TokensNotKept",
    "TooManyDisowned",
    "Tracer",
]
