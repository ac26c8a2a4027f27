"""The configured local store as a whole, for who looks after it: without a tree, by one connection of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from secrets_actor.backends.local import export
from secrets_actor.backends.local.backend import LocalBackend, utc_now
from secrets_actor.backends.local.sealed_lock import Lock
from secrets_actor.domain.errors import ConfigurationError, StoreUnavailable
from secrets_actor.records import dataclass
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.wiring import kit_for

# Seconds for work on a whole store.
SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class LocalStore:
    """The store in *folder*."""

    folder: Path
    backend: LocalBackend

    def export_to(self, path: Path, lock: Lock) -> int:
        """Export all secrets to a new file at *path*; how many. Raises `ExportFileError` and the store's errors."""
        if not self.folder.exists():  # whoever opens it makes it
            raise StoreUnavailable(
                f"there is no store in {self.folder}; give the configuration of the one to export",
                path=str(self.folder),
            )
        return self.backend.on_shelf(
            lambda shelf: export.export_to(path, shelf, lock, utc_now()), time.monotonic() + SECONDS, writes=False
        )

    def import_from(self, path: Path, lock: Lock, *, overwrite: bool) -> export.Imported:
        """Import all secrets of the export at *path*, or none. Raises `ExportFileError` and its kin, `SecretExists`,
        and the store's errors."""
        with export.opened(path, lock) as source:
            return self.backend.on_shelf(
                lambda shelf: export.import_(source, shelf, utc_now(), overwrite=overwrite),
                time.monotonic() + SECONDS,
                writes=True,
            )


@contextmanager
def local_store(settings: Settings) -> Iterator[LocalStore]:
    """The store; opened by what is done to it. Raises `ConfigurationError` for one that is not local."""
    if settings.backend != "local_encrypted":
        raise ConfigurationError(('backend: "local_encrypted" for this; from and to others by `store migrate`',))
    backend = kit_for(settings).connect()
    assert isinstance(backend, LocalBackend)
    try:
        yield LocalStore(settings.local.path.expanduser(), backend)
    finally:
        backend.close()
