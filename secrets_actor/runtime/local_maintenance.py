"""The configured local store as a whole, for the operator who looks after it: without a tree, by one connection.

Rule: what is done leaves an audit record, whether it succeeds or not; and so does each secret that an export or import
takes along, for that is how its value gets to somebody.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.local import export
from secrets_actor.backends.local.backend import LocalBackend
from secrets_actor.backends.local.export_key import ExportKey
from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.local.upkeep import copies, existing_store, rekey, salvage, verify
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.clock import now, utc_now
from secrets_actor.domain.errors import ConfigurationError, SecretsError
from secrets_actor.domain.operations import AWSCURRENT
from secrets_actor.domain.ports import AuditRecord, BackendFactory
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.semantics.records_port import Records
from secrets_actor.otp import Observer
from secrets_actor.paths import absolute
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import Settings
from secrets_actor.telemetry.audit_log import AuditLog
from secrets_actor.telemetry.logs import make_logger

# Seconds for work on a whole store.
SECONDS: Final = 3600.0


class LocalMaintenance(Struct, frozen=True):
    """The store in *folder*, whose master key is in *source*: opened by what is done to it, which raises the store's
    errors. *key*: the place of that in the configuration. *factory* opens it for a client. *caller*: who does it, as
    the audit log tells it."""

    folder: Path
    source: MasterKeySource
    key: KeyPlace
    factory: BackendFactory
    audit: AuditLog
    caller: str | None = None

    def init(self) -> None:
        """Make it. Raises `InvalidRequest` when it is there."""
        with self._audited("store_init"):
            existing_store.init(self.folder, self.source, deadline=_deadline())

    def verify(self) -> verify.Verification:
        """Look at all that is in it."""
        return verify.verify(self.folder, self.source, deadline=_deadline())

    def rekey(
        self, to: MasterKeySource | None, *, deep: bool, told: Callable[[rekey.Rekeyed], object]
    ) -> rekey.Rekeyed:
        """Change its keys; see `upkeep/rekey.py`."""
        with self._audited("store_rekey"):
            return rekey.rekey(self.folder, self.source, to=to, deep=deep, deadline=_deadline(), told=told)

    def backup(self, path: Path) -> int:
        """Copy it to a new file; the size in bytes."""
        with self._audited("store_backup", path):
            return copies.backup(self.folder, self.source, path, deadline=_deadline())

    def restore(self, path: Path, *, replace: bool) -> copies.Restored:
        """Make it what it was when it was copied."""
        with self._audited("store_restore", path):
            return copies.restore(self.folder, self.source, path, replace=replace, deadline=_deadline())

    def check_is_there(self) -> None:
        """Raise `StoreUnavailable` when there is none, before anybody is asked for a passphrase."""
        existing_store.database_of(self.folder, self.source)

    def export_to(self, path: Path, export_key: ExportKey) -> int:
        """Export all secrets to a new file at *path*; how many. Raises `ExportFileError`."""
        with self._audited("store_export", path) as taken:
            self.check_is_there()

            def work(records: Records) -> int:
                taken.clear()  # of an earlier try
                return export.export_to(path, records, export_key, utc_now(), taken.append)

            with closing(self._backend()) as backend:
                return backend.with_records(work, _deadline(), writes=False)

    def salvage_to(self, path: Path, export_key: ExportKey) -> salvage.Salvaged:
        """Export all that can be read to a new file at *path*. Raises `ExportFileError`."""
        with (
            self._audited("store_export", path) as taken,
            existing_store.opened_store(self.folder, self.source, _deadline()) as store,
        ):
            return salvage.salvage_to(path, store, export_key, utc_now(), _deadline(), taken.append)

    def import_from(self, path: Path, export_key: ExportKey, *, overwrite: bool) -> export.Imported:
        """Import all secrets of the export at *path*, or none. Raises `ExportFileError` and its kin, `SecretExists`."""
        with self._audited("store_import", path) as taken:
            with closing(self._backend()) as backend, export.opened_export(path, export_key) as source:

                def work(records: Records) -> export.Imported:
                    taken.clear()  # of an earlier try
                    return export.import_(source, records, utc_now(), overwrite=overwrite, told=taken.append)

                return backend.with_records(work, _deadline(), writes=True)

    @contextmanager
    def _audited(self, operation: str, path: Path | None = None) -> Iterator[list[Entry]]:
        """Leave a record of *operation*, which takes a store to or from *path*, and one for each secret in the list."""
        begun, taken, outcome = now(), list[Entry](), "interrupted"
        try:
            yield taken
            outcome = "ok"
        except SecretsError as error:
            outcome = error.code
            raise
        finally:
            told = None if path is None else os.path.abspath(path)
            spent = now() - begun
            for entry in taken if outcome == "ok" else ():
                current = entry.stages.get(AWSCURRENT)
                self._record(AuditRecord(operation, entry.name, outcome, "store", spent, current, place=told))
            self._record(AuditRecord(operation, None, outcome, "store", spent, place=told))

    def _record(self, record: AuditRecord) -> None:
        self.audit.record(replace(record, caller=self.caller), utc_now().timestamp())

    def _backend(self) -> LocalBackend:
        backend = self.factory.connect()
        assert isinstance(backend, LocalBackend)
        return backend


def local_maintenance(
    settings: Settings,
    source: MasterKeySource | None = None,
    *,
    caller: str | None = None,
    observe: Observer | None = None,
) -> LocalMaintenance:
    """The store; with its master key in *source*, whatever the settings say, if that is given. *observe* is told of a
    store that an import makes. Raises `ConfigurationError` for a store that is not local, and for a log that cannot be
    written."""
    if settings.backend != "local_encrypted":
        raise ConfigurationError(('backend: "local_encrypted" for this; from and to others by `store migrate`',))
    local, key = settings.local, place_of(settings.local.key)
    folder = absolute(local.path)
    log = make_logger(format=settings.log.format, output=settings.log.output)
    found = source or source_for(key, folder)
    return LocalMaintenance(folder, found, key, local_factory_for(local, observe, found), AuditLog(log), caller)


def _deadline() -> float:
    return now() + SECONDS
