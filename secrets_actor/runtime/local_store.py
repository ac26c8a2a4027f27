"""The configured local store as a whole, for who looks after it: without a tree, by one connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from secrets_actor.backends.key_place import KeyPlace, place_of
from secrets_actor.backends.local import export
from secrets_actor.backends.local.backend import LocalBackend, kit
from secrets_actor.backends.local.keys.sources import source_for
from secrets_actor.backends.local.master_key import MasterKeySource
from secrets_actor.backends.local.sealed_lock import Lock
from secrets_actor.backends.local.upkeep import copies, place, rekey, salvage, verify
from secrets_actor.clock import now, utc_now
from secrets_actor.domain.errors import ConfigurationError
from secrets_actor.paths import absolute
from secrets_actor.records import dataclass
from secrets_actor.runtime.settings import Settings

# Seconds for work on a whole store.
SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class LocalStore:
    """The store in *folder*, whose master key is in *source*: opened by what is done to it, which raises the store's
    errors. *key*: the place of that in the configuration."""

    folder: Path
    source: MasterKeySource
    key: KeyPlace
    recovery_window: int

    def init(self) -> None:
        """Make it. Raises `InvalidRequest` when it is there."""
        place.init(self.folder, self.source, deadline=_deadline())

    def verify(self) -> verify.Verification:
        """Look at all that is in it."""
        return verify.verify(self.folder, self.source, deadline=_deadline())

    def rekey(
        self, to: MasterKeySource | None, *, deep: bool, told: Callable[[rekey.Rekeyed], object]
    ) -> rekey.Rekeyed:
        """Change its keys; see `upkeep/rekey.py`."""
        return rekey.rekey(self.folder, self.source, to=to, deep=deep, deadline=_deadline(), told=told)

    def backup(self, path: Path) -> int:
        """Copy it to a new file; the size in bytes."""
        return copies.backup(self.folder, self.source, path, deadline=_deadline())

    def restore(self, path: Path, *, replace: bool) -> copies.Restored:
        """Make it what it was when it was copied."""
        return copies.restore(self.folder, self.source, path, replace=replace, deadline=_deadline())

    def check_is_there(self) -> None:
        """Raise `StoreUnavailable` when there is none, before anybody is asked for a passphrase."""
        place.database_of(self.folder, self.source)

    def export_to(self, path: Path, lock: Lock) -> int:
        """Export all secrets to a new file at *path*; how many. Raises `ExportFileError`."""
        self.check_is_there()
        with closing(self._backend()) as backend:
            return backend.on_shelf(
                lambda shelf: export.export_to(path, shelf, lock, utc_now()), _deadline(), writes=False
            )

    def salvage_to(self, path: Path, lock: Lock) -> salvage.Salvaged:
        """Export all that can be read to a new file at *path*. Raises `ExportFileError`."""
        with place.opened(self.folder, self.source, _deadline()) as store:
            return salvage.salvage_to(path, store, lock, utc_now(), _deadline())

    def import_from(self, path: Path, lock: Lock, *, overwrite: bool) -> export.Imported:
        """Import all secrets of the export at *path*, or none. Raises `ExportFileError` and its kin, `SecretExists`."""
        with closing(self._backend()) as backend, export.opened(path, lock) as source:
            return backend.on_shelf(
                lambda shelf: export.import_(source, shelf, utc_now(), overwrite=overwrite), _deadline(), writes=True
            )

    def _backend(self) -> LocalBackend:
        backend = kit(path=self.folder, recovery_window=self.recovery_window, key=self.source).connect()
        assert isinstance(backend, LocalBackend)
        return backend


def local_store(settings: Settings, source: MasterKeySource | None = None) -> LocalStore:
    """The store; with its master key in *source*, whatever the settings say, if that is given. Raises
    `ConfigurationError` for a store that is not local."""
    if settings.backend != "local_encrypted":
        raise ConfigurationError(('backend: "local_encrypted" for this; from and to others by `store migrate`',))
    local, key = settings.local, place_of(settings.local.key)
    folder = absolute(local.path)
    return LocalStore(folder, source or source_for(key, folder), key, local.recovery_window)


def _deadline() -> float:
    return now() + SECONDS
