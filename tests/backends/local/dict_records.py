"""Records in dictionaries, for what works on any records."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry


class DictRecords:
    """The port, without a store below it."""

    store_name = "records in dictionaries"

    def __init__(self, arn_prefix: str = "arn:here:secretsmanager:here:000000000000:secret:") -> None:
        self.arn_prefix: str = arn_prefix
        self.entries: dict[str, Entry] = {}
        self.values: dict[tuple[str, str], SecretValue] = {}

    def find(self, name: str) -> Entry | None:
        return self.entries.get(name)

    def every(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def overdue(self, now: datetime) -> Iterable[Entry]:
        return [one for one in self.every() if one.deletion_date is not None and one.deletion_date <= now]

    def new_suffix(self) -> str:
        return "Suffix"

    def keep(self, entry: Entry) -> None:
        self.entries[entry.name] = entry

    def remove(self, entry: Entry) -> None:
        del self.entries[entry.name]
        self.drop_values(entry, [version for name, version in self.values if name == entry.name])

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        return self.values[entry.name, version_id]

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        self.values[entry.name, version_id] = value

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        for version_id in list(version_ids):
            del self.values[entry.name, version_id]

    def accessed(self, entry: Entry, now: datetime) -> None:
        raise AssertionError("an export notes no access")
