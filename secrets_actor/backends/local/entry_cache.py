"""The entries that one connection opened lately, so that a list does not open ten thousand anew. PURE.

Rule 1: what is here was in the database at some time. It is as it is now if nobody else has written since
        (`PRAGMA data_version`, looked at in each transaction); else it counts only for a row that is still the same,
        byte for byte.
Rule 2: what the connection writes itself is put here at once, and all is forgotten when the transaction fails.
Rule 3: beside them is `due`: when the next secret goes for good (microseconds), NEVER, or None when it is to be looked
        up; and `first_look`, which saw the first end of a window, if that is due.
Rule 4: no more than `MOST` are kept; past that, all are forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.backends.local.entry_codec import day
from secrets_actor.domain.semantics import Look
from secrets_actor.domain.semantics.entry import Entry

# Some 2 KB each: 40 MB at most.
MOST: Final = 20_000

NEVER: Final = 1 << 63

# id, locator, key, head, deletion date, day of the last access: as they lie in the table.
HeadRow = tuple[int, bytes, int, bytes, int | None, int | None]


class Kept(Struct):
    """An opened head, and the row that it was opened from. `seen`: at which state of the database."""

    row: HeadRow
    entry: Entry
    seen: int


class EntryCache:
    """What one connection has opened."""

    __slots__ = ("_by_id", "_by_name", "_complete", "_data_version", "_state", "dirty", "due", "first_look")

    def __init__(self) -> None:
        self._by_id: dict[int, Kept] = {}
        self._by_name: dict[str, Kept] = {}
        self._state, self._complete, self._data_version = 0, -1, -1
        self.due: int | None = None
        self.first_look: Look | None = None
        self.dirty = False  # whether something here may not be committed

    def __len__(self) -> int:
        return len(self._by_id)

    def are_at(self, data_version: int) -> bool:
        """Whether nobody else has written since the last look (`look`)."""
        if self.dirty:
            self.forget()
        return data_version == self._data_version

    def look(self, data_version: int) -> None:
        """Somebody else has written, and the keys are still the same."""
        self._data_version, self._state, self.due = data_version, self._state + 1, None

    def forget(self) -> None:
        """Forget all."""
        self._by_id.clear()
        self._by_name.clear()
        self._complete, self.dirty, self.due = -1, False, None

    def of_name(self, name: str) -> Kept | None:
        """The head of the secret of this name, if it is sure to be as it is in the database."""
        kept = self._by_name.get(name)
        return kept if kept is not None and kept.seen == self._state else None

    def of_row(self, row: HeadRow) -> Kept | None:
        """The head that this row holds, if it was opened before."""
        kept = self._by_id.get(row[0])
        if kept is None or kept.row != row:
            return None
        kept.seen = self._state
        return kept

    def every(self) -> Iterable[Kept] | None:
        """All heads of the store; None when it is not sure that all are here."""
        return tuple(self._by_id.values()) if self._complete == self._state else None

    def put(self, row: HeadRow, entry: Entry) -> Kept:
        """Keep what *row* holds."""
        kept = Kept(row, entry, self._state)
        former = self._by_id.get(row[0])
        if former is None and len(self._by_id) >= MOST:
            self.forget_but_dirt()
        elif former is not None:
            self._unname(former)
        self._by_id[row[0]] = self._by_name[entry.name] = kept
        return kept

    def all_are(self, ids: set[int]) -> None:
        """The store has the secrets of these ids and no others: all that are here, if they went in."""
        for gone in self._by_id.keys() - ids:
            self.drop(gone)
        if len(self._by_id) == len(ids):
            self._complete = self._state

    def drop(self, secret: int) -> None:
        """The secret of this id is no more."""
        kept = self._by_id.pop(secret, None)
        if kept is not None:
            self._unname(kept)

    def noted(self, secret: int, accessed_day: int) -> None:
        """The secret of this id was last read on that day."""
        kept = self._by_id.get(secret)
        if kept is not None:
            kept.row = (*kept.row[:5], accessed_day)
            kept.entry = replace(kept.entry, accessed_at=day(accessed_day))

    def forget_but_dirt(self) -> None:
        """Forget all, in the middle of a transaction."""
        dirty = self.dirty
        self.forget()
        self.dirty = dirty

    def _unname(self, kept: Kept) -> None:
        if self._by_name.get(kept.entry.name) is kept:
            del self._by_name[kept.entry.name]
