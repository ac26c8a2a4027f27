"""The local store inside one transaction, as the semantics see it: rows are opened and sealed here.

Rule 1: what does not open is damage or was exchanged, and is told for the secret that it is of. What has another type
        than we write, or does not fit to what is sealed, is a damaged store. A secret that is missing, or is as it was
        before, is told by its mark.
Rule 2: a write seals with the newest of the store's keys, whatever the row was sealed with before.
Rule 3: the date of a deletion lies in clear, so that what is due is found; it counts only if it is the sealed one.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from secrets_actor.backends.local import entry_codec
from secrets_actor.backends.local.entry_cache import NEVER, EntryCache, HeadRow, Kept
from secrets_actor.backends.local.schema import MARK_BYTES, DamagedRow
from secrets_actor.domain.errors import DecryptionFailed
from secrets_actor.domain.secret import SecretValue
from secrets_actor.domain.semantics import Look, agreed, next_first, purge
from secrets_actor.domain.semantics.entry import Entry

if TYPE_CHECKING:
    from secrets_actor.backends.local.store_keys import Keys
    from secrets_actor.backends.local.transaction import Transaction

STORE_NAME: Final = "the local store"
SUFFIX_LENGTH: Final = 6
_SUFFIX_ALPHABET: Final = string.ascii_letters + string.digits
# What SQLite gives for a row of `HEADS`; the dates may be there or not.
_NONE: Final = type(None)
_TYPES: Final = frozenset((int, bytes, int, bytes, ends, day) for ends in (int, _NONE) for day in (int, _NONE))
_COUNT: Final = "SELECT count(*) FROM marks"
_FIRST_LOOK: Final = "SELECT value FROM meta WHERE name = 'first look'"
_DUE: Final = "SELECT min(deletion_date) FROM secrets WHERE deletion_date IS NOT NULL"
HEADS: Final = "SELECT id, locator, key, head, deletion_date, accessed_day FROM secrets"
_MARKED: Final = (
    "SELECT id, secrets.locator, key, head, deletion_date, accessed_day, mark "
    "FROM secrets LEFT JOIN marks ON marks.locator = secrets.locator"
)


class SqliteRecords:
    """One transaction; see the port. `accesses` are the secrets whose day of access is to be noted: id and day.
    `removed`: whether values were deleted."""

    store_name = STORE_NAME
    arn_prefix = entry_codec.ARN_PREFIX

    def __init__(self, transaction: Transaction, keys: Keys, entry_cache: EntryCache) -> None:
        self._transaction, self._keys, self._entry_cache = transaction, keys, entry_cache
        self.accesses: dict[int, int] = {}
        self.removed = False
        self._to_come: dict[str, int] = {}  # ids of secrets whose values came before their entries

    def find(self, name: str) -> Entry | None:
        """The entry of this name."""
        kept = self._find(name)
        return None if kept is None else kept.entry

    def every(self) -> Iterator[Entry]:
        """All entries."""
        kept: Iterable[Kept] | None = self._entry_cache.every()
        if kept is None:
            kept = [self._opened(row) for row in self._transaction.all(_MARKED)]
            ids = {one.row[0] for one in kept}
            # A damaged page may show a row twice and hide another.
            if not len(kept) == len(ids) == (self._transaction.one(_COUNT) or (0,))[0]:
                raise DamagedRow
            self._entry_cache.all_are(ids)
        return (one.entry for one in kept)

    def due(self) -> int:
        """When the next secret goes for good: microseconds since 1970. What is not as we write it is due at once, and
        the one that looks for it meets the damage."""
        if self._entry_cache.due is None:
            found = self._transaction.readable(_DUE)
            date = found[0][0] if found else 0
            self._entry_cache.due = NEVER if date is None else date if isinstance(date, int) else 0
            self._entry_cache.first_look = entry_codec.look(self._transaction.readable(_FIRST_LOOK))
        return self._entry_cache.due

    def over(self, now: Look) -> datetime:
        """Up to when recovery windows have ended, for sure."""
        self.due()
        return agreed(self._entry_cache.first_look, now) or entry_codec.LONG_AGO

    def clear_away(self, now: Look) -> None:
        """Remove what is over, for sure; and remember this look, if it is the first that saw the end of a window."""
        first, over = self._entry_cache.first_look, self.over(now)
        purge(self, over)
        self.first_look_is(next_first(first, now, self.is_overdue(now)))

    def is_overdue(self, now: Look) -> bool:
        """Whether a recovery window has ended, by the wall clock of *now*."""
        return next(iter(self.overdue(now.at)), None) is not None

    def first_look_is(self, look: Look | None) -> None:
        """Remember *look*; None: forget the one that is remembered."""
        if look == self._entry_cache.first_look:
            return
        self._entry_cache.dirty = True
        if look is None:
            self._transaction.do("DELETE FROM meta WHERE name = 'first look'")
        else:
            self._transaction.do(
                "INSERT OR REPLACE INTO meta (name, value) VALUES ('first look', ?)", entry_codec.look_bytes(look)
            )
        self._entry_cache.first_look = look

    def overdue(self, now: datetime) -> Iterator[Entry]:
        """The entries whose recovery window has ended, as far as they open: another one's damage is not told here."""
        if self.due() > entry_codec.micros(now):
            return
        for row in self._transaction.all(_MARKED + " WHERE deletion_date <= ?", entry_codec.micros(now)):
            try:
                entry = self._opened(row).entry
            except (DecryptionFailed, DamagedRow):
                continue
            # By what is sealed: the index may be damaged, too.
            if entry.deletion_date is not None and entry.deletion_date <= now:
                yield entry

    def new_suffix(self) -> str:
        """Six random characters."""
        return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))

    def keep(self, entry: Entry) -> None:
        """Seal *entry*, in the place of the one of its name or beside the others."""
        self._entry_cache.dirty = True
        former, key = self._find(entry.name), self._keys.newest
        secret = self._new_id(entry) if former is None else former.row[0]
        locator = key.locator(entry.name)
        sealed = key.seal_head(entry_codec.encode(entry), secret=secret, locator=locator)
        ends = None if entry.deletion_date is None else entry_codec.micros(entry.deletion_date)
        if former is None:
            accessed = None if entry.accessed_at is None else entry_codec.day_number(entry.accessed_at)
            self._transaction.do(
                "INSERT INTO secrets (locator, key, head, deletion_date, accessed_day, id) VALUES (?, ?, ?, ?, ?, ?)",
                *(locator, key.id, sealed, ends, accessed, secret),
            )
        else:
            accessed = former.row[5]
            if former.row[1:3] == (locator, key.id):  # else its index would be written anew
                self._transaction.do("UPDATE secrets SET head = ? WHERE id = ?", sealed, secret)
            else:
                self._transaction.do(
                    "UPDATE secrets SET locator = ?, key = ?, head = ? WHERE id = ?", locator, key.id, sealed, secret
                )
            if former.row[4] != ends:
                self._transaction.do("UPDATE secrets SET deletion_date = ? WHERE id = ?", ends, secret)
        if ends is not None or (former is not None and former.row[4] is not None):
            self._entry_cache.due = None
        self._entry_cache.put((secret, locator, key.id, sealed, ends, accessed), entry)

    def remove(self, entry: Entry) -> None:
        """Remove it with all its values."""
        self._entry_cache.dirty = self.removed = True
        secret = self._id(entry)
        self._transaction.do("DELETE FROM versions WHERE secret = ?", secret)
        self._transaction.do("DELETE FROM secrets WHERE id = ?", secret)
        self._entry_cache.drop(secret)
        self._entry_cache.due = None

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        """The value of a version."""
        secret = self._id(entry)
        row = self._transaction.one(
            "SELECT key, wrapped, sealed FROM versions WHERE secret = ? AND version_id = ?", secret, version_id
        )
        value = None if row is None else open_value(self._keys, secret, version_id, row)
        if value is None:
            raise DecryptionFailed(
                f"version {version_id} of secret {entry.name} cannot be opened: its record is "
                f"{'missing' if row is None else 'damaged or was exchanged'}; "
                "set the secret anew, or bring the store back from a copy"
            )
        return value

    def put_value(self, entry: Entry, version_id: str, value: SecretValue) -> None:
        """Seal the value of a version."""
        self._entry_cache.dirty = True
        secret, key = self._id(entry), self._keys.newest
        wrapped, sealed = key.seal_value(value, secret=secret, version_id=version_id)
        self._transaction.do(
            "INSERT INTO versions (secret, version_id, key, wrapped, sealed) VALUES (?, ?, ?, ?, ?)",
            *(secret, version_id, key.id, wrapped, sealed),
        )

    def drop_values(self, entry: Entry, version_ids: Iterable[str]) -> None:
        """Forget the values of versions."""
        self._entry_cache.dirty = self.removed = True
        secret = self._id(entry)
        for version_id in version_ids:
            self._transaction.do("DELETE FROM versions WHERE secret = ? AND version_id = ?", secret, version_id)

    def accessed(self, entry: Entry, now: datetime) -> None:
        """Have the day noted, after the transaction."""
        kept = self._find(entry.name)
        if kept is not None and kept.row[5] != entry_codec.day_number(now):
            self.accesses[kept.row[0]] = entry_codec.day_number(now)

    def _find(self, name: str) -> Kept | None:
        kept = self._entry_cache.of_name(name)
        if kept is not None:
            return kept
        for key in self._keys.all.values():  # more than one only while they are changed
            locator = key.locator(name)
            row = self._transaction.one(_MARKED + " WHERE secrets.locator = ?", locator)
            if row is not None:
                kept = self._opened(row, name)
                if kept.entry.name != name:
                    raise DamagedRow
                return kept
            if self._transaction.one("SELECT 1 FROM marks WHERE locator = ?", locator) is not None:
                raise DecryptionFailed(_unreadable(f"secret {name}", "missing"))
        return None

    def _id(self, entry: Entry) -> int:
        kept = self._find(entry.name)
        return self._new_id(entry) if kept is None else kept.row[0]

    def _new_id(self, entry: Entry) -> int:
        return self._to_come.setdefault(entry.name, secrets.randbits(63))

    def _opened(self, row: tuple[Any, ...], name: str | None = None) -> Kept:
        sealed = head_row(row[:-1])
        if sealed[3][-MARK_BYTES:] != row[-1]:
            raise DecryptionFailed(
                _unreadable(_which(sealed[0], name), "damaged, or not the one that was written last")
            )
        return self._entry_cache.of_row(sealed) or self._entry_cache.put(sealed, open_head(self._keys, sealed, name))


