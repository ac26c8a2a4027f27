"""Export and import: all secrets of a store go into one sealed file, and come back from it.

Rule 1: an import reads and verifies the whole file before it changes anything, and then reads it again. So a file that
        is damaged at its end changes nothing.
Rule 2: an import is all or nothing: it runs in one transaction, that of the records it is given.
Rule 3: a secret that is in the store already is replaced only on request. Otherwise one error names those that are in
        the way, so that they need not be found one by one.
Rule 4: a secret whose recovery window has ended is neither exported nor imported. If such a secret is still in the
        store, it is in the way of an import like any other: the wall clock may be wrong, and what is replaced is gone
        (`domain/semantics/values.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from msgspec import Struct

from secrets_actor.backends.local.export_format import NoRecord, Record, decode, encode
from secrets_actor.backends.local.export_key import ExportKey
from secrets_actor.backends.local.files import existing_file, new_file
from secrets_actor.backends.local.sealed_file import Sealed, Sealing
from secrets_actor.domain.errors import SecretExists
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry
from secrets_actor.domain.semantics.records_port import Records

# How many names an error text gives; a store may have ten thousand.
_NAMES: Final = 5


class Imported(Struct, frozen=True):
    """The counts of an import: `secrets` that were imported, those of them that `replaced` others, and those that were
    left out because their recovery window has `expired`."""

    secrets: int
    replaced: int
    expired: int


class Readable(Protocol):
    """The part of the records that an export needs; a damaged store may offer no more. Values are asked for entry by
    entry, so that only one secret's values are in memory."""

    def every(self) -> Iterable[Entry]:
        """Return all entries."""

    def value(self, entry: Entry, version_id: str, /) -> SecretValue:
        """Return the value of a version."""


OnEntry = Callable[[Entry], object]


def ignore_entry(_entry: Entry) -> None:
    """Do nothing: the default for `on_entry`, which is called with each secret."""


def export(
    records: Readable, sink: BinaryIO, export_key: ExportKey, now: datetime, path: str, on_entry: OnEntry = ignore_entry
) -> int:
    """Write all secrets to *sink*, sealed, and return how many. *on_entry* is called with each entry. *path* is for
    messages. Raises what the records raise, and what `Sealing` raises."""
    sealing, count = Sealing(sink, export_key, path), 0
    for entry in records.every():
        if not _is_over(entry, now):
            sealing.write(encode(entry, lambda version_id, of=entry: records.value(of, version_id)))  # type: ignore[misc]
            on_entry(entry)
            count += 1
    sealing.finish()
    return count


def export_to(
    path: Path, records: Readable, export_key: ExportKey, now: datetime, on_entry: OnEntry = ignore_entry
) -> int:
    """Export to a new file and return how many secrets it has. The file appears at *path* only when it is complete.
    Raises what `export` raises, and `ExportFileError`."""
    with new_file(path) as sink:
        return export(records, sink, export_key, now, str(path), on_entry)


@contextmanager
def opened_export(path: Path, export_key: ExportKey) -> Iterator[Sealed]:
    """Open the export at *path*. Raises `ExportFileError`, `ExportDamaged`, `WrongExportKey`."""
    with existing_file(path) as source:
        yield Sealed(source, export_key, str(path))


def import_(
    source: Sealed, records: Records, now: datetime, *, overwrite: bool = False, on_entry: OnEntry = ignore_entry
) -> Imported:
    """Put all secrets of *source* into *records*. Can be run again, as the transaction may be. *on_entry* is called
    with each entry. Raises `ExportDamaged`, and `SecretExists` when a name is taken and *overwrite* is not set."""
    names = [one.entry.name for one in _records(source, records.arn_prefix)]
    if len(set(names)) != len(names):
        raise source.damaged("it has a secret twice")
    if not overwrite:
        _refuse_present([name for name in names if _present(records, name)])
    replaced = expired = 0
    for record in _records(source, records.arn_prefix):
        if _is_over(record.entry, now):
            expired += 1
            continue
        replaced += _put(records, record, now)
        on_entry(record.entry)
    return Imported(len(names) - expired, replaced, expired)


def _put(records: Records, record: Record, now: datetime) -> bool:
    """Put *record* into *records*; return whether it replaced a secret that could still be read or restored."""
    found = records.find(record.entry.name)
    if found is not None:
        records.remove(found)
    records.keep(record.entry)
    for version_id, value in record.values.items():
        records.put_value(record.entry, version_id, value)
    return found is not None and not _is_over(found, now)


def _records(source: Sealed, arn_prefix: str) -> Iterator[Record]:
    clear = source.clear()
    while not clear.is_at_end:
        record = None
        with suppress(NoRecord):
            record = decode(clear.read, arn_prefix)
        if record is None:
            raise source.damaged("what it holds is no export of secrets")
        yield record


def _present(records: Records, name: str) -> bool:
    """Whether there is a secret *name*, also one whose recovery window has ended: rule 4."""
    return records.find(name) is not None


def _is_over(entry: Entry, now: datetime) -> bool:
    return entry.deletion_date is not None and entry.deletion_date <= now


def _refuse_present(names: list[str]) -> None:
    if not names:
        return
    some = ", ".join(sorted(names)[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
    raise SecretExists(
        f"{len(names)} of these secrets are there already ({some}); nothing was imported: import with --overwrite to "
        "replace them, or into an empty store"
    )
