"""The port between semantics and storage: what a store can do inside one transaction. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry


class Records(Protocol):
    """One transaction of a store: all of it takes effect, or nothing. An entry is identified by its name.

    `store_name` is what messages call the store, such as `the local store`. `arn_prefix` is the beginning of the
    store's ARNs, up to the name. An error of the storage itself (a damaged row, a lost disk) passes through the
    semantics unchanged.
    """

    store_name: str
    arn_prefix: str

    def find(self, name: str) -> Entry | None:
        """Return the entry with this name, or None. Its recovery window may be over: the semantics look at that."""

    def every(self) -> Iterable[Entry]:
        """Iterate over all entries, in no order."""

    def overdue(self, now: datetime) -> Iterable[Entry]:
        """Iterate over the entries whose recovery window ends at *now* or earlier."""

    def new_suffix(self) -> str:
        """Return six characters for the end of a new ARN. They are random, as in AWS."""

    def keep(self, entry: Entry) -> None:
        """Store *entry*; it replaces the entry of the same name. Each of its versions has a value, or gets one."""

    def remove(self, entry: Entry) -> None:
        """Remove *entry* with all its values."""

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        """Return the value of a version that *entry* has. This does not count as an access."""

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        """Store the value of a new version. `keep` of the *entry* with that version comes before or after this."""

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        """Remove the values of versions that *entry* had."""

    def accessed(self, entry: Entry, now: datetime) -> None:
        """Note that a value was read: the day of *now* becomes the entry's `accessed_at`, at once or a little later."""