class NothingToKeepIn(Exception):
    """There is no store yet, and something is to be kept."""


class NoRecords:
    """A store that is not there yet, as the semantics see it: an empty one. What is put on it raises
    `NothingToKeepIn`: then it is to be made."""

    store_name = STORE_NAME
    arn_prefix = entry_codec.ARN_PREFIX

    def find(self, name: str) -> None:
        """There is none."""

    def every(self) -> Iterable[Entry]:
        """There are none."""
        return ()

    def overdue(self, now: datetime) -> Iterable[Entry]:  # noqa: ARG002  the port's
        """There are none."""
        return ()

    def new_suffix(self) -> str:
        """For an entry that is not kept here."""
        return "A" * SUFFIX_LENGTH

    def value(self, entry: Entry, version_id: str) -> SecretValue:  # noqa: ARG002  the port's
        """There are none."""
        raise NothingToKeepIn

    def keep(self, *_what: object) -> None:
        """Raises `NothingToKeepIn`."""
        raise NothingToKeepIn

    remove = put_value = drop_values = accessed = keep


def head_row(row: tuple[Any, ...]) -> HeadRow:
    """A row of `HEADS`, as far as its types go. Raises `DamagedRow`."""
    if tuple(map(type, row)) in _TYPES:  # a `match` of ten thousand rows takes longer
        return row
    raise DamagedRow


