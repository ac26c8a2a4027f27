"""Maintains the configured local store as a whole, for its operator. It starts no tree, and opens one connection.

Rule 1: each action that changes or copies the store leaves an audit record, whether it succeeds or not.
Rule 2: so does each secret that an export or import took along: that is how its value leaves or enters the store.
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
from secrets_actor.backends.local.master_key_source import MasterKeySource
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

# Seconds: the timeout of one action on a whole store, which may be large.
SECONDS: Final = 3600.0


class LocalMaintenance(Struct, frozen=True):
    """The actions on the store in *folder*, whose master key comes from *source*.

    Each action opens the store, and raises the store's errors (`LocalStoreError`). *key* is the setting that names the
    place of the master key. *factory* opens the store as a client would. *caller* is the label of the operator in the
    audit log.
    """

    folder: Path
    source: MasterKeySource
    key: KeyPlace
    factory: BackendFactory
    audit: AuditLog
    caller: str | None = None

    def init(self) -> None:
        """Make the store. Raises `InvalidRequest` if it exists."""
        with self._audited("store_init"):
            existing_store.init(self.folder, self.source, deadline=_deadline())

    def verify(self) -> verify.Verification:
        """Check all that is in the store, and return the report. Changes nothing, so it leaves no audit record."""
        return verify.verify(self.folder, self.source, deadline=_deadline())

    def rekey(
        self, to: MasterKeySource | None, *, deep: bool, on_progress: Callable[[rekey.Rekeyed], object]
    ) -> rekey.Rekeyed:
        """Change the keys of the store; see `upkeep/rekey.py`. *on_progress* is called as the work proceeds."""
        with self._audited("store_rekey"):
            return rekey.rekey(
                self.folder, self.source, to=to, deep=deep, deadline=_deadline(), on_progress=on_progress
            )

    def backup(self, path: Path) -> int:
        """Copy the store to a new file at *path*, and return the size in bytes."""
        with self._audited("store_backup", path):
            return copies.backup(self.folder, self.source, path, deadline=_deadline())

    def restore(self, path: Path, *, replace: bool) -> copies.Restored:
        """Make the store what it was when it was copied to *path*. With *replace*, a store that exists is replaced."""
        with self._audited("store_restore", path):
            return copies.restore(self.folder, self.source, path, replace=replace, deadline=_deadline())

    def check_is_there(self) -> None:
        """Raise `StoreUnavailable` if there is no store: checked before the operator is asked for a passphrase."""
        existing_store.database_of(self.folder, self.source)

    def export_to(self, path: Path, export_key: ExportKey) -> int:
        """Export all secrets to a new file at *path*, and return their number. Raises `ExportFileError`."""
        with self._audited("store_export", path) as taken:
            self.check_is_there()

            def work(records: Records) -> int:
                taken.clear()  # the store may run this more than once: drop what an earlier try took
                return export.export_to(path, records, export_key, utc_now(), taken.append)

            with closing(self._backend()) as backend:
                return backend.with_records(work, _deadline(), writes=False)

    def salvage_to(self, path: Path, export_key: ExportKey) -> salvage.Salvaged:
        """Export all secrets of a damaged store that can be read, to a new file at *path*. Raises `ExportFileError`."""
        with (
            self._audited("store_export", path) as taken,
            existing_store.opened_store(self.folder, self.source, _deadline()) as store,
        ):
            return salvage.salvage_to(path, store, export_key, utc_now(), _deadline(), taken.append)

    def import_from(self, path: Path, export_key: ExportKey, *, overwrite: bool) -> export.Imported:
        """Import all secrets of the export at *path*, or none.

        Raises `ExportFileError`, `ExportDamaged`, `WrongExportKey`, and `SecretExists` without *overwrite*.
        """
        with self._audited("store_import", path) as taken:
            with closing(self._backend()) as backend, export.opened_export(path, export_key) as source:

                def work(records: Records) -> export.Imported:
                    taken.clear()  # the store may run this more than once: drop what an earlier try took
                    return export.import_(source, records, utc_now(), overwrite=overwrite, on_entry=taken.append)

                return backend.with_records(work, _deadline(), writes=True)

    @contextmanager
    def _audited(self, operation: str, path: Path | None = None) -> Iterator[list[Entry]]:
        """Leave an audit record of *operation*, which writes a store to *path* or reads it from there.

        The block appends to the list the secrets that it takes along; if it succeeds, each gets a record of its own.
        """
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
    """Return the maintenance of the local store in *settings*.

    *source*, if given, replaces the place of the master key in the settings. *observe* is told of a store that an
    import makes. Raises `ConfigurationError` if the configured store is not local, and if the log cannot be written.
    """
    if settings.backend != "local_encrypted":
        raise ConfigurationError(('backend: "local_encrypted" for this; from and to others by `store migrate`',))
    local, key = settings.local, place_of(settings.local.key)
    folder = absolute(local.path)
    log = make_logger(format=settings.log.format, output=settings.log.output)
    found = source or source_for(key, folder)
    return LocalMaintenance(folder, found, key, local_factory_for(local, observe, found), AuditLog(log), caller)


def _deadline() -> float:
    return now() + SECONDS
