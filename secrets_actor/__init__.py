"""A supervised secrets service for Python daemons, in the manner of an Erlang/OTP gen_server.

    import secrets_actor

    with secrets_actor.start() as system:          # or start("config/aws.toml"), or start(Settings(...))
        system.secrets.set("db/password", "hunter2")
        secret = system.secrets.get("db/password")
        print(secret)                              # masked: only text(), bytes(), json() and reveal() show the value
        password = secret.text()

`start()` keeps secrets in an encrypted store on this machine; a configuration names AWS Secrets Manager instead. Every
error is a `SecretsError`. With asyncio, it is `async with secrets_actor.start() as system:` and
`await system.async_secrets.get("db/password")`.

| module | what is in it |
|---|---|
| `secrets_actor` | what most programs need: `start`, the clients, the settings, the errors that are caught |
| `secrets_actor.errors` | all errors |
| `secrets_actor.messages` | what other actors `ask` and `tell`, such as `Get` and `Set` |
| `secrets_actor.results` | what the clients return: descriptions, pages, receipts, metrics |
| `secrets_actor.events` | what an observer and a tracer are told |
| `secrets_actor.semantics` | what each operation means, for a store of your own |
| `secrets_actor.otp` | gen_server, supervisor, timers: to run servers of your own beside ours |
| `secrets_actor.testing` | a store in memory, for the tests of a program |
| `secrets_actor.extras` | OpenTelemetry, Prometheus, pydantic-settings |
"""

from typing import TYPE_CHECKING, Any

from secrets_actor.client.background import Subscription
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import (
    AccessDenied,
    CircuitOpen,
    ConfigurationError,
    CredentialsError,
    DeadlineExceeded,
    InvalidInput,
    InvalidParameter,
    NoCredentials,
    Overloaded,
    SecretDeleted,
    SecretExists,
    SecretNotFound,
    SecretsError,
    ServerDown,
    ServiceError,
    StartFailed,
    StoreError,
    StoreFailure,
    Throttled,
    Unreachable,
    WorkerCrashed,
)
from secrets_actor.domain.ports import Answer, Backend, BackendFactory, CallContext, CredentialSource
from secrets_actor.domain.secret import NewVersion, Secret, SecretValue
from secrets_actor.domain.tracing import Tracer
from secrets_actor.otp import ExitReason, Observer
from secrets_actor.runtime.hosted_system import SystemSpec, child_spec
from secrets_actor.runtime.settings import (
    AwsSettings,
    DaemonClientSettings,
    LocalSettings,
    LogSettings,
    PrefetchSettings,
    Settings,
    VaultSettings,
)
from secrets_actor.runtime.system import System, start

if TYPE_CHECKING:
    from secrets_actor import errors, events, messages, results, semantics
    from secrets_actor.client.async_secrets import AsyncSecrets
else:

    def __getattr__(name: str) -> Any:
        """Load a name when it is first used, for what not every program needs: `AsyncSecrets` imports asyncio, and
        `events` imports both backends."""
        import importlib

        if name in ("errors", "events", "messages", "results", "semantics"):
            return importlib.import_module(f"{__name__}.{name}")
        if name != "AsyncSecrets":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from secrets_actor.client.async_secrets import AsyncSecrets

        globals()[name] = AsyncSecrets  # so that the next access does not come here
        return AsyncSecrets


# The version is written here and nowhere else: the build reads it from this file.
__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "Answer",
    "AsyncSecrets",
    "AwsSettings",
    "Backend",
    "BackendFactory",
    "CallContext",
    "CircuitOpen",
    "ConfigurationError",
    "CredentialSource",
    "Credentials",
    "CredentialsError",
    "DaemonClientSettings",
    "DeadlineExceeded",
    "ExitReason",
    "InvalidInput",
    "InvalidParameter",
    "LocalSettings",
    "LogSettings",
    "NewVersion",
    "NoCredentials",
    "Observer",
    "Overloaded",
    "PrefetchSettings",
    "Secret",
    "SecretDeleted",
    "SecretExists",
    "SecretNotFound",
    "SecretValue",
    "Secrets",
    "SecretsError",
    "ServerDown",
    "ServiceError",
    "Settings",
    "StartFailed",
    "StoreError",
    "StoreFailure",
    "Subscription",
    "System",
    "SystemSpec",
    "Throttled",
    "Tracer",
    "Unreachable",
    "VaultSettings",
    "WorkerCrashed",
    "child_spec",
    "errors",
    "events",
    "messages",
    "results",
    "semantics",
    "start",
]
