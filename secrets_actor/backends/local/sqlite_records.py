"""The records of a local store inside one transaction, as the semantics use them. Rows are opened and sealed here.

Rule 1: a record that does not open is damaged or was exchanged, and the error names its secret. A column of a type that
        we do not write, or that contradicts what is sealed, means a damaged store. A secret that is missing, or has an
        old head, is found by its mark (`schema.py`).
Rule 2: a write seals with the newest store key, whatever key sealed the row before.
Rule 3: the date of a deletion is in clear, so that an index finds the secrets to be removed. It counts only if it is
        the same as the sealed date.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

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
_COUNT: Final = "SELECT count(*) FROM marks"
_FIRST_LOOK: Final = "SELECT value FROM meta WHERE name = 'first look'"
_DUE: Final = "SELECT min(deletion_date) FROM secrets WHERE deletion_date IS NOT NULL"
HEADS: Final = "SELECT id, locator, key, head, deletion_date, accessed_day FROM secrets"
_MARKED: Final = (
    "SELECT id, secrets.locator, key, head, deletion_date, accessed_day, mark "
    "FROM secrets LEFT JOIN marks ON marks.locator = secrets.locator"
)


class SqliteRecords:
    """The records inside one transaction; see the port for its methods.

    `accesses` has the day of access (days since 1970) to be noted for each secret id. `removed` tells whether values
    were deleted."""

    store_name = STORE_NAME

    def __init__(
        self,
        transaction: Transaction,
        keys: Keys,
        entry_cache: EntryCache,
        arn_prefix: str = entry_codec.ARN_PREFIX,
    ) -> None:
        self.arn_prefix = arn_prefix
        self._transaction, self._keys, self._entry_cache = transaction, keys, entry_cache
        self.accesses: dict[int, int] = {}
        self.removed = False
        # Ids of secrets whose values are put here before their entries: a value is sealed for its secret's id, so the
        # entry must get that one.
        self._to_come: dict[str, int] = {}

    def find(self, name: str) -> Entry | None:
        """Return the entry of this name; None when there is none."""
        kept = self._find(name)
        return None if kept is None else kept.entry

    def every(self) -> Iterator[Entry]:
        """Return all entries."""
        kept: Iterable[Kept] | None = self._entry_cache.every()
        if kept is None:
            kept = [self._opened(row) for row in self._transaction.all(_MARKED)]
            ids = {one.row[0] for one in kept}
            # A damaged page may show a row twice and hide another one.
            if not len(kept) == len(ids) == (self._transaction.one(_COUNT) or (0,))[0]:
                raise DamagedRow
            self._entry_cache.note_all_ids(ids)
        return (one.entry for one in kept)

    def due(self) -> int:
        """Return when the next secret is to be removed for good (microseconds since 1970; `NEVER` for none). A date
        that we would not write counts as due at once: the search for the secret then finds the damage."""
        if self._entry_cache.due is None:
            found = self._transaction.readable(_DUE)
            date = found[0][0] if found else 0
            self._entry_cache.due = NEVER if date is None else date if isinstance(date, int) else 0
            self._entry_cache.first_look = entry_codec.look(self._transaction.readable(_FIRST_LOOK))
        return self._entry_cache.due

    def over(self, now: Look) -> datetime:
        """Return the moment up to which recovery windows have surely ended, whatever the wall clock says."""
        self.due()
        return agreed(self._entry_cache.first_look, now) or entry_codec.LONG_AGO

    def clear_away(self, now: Look) -> None:
        """Remove the secrets whose recovery window has surely ended, and remember *now* if it is the first look that
        saw a window end."""
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
        """Return the entries whose recovery window has ended by *now*. An entry that does not open is left out: whoever
        asks here asks about another secret, and is not to fail because of this one's damage."""
        if self.due() > entry_codec.micros(now):
            return
        for row in self._transaction.all(_MARKED + " WHERE deletion_date <= ?", entry_codec.micros(now)):
            try:
                entry = self._opened(row).entry
            except (DecryptionFailed, DamagedRow):
                continue
            # The sealed date decides, since the index may be damaged, too.
            if entry.deletion_date is not None and entry.deletion_date <= now:
                yield entry

    def new_suffix(self) -> str:
        """Return six random characters for the end of an ARN, as AWS has them."""
        return "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(SUFFIX_LENGTH))

    def keep(self, entry: Entry) -> None:
        """Seal *entry*; it replaces the entry of the same name, if there is one."""
        self._entry_cache.dirty = True
        if not entry.arn.startswith(self.arn_prefix):  # it was asked for by a former ARN: see `Context.find`
            entry = replace(entry, arn=entry_codec.arn(self.arn_prefix, entry.name, entry.arn.rpartition("-")[2]))
        former, key = self._find(entry.name), self._keys.newest
        secret = self._new_id(entry) if former is None else former.row[0]
        locator = key.locator(entry.name)
        sealed = key.seal_head(entry_codec.encode(entry, self.arn_prefix), secret=secret, locator=locator)
        ends = None if entry.deletion_date is None else entry_codec.micros(entry.deletion_date)
        if former is None:
            accessed = None if entry.accessed_at is None else entry_codec.day_number(entry.accessed_at)
            self._transaction.do(
                "INSERT INTO secrets (locator, key, head, deletion_date, accessed_day, id) VALUES (?, ?, ?, ?, ?, ?)",
                *(locator, key.id, sealed, ends, accessed, secret),
            )
        else:
            accessed = former.row[5]
            # Only the columns that change are named: SQLite would write the index of the locator anew otherwise.
            if former.row[1:3] == (locator, key.id):
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
        """Remove *entry* with all its values."""
        self._entry_cache.dirty = self.removed = True
        secret = self._id(entry)
        self._transaction.do("DELETE FROM versions WHERE secret = ?", secret)
        self._transaction.do("DELETE FROM secrets WHERE id = ?", secret)
        self._entry_cache.drop(secret)
        self._entry_cache.due = None

    def value(self, entry: Entry, version_id: str) -> SecretValue:
        """Return the value of a version. Raises `DecryptionFailed`."""
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
        """Delete the values of these versions."""
        self._entry_cache.dirty = self.removed = True
        secret = self._id(entry)
        for version_id in version_ids:
            self._transaction.do("DELETE FROM versions WHERE secret = ? AND version_id = ?", secret, version_id)

    def accessed(self, entry: Entry, now: datetime) -> None:
        """Have the day of this access noted after the transaction, once a day: a read holds no write lock."""
        kept = self._find(entry.name)
        if kept is not None and kept.row[5] != entry_codec.day_number(now):
            self.accesses[kept.row[0]] = entry_codec.day_number(now)

    def _find(self, name: str) -> Kept | None:
        kept = self._entry_cache.of_name(name)
        if kept is not None:
            return kept
        for key in self._keys.all.values():  # there is more than one only while the store keys are being changed
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
        return self._entry_cache.of_row(sealed) or self._entry_cache.put(
            sealed, open_head(self._keys, sealed, name, self.arn_prefix)
        )


