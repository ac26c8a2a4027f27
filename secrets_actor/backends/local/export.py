"""Export and import: all secrets of a store in one sealed file, and back.

Rule 1: the whole file is read and verified before anything is changed, and then read again: a file that is damaged
        at its end has changed nothing.
Rule 2: an import is all or nothing: it runs in the one transaction that the records are.
Rule 3: a secret that is there is replaced only if that is asked for; all that are in the way are told at once.
Rule 4: what is past its recovery window is not exported, nor imported. Where it is there still it is in the way as any
        other: the wall clock may be wrong (`domain/semantics/values.py`).
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

# How many names a message tells.
_NAMES: Final = 5


class Imported(Struct, frozen=True):
    """How many secrets came, how many of them in the place of others; and how many did not, for they were deleted and
    their recovery window has ended since."""

    secrets: int
    replaced: int
    expired: int


class Readable(Protocol):
    """What an export reads: records, or what can be read of one. Values are asked for entry by entry."""

    def every(self) -> Iterable[Entry]:
        """All entries."""

    def value(self, entry: Entry, version_id: str, /) -> SecretValue:
        """The value of a version."""


Told = Callable[[Entry], object]


def tell_nobody(_entry: Entry) -> None:
    """For those who need not hear of each secret."""


def export(
    records: Readable, sink: BinaryIO, export_key: ExportKey, now: datetime, path: str, told: Told = tell_nobody
) -> int:
    """Write all secrets to *sink*, sealed; how many. *told* hears of each. Raises what the records raise, and what
    `Sealing` does."""
    sealing, count = Sealing(sink, export_key, path), 0
    for entry in records.every():
        if not _is_over(entry, now):
            sealing.write(encode(entry, lambda version_id, of=entry: records.value(of, version_id)))  # type: ignore[misc]
            told(entry)
            count += 1
    sealing.finish()
    return count


def export_to(path: Path, records: Readable, export_key: ExportKey, now: datetime, told: Told = tell_nobody) -> int:
    """Export to a new file at *path*, which is there when all is in it. Raises `ExportFileError`, too."""
    with new_file(path) as sink:
        return export(records, sink, export_key, now, str(path), told)


@contextmanager
def opened_export(path: Path, export_key: ExportKey) -> Iterator[Sealed]:
    """The export at *path*. Raises `ExportFileError`, `ExportDamaged`, `WrongExportKey`."""
    with existing_file(path) as source:
        yield Sealed(source, export_key, str(path))


def import_(
    source: Sealed, records: Records, now: datetime, *, overwrite: bool = False, told: Told = tell_nobody
) -> Imported:
    """Put all secrets of *source* into the records; can be run again, should the transaction be. *told* hears of each.
    Raises `ExportDamaged`, and `SecretExists` if there are any of these names and they are not to be *overwrite*-n."""
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
        told(record.entry)
    return Imported(len(names) - expired, replaced, expired)


def _put(records: Records, record: Record, now: datetime) -> bool:
    """Put it there; whether another one was."""
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
    """Whether it is there, its window over or not: the clock may be wrong, and what is replaced is gone."""
    return records.find(name) is not None


def _is_over(entry: Entry, now: datetime) -> bool:
    return entry.deletion_date is not None and entry.deletion_date <= now


def _refuse_present(names: list[str]) -> None:
    if not names:
        return
    told = ", ".join(sorted(names)[:_NAMES]) + (", ..." if len(names) > _NAMES else "")
    raise SecretExists(
        f"{len(names)} of these secrets are there already ({told}); nothing was imported: import with --overwrite to "
        "replace them, or into an empty store"
    )
