"""What can still be read of a damaged store, as an export: to be imported into a new one.

Rule 1: nothing is changed in the damaged store: what is left out here, a later release or a patient hand may bring out.
Rule 2: a secret goes along if its head opens and is the one that was written last, and the value of its current version
        opens. Another version of it that does not open stays behind, and its labels with it.
Rule 3: what stays behind is told, as verify tells it.
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
    """How many secrets went along, and what stayed behind."""

    secrets: int
    left: tuple[Damage, ...]


def salvage_to(
    path: Path,
    store: OpenStore,
    export_key: ExportKey,
    now: datetime,
    deadline: float,
    told: export.Told = export.tell_nobody,
) -> Salvaged:
    """Export what can be read to a new file at *path*; *told* hears of each secret. Raises as `export_to`, and what
    `Store.read` raises."""

    def work(transaction: Transaction, _records: object) -> Salvaged:
        readable = Readable(transaction, store.keys)
        count = export.export_to(path, readable, export_key, now, told)
        return Salvaged(count, tuple(readable.left))

    return store.read_transaction(work, deadline)


class Readable:
    """The secrets that can be read, one after the other: `value` is for the one that came last."""

    def __init__(self, transaction: Transaction, keys: Keys) -> None:
        self._transaction, self._keys = transaction, keys
        self._values: dict[str, SecretValue] = {}
        self.left: list[Damage] = []

    def every(self) -> Iterator[Entry]:
        """Rule 2."""
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
        """The value of a version."""
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
