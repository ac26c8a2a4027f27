"""Maintains the configured KV mount of OpenBao or Vault, for its operator. It starts no tree, and opens one connection.

Rule: each secret that is removed leaves an audit record, and so does the whole work, whether it succeeds or not.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Final

from secrets_actor.backends.vault.backend import VaultBackend
from secrets_actor.clock import now, utc_now
from secrets_actor.domain.errors import ConfigurationError, SecretsError
from secrets_actor.domain.ports import RELEASE, AuditRecord, CallContext
from secrets_actor.runtime.settings_loader import Loaded
from secrets_actor.telemetry.audit_log import AuditLog
from secrets_actor.telemetry.logs import make_logger

# Seconds: the timeout of work on a whole mount, which may be large.
SECONDS: Final = 3600.0


def sweep(loaded: Loaded, caller: str | None = None) -> list[str]:
    """Remove the secrets whose recovery window has ended, for good, and return their names, sorted.

    *caller* is the label of the operator in the audit log. Raises `ConfigurationError` if the configured store is no KV
    mount, and the errors of the store.
    """
    settings, begun = loaded.settings, now()
    if settings.backend != "vault":
        raise ConfigurationError(
            ('backend: "vault" for this; the other stores remove deleted secrets by themselves when their time is up',)
        )
    audit = AuditLog(make_logger(format=settings.log.format, output=settings.log.output))
    factory = loaded.make_factory(None)
    source, deadline = factory.credentials, begun + SECONDS
    assert source is not None

    def record(name: str | None, outcome: str) -> None:
        spent = now() - begun
        audit.record(AuditRecord("store_sweep", name, outcome, "store", spent, caller=caller), utc_now().timestamp())

    outcome, swept = "interrupted", list[str]()
    try:
        with closing(factory.connect()) as backend:
            assert isinstance(backend, VaultBackend)
            for name in backend.sweep(CallContext(deadline, source.fetch(deadline))):
                swept.append(name)
                record(name, "ok")
        outcome = "ok"
    except SecretsError as error:
        outcome = error.code
        raise
    finally:
        record(None, outcome)
        with suppress(SecretsError):  # a token that cannot be revoked ends by itself
            getattr(source, RELEASE, lambda _deadline: None)(deadline)
    return sorted(swept)
