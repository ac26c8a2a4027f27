"""A transaction of the store: the statements that work may run in it, and the checks of the database's tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from secrets_actor.backends.local.schema import TABLES, VERSION, DamagedRow, NotOurs, objection
from secrets_actor.backends.local.sqlite_errors import Meaning, meaning

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

Row = tuple[Any, ...]
# Pages of a small file (4 MiB, some thousand secrets): its check takes 4 ms (measured). In a greater file the check
# would delay the first write too much.
SMALL: Final = 1024
_MADE: Final = frozenset(" ".join(one.split()) for one in TABLES if "CREATE" in one)


class Transaction:
    """One open transaction. Its methods raise SQLite's errors, which the store translates."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, statement: str, *values: object) -> Row | None:
        """Return the first row; None when there is none."""
        row: Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: object) -> list[Row]:
        """Return all rows."""
        return self._connection.execute(statement, values).fetchall()

    def readable(self, statement: str, *values: object) -> list[Row] | None:
        """Return all rows; None when they are in a damaged part of the file."""
        try:
            return self.all(statement, *values)
        except (self._connection.DatabaseError, UnicodeDecodeError) as exc:
            code = getattr(exc, "sqlite_errorcode", None)
            if meaning(code if code is None else code & 0xFF) is not Meaning.DAMAGED:
                raise
        return None

    def each(self, statement: str, *values: object) -> Iterator[Row]:
        """Return the rows one after the other, without having all of them in memory."""
        return iter(self._connection.execute(statement, values))

    def data_version(self) -> int:
        """Return a number that changes when another connection commits anything."""
        found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def do(self, statement: str, *values: object) -> int:
        """Carry *statement* out; return the id of the row that was inserted last."""
        return self._connection.execute(statement, values).lastrowid or 0


def version(transaction: Transaction) -> int:
    """Return the version of the tables; 0 for an empty file. Raises `NotOurs` and `DamagedRow`."""
    application_id, found, tables = (
        int((transaction.one(question) or (0,))[0])
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    why = objection(application_id, found, tables)
    if why is not None:
        raise NotOurs(why)
    if transaction.one("PRAGMA auto_vacuum") != (0,):
        raise DamagedRow  # a store of ours never has it, and SQLite would take some pages for its own pointer maps
    return found


def whole_version(transaction: Transaction, path: Path) -> int:
    """Like `version`, for the file *path*, but also raises `DamagedRow` for an empty file, which has lost its contents,
    and when the header tells another length than the file has: what SQLite appends would then overwrite pages. Where
    there is a log, the length is not checked: the log knows it, and the file may lag behind."""
    found = version(transaction)
    if not found:
        raise DamagedRow
    if not size_of(path.with_name(path.name + "-wal")):
        (pages,), (bytes_each,) = transaction.all("PRAGMA page_count") + transaction.all("PRAGMA page_size")
        if pages * bytes_each != size_of(path):
            raise DamagedRow
    return found


def check_before_writing(transaction: Transaction) -> None:
    """Raise `DamagedRow` when the tables differ from those that we make, and, in a small file, when its pages
    contradict each other. SQLite notices some damage only when it is asked, and a write to a damaged file may destroy
    more."""
    if version(transaction) == VERSION and not as_made(transaction):
        raise DamagedRow
    if (transaction.one("PRAGMA page_count") or (0,))[0] <= SMALL and transaction.all("PRAGMA integrity_check(1)") != [
        ("ok",)
    ]:
        raise DamagedRow


def as_made(transaction: Transaction) -> bool:
    """Whether the file has all tables, indexes and triggers just as this release makes them."""
    found = transaction.readable("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return found is not None and {" ".join(str(sql).split()) for (sql,) in found} >= _MADE


def foreign(transaction: Transaction) -> list[Row]:
    """Return the tables, indexes, views and triggers that this release does not make: type, name and table of each.
    Those that SQLite makes for itself are left out."""
    found = transaction.readable(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    )
    own = ("sqlite_stat1", "sqlite_stat4", "sqlite_sequence")
    return [(kind, name, table) for kind, name, table, sql in found or () if not (_is_made(sql) or name in own)]


def _is_made(sql: object) -> bool:
    return " ".join(str(sql).split()) in _MADE


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 when it does not exist."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
