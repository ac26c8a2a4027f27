"""Salvage: an export of all that can still be read of a damaged store, to be imported into a new one.

Rule 1: the damaged store is not changed. A later release, or an expert, may be able to read what is left out here.
Rule 2: a secret is exported if its head opens and is the one that was written last, and if the value of its current
        version opens. Any other version whose value does not open is left out, together with its stages.
Rule 3: each secret and version that is left out is reported, in the words of `verify`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.local import export
from secrets_actor.backends.local.export_key import ExportKey
from secrets_actor.backends.local.open_store import OpenStore
from secrets_actor.backends.local.sqlite_records import open_value
from secrets_actor.backends.local.store_keys import Keys
from secrets_actor.backends.local.transaction import Transaction
from secrets_actor.backends.local.upkeep.verify import Damage, entry_of, ids_of, missing
from secrets_actor.domain.operations import AWSCURRENT
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry


class Salvaged(Struct, frozen=True):
    """The result of a salvage: how many secrets were exported, and what was left out (`left`)."""

    secrets: int
    left: tuple[Damage, ...]


def salvage_to(
    path: Path,
    store: OpenStore,
    export_key: ExportKey,
    now: datetime,
    deadline: float,
    on_entry: export.OnEntry = export.ignore_entry,
) -> Salvaged:
    """Export all that can be read to a new file at *path*. *on_entry* is called with each entry. Raises what
    `export_to` and `Store.read` raise."""

    def work(transaction: Transaction, _records: object) -> Salvaged:
        readable = Readable(transaction, store.keys)
        count = export.export_to(path, readable, export_key, now, on_entry)
        return Salvaged(count, tuple(readable.left))

    return store.read_transaction(work, deadline)


class Readable:
    """The readable secrets of a damaged store, for `export`. `value` gives only values of the entry that `every` gave
    last."""

    def __init__(self, transaction: Transaction, keys: Keys) -> None:
        self._transaction, self._keys = transaction, keys
        self._values: dict[str, SecretValue] = {}
        self.left: list[Damage] = []

    def every(self) -> Iterator[Entry]:
        """Give the entries that can be exported, one after the other: rule 2."""
        seen: set[str] = set()  # a damaged page may show a row twice
        ids = ids_of(self._transaction)
        if ids is None:
            self.left.append(Damage("the table of the secrets cannot be read"))
        for secret in ids or ():
            entry = self._readable(secret)
            if entry is not None and entry.name not in seen:
                seen.add(entry.name)
                yield entry
        self.left += missing(self._transaction)

    def value(self, _entry: Entry, version_id: str) -> SecretValue:
        """Return the value of a version of the last entry."""
        return self._values[version_id]

    def _readable(self, secret: int) -> Entry | None:
        entry, fault = entry_of(self._transaction, self._keys, secret)
        if entry is None or fault:
            self.left.append(Damage(fault, None if entry is None else entry.name, secret if entry is None else None))
            return None
        self._values = dict(self._opened(secret))
        if entry.versions and entry.stages.get(AWSCURRENT) not in self._values:
            self.left.append(Damage("its current version does not open", entry.name))
            return None
        lost = [one.id for one in entry.versions if one.id not in self._values]
        self.left += [Damage(f"version {version_id} does not open", entry.name) for version_id in lost]
        return replace(
            entry,
            versions=tuple(one for one in entry.versions if one.id not in lost),
            stages={stage: at for stage, at in entry.stages.items() if at not in lost},
        )

    def _opened(self, secret: int) -> Iterator[tuple[str, SecretValue]]:
        transaction = self._transaction.readable(
            "SELECT version_id, key, wrapped, sealed FROM versions WHERE secret = ?", secret
        )
        for version_id, *row in transaction or ():
            value = open_value(self._keys, secret, version_id, tuple(row)) if isinstance(version_id, str) else None
            if value is not None:
                yield version_id, value