def open_head(keys: Keys, row: HeadRow, name: str | None = None) -> Entry:
    """The entry in a row; *name* is the secret's, where that is known. Raises `DecryptionFailed` and `DamagedRow`."""
    secret, locator, key_id, sealed, ends, accessed_day = row
    key = keys.all.get(key_id)
    clear = None if key is None else key.open_head(sealed, secret=secret, locator=locator)
    if clear is None:
        raise DecryptionFailed(_unreadable(_which(secret, name), "damaged or was exchanged"))
    entry = entry_codec.decode(clear, accessed_day)
    if ends != (None if entry.deletion_date is None else entry_codec.micros(entry.deletion_date)):
        raise DamagedRow
    return entry


def _which(secret: int, name: str | None) -> str:
    return f"the secret in row {secret}" if name is None else f"secret {name}"


def _unreadable(which: str, what: str) -> str:
    return (
        f"{which} cannot be opened: its record is {what}; secrets-actor store verify tells what is lost, a copy of it "
        "brings it back"
    )


def open_value(keys: Keys, secret: int, version_id: str, row: tuple[object, ...]) -> SecretValue | None:
    """The value in a row of key, wrapped data key and sealed value; None when it does not open."""
    key_id, wrapped, sealed = row
    key = keys.all.get(key_id) if isinstance(key_id, int) else None
    return None if key is None else key.open_value(wrapped, sealed, secret=secret, version_id=version_id)
