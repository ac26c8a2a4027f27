"""The port between meaning and storage: what a store shows and takes inside one transaction. PURE."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics.entry import Entry


class Records(Protocol):
    """One transaction of a store: all of it takes effect, or nothing. An entry is known by its name.

    `store_name` is how messages call the store, such as `the local store`; `arn_prefix` is what its ARNs begin with, up
    to the name. What it raises by itself (a damaged row, a lost disk) passes through the semantics unchanged.
    """

    store_name: str
    arn_prefix: str

    def find(self, name: str) -> Entry | None:
        """The entry of this name, its recovery window over or not."""

    def every(self) -> Iterable[Entry]:
        """All entries, in no order."""

    def overdue(self, now: datetime) -> Iterable[Entry]:
        """The entries whose recovery window has ended."""

    def new_suffix(self) -> str:
        """The six characters that end a new ARN."""

    def keep(self, entry: Entry) -> None:
        """Put *entry* in the place of the one of its name, or beside the others. Its versions have, or get, values."""

    def remove(self, entry: Entry) -> None:
        """Remove it with all its values."""

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        """The value of a version that *entry* has. Notes no access."""

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        """The value of a version that *entry* is about to have: `keep` of it has been called, or is."""

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        """Forget the values of versions that *entry* had."""

    def accessed(self, entry: Entry, now: datetime) -> None:
        """Note that a value was read: the day of *now* becomes its `accessed_at`, now or a little later."""
