"""The entries that one connection opened lately, so that a list need not decrypt ten thousand heads again. PURE.

Rule 1: each entry here was in the database at some time. It is still valid if no other connection has written since
        (`PRAGMA data_version`, read in each transaction). Otherwise it is valid only for a row that is still the same,
        byte for byte.
Rule 2: an entry that this connection writes is put here at once. If the transaction fails, all entries are forgotten.
Rule 3: beside the entries are two values. `due` is when the next secret is to be removed for good (microseconds since
        1970), NEVER, or None when it must be looked up. `first_look` is the look at the clocks that first saw the end
        of a recovery window, if such a secret is still to be removed.
Rule 4: at most `MOST` entries are kept. When one more comes, all are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.local.entry_codec import day
from secrets_actor.domain.semantics import Look
from secrets_actor.domain.semantics.entry import Entry

# Some 3 KB each, with what a list tells of them: 60 MB at most.
MOST: Final = 20_000

NEVER: Final = 1 << 63

# id, locator, key, head, deletion date, day of the last access: the columns as they are in the table.
HeadRow = tuple[int, bytes, int, bytes, int | None, int | None]


class Kept(Struct, gc=False):  # gc: as in semantics/entry.py, rule 1
    """An opened head, and the row that it was opened from. `seen` is the state of the database, a running number, at
    which the row was last known to be the same."""

    row: HeadRow
    entry: Entry
    seen: int


class EntryCache:
    """The entries that one connection has opened, by id and by name."""

    __slots__ = ("_by_id", "_by_name", "_complete", "_data_version", "_state", "dirty", "due", "first_look")

    def __init__(self) -> None:
        self._by_id: dict[int, Kept] = {}
        self._by_name: dict[str, Kept] = {}
        self._state, self._complete, self._data_version = 0, -1, -1
        self.due: int | None = None
        self.first_look: Look | None = None
        self.dirty = False  # whether an entry here comes from a transaction that has not been committed yet

    def __len__(self) -> int:
        return len(self._by_id)

    def is_current(self, data_version: int) -> bool:
        """Whether no other connection has written since the last `note_other_writer`. To be called when a transaction
        begins."""
        if self.dirty:  # the transaction before this one failed: rule 2
            self.forget()
        return data_version == self._data_version

    def note_other_writer(self, data_version: int) -> None:
        """Take note that another connection has written and that the store's keys are still the same."""
        self._data_version, self._state, self.due = data_version, self._state + 1, None

    def forget(self) -> None:
        """Forget all entries."""
        self._by_id.clear()
        self._by_name.clear()
        self._complete, self.dirty, self.due = -1, False, None

    def of_name(self, name: str) -> Kept | None:
        """Return the head of the secret of this name; None when it may differ from the one in the database."""
        kept = self._by_name.get(name)
        return kept if kept is not None and kept.seen == self._state else None

    def of_row(self, row: HeadRow) -> Kept | None:
        """Return the head in this row; None when the row was not opened before or has changed since."""
        kept = self._by_id.get(row[0])
        if kept is None or kept.row != row:
            return None
        kept.seen = self._state
        return kept

    def every(self) -> Iterable[Kept] | None:
        """Return all heads of the store; None when some may be missing here."""
        return tuple(self._by_id.values()) if self._complete == self._state else None

    def put(self, row: HeadRow, entry: Entry) -> Kept:
        """Keep *entry*, which was opened from *row* or has just been sealed into it."""
        kept = Kept(row, entry, self._state)
        former = self._by_id.get(row[0])
        if former is None and len(self._by_id) >= MOST:
            self.forget_in_transaction()
        elif former is not None:
            self._unname(former)
        self._by_id[row[0]] = self._by_name[entry.name] = kept
        return kept

    def note_all_ids(self, ids: set[int]) -> None:
        """Take note that the store has the secrets of these ids and no others."""
        for gone in self._by_id.keys() - ids:
            self.drop(gone)
        if len(self._by_id) == len(ids):  # else there were more than `MOST`, and some have been forgotten
            self._complete = self._state

    def drop(self, secret: int) -> None:
        """Forget the secret of this id, which was removed."""
        kept = self._by_id.pop(secret, None)
        if kept is not None:
            self._unname(kept)

    def note_access(self, secret: int, accessed_day: int) -> None:
        """Take note that the secret of this id was last read on that day (days since 1970)."""
        kept = self._by_id.get(secret)
        if kept is not None:
            kept.row = (*kept.row[:5], accessed_day)
            kept.entry = replace(kept.entry, accessed_at=day(accessed_day))

    def forget_in_transaction(self) -> None:
        """Forget all entries in the middle of a transaction."""
        dirty = self.dirty  # rows may have been written already, so a failure must still be seen
        self.forget()
        self.dirty = dirty

    def _unname(self, kept: Kept) -> None:
        # After a deletion another secret may have the same name by now.
        if self._by_name.get(kept.entry.name) is kept:
            del self._by_name[kept.entry.name]
