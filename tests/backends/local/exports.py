"""Records with secrets, exports of them, and how a spoilt one is refused."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import pytest

from secrets_actor.backends.local.export import Imported, export, import_
from secrets_actor.backends.local.export_key import KEY, PASSPHRASE, ExportKey
from secrets_actor.backends.local.sealed_file import Sealed
from secrets_actor.domain.errors import ExportFileError
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry, Version
from tests.backends.local.dict_records import DictRecords

NOW: Final = datetime(2024, 2, 29, 12, tzinfo=UTC)


LOCK: Final = ExportKey(KEY, bytes(range(32)))


CHEAP: Final = ExportKey(PASSPHRASE, b"correct horse", costs=(2**14, 1, 1))


def records_of(secrets: Iterable[tuple[Entry, dict[str, SecretValue]]]) -> DictRecords:
    records = DictRecords("arn:there:secretsmanager:there:000000000000:secret:")
    for entry, values in secrets:
        records.keep(entry)
        for version_id, value in values.items():
            records.put_value(entry, version_id, value)
    return records


def exported(records: DictRecords, lock: ExportKey = LOCK) -> bytes:
    sink = io.BytesIO()
    export(records, sink, lock, NOW, "FILE")
    return sink.getvalue()


def imported(file: bytes, records: DictRecords, lock: ExportKey = LOCK, *, overwrite: bool = False) -> Imported:
    return import_(Sealed(io.BytesIO(file), lock, "FILE"), records, NOW, overwrite=overwrite)


def made(
    name: str, *values: str | bytes, deletion_date: datetime | None = None
) -> tuple[Entry, dict[str, SecretValue]]:
    ids = [f"{number:032}" for number in range(len(values))]
    versions = tuple(Version(one, NOW) for one in ids)
    arn = f"arn:there:secretsmanager:there:000000000000:secret:{name}-AbC123"
    entry = Entry(name, arn, NOW, NOW, None, {}, deletion_date, None, versions, {"AWSCURRENT": ids[-1]})
    return entry, dict(zip(ids, map(SecretValue, values), strict=True))


SMALL: Final = exported(records_of([made("db/password", "hunter1", b"hunter2"), made("app", "hunter3")]))


def refused(file: bytes, lock: ExportKey = LOCK) -> ExportFileError:
    """How *file* is refused; nothing has been changed by then."""
    records = records_of([made("here", "before")])
    before = dict(records.entries), dict(records.values)
    with pytest.raises(ExportFileError, match="FILE is") as caught:
        imported(file, records, lock, overwrite=True)
    assert (records.entries, records.values) == before
    assert "hunter" not in str(caught.value)
    return caught.value