class NothingToKeepIn(Exception):
    """There is no store yet, and an operation has something to keep."""


class NoRecords:
    """The records of a store that is not there yet: none. Any change raises `NothingToKeepIn`, and then the store has
    to be made."""

    store_name = STORE_NAME

    def __init__(self, arn_prefix: str = entry_codec.ARN_PREFIX) -> None:
        self.arn_prefix = arn_prefix

    def find(self, name: str) -> None:
        """Return None: there is no entry."""

    def every(self) -> Iterable[Entry]:
        """Return nothing: there are no entries."""
        return ()

    def overdue(self, now: datetime) -> Iterable[Entry]:  # noqa: ARG002  the port's
        """Return nothing: there are no entries."""
        return ()

    def new_suffix(self) -> str:
        """Return any suffix: the entry that it is for cannot be kept here."""
        return "A" * SUFFIX_LENGTH

    def value(self, entry: Entry, version_id: str) -> SecretValue:  # noqa: ARG002  the port's
        """Raise `NothingToKeepIn`: there are no values."""
        raise NothingToKeepIn

    def keep(self, *_what: object) -> None:
        """Raise `NothingToKeepIn`."""
        raise NothingToKeepIn

    remove = put_value = drop_values = accessed = keep


def head_row(row: tuple[Any, ...]) -> HeadRow:
    """Return *row* as a row of `HEADS`, once its types are checked. Raises `DamagedRow`."""
    secret, locator, key, head, ends, accessed = row
    # Compared one by one, the types take a fifth of the time of a `match`, and a list checks ten thousand rows.
    good = type(secret) is type(key) is int and type(locator) is type(head) is bytes
    if good and (ends is None or type(ends) is int) and (accessed is None or type(accessed) is int):
        return row
    raise DamagedRow


def open_head(keys: Keys, row: HeadRow, name: str | None = None, arn_prefix: str = entry_codec.ARN_PREFIX) -> Entry:
    """Return the entry in a row. *name* is the secret's name, for messages, where it is known; *arn_prefix* is how its
    ARN begins. Raises `DecryptionFailed` and `DamagedRow`."""
    secret, locator, key_id, sealed, ends, accessed_day = row
    key = keys.all.get(key_id)
    clear = None if key is None else key.open_head(sealed, secret=secret, locator=locator)
    if clear is None:
        raise DecryptionFailed(_unreadable(_which(secret, name), "damaged or was exchanged"))
    entry = entry_codec.decode(clear, accessed_day, arn_prefix)
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
    """Return the value in *row*, which is store key id, wrapped data key and sealed value; None when it does not
    open."""
    key_id, wrapped, sealed = row
    key = keys.all.get(key_id) if isinstance(key_id, int) else None
    return None if key is None else key.open_value(wrapped, sealed, secret=secret, version_id=version_id)
