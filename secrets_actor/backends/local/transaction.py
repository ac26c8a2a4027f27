"""What work may do inside a transaction of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from secrets_actor.backends.local.schema import TABLES, VERSION, DamagedRow, NotOurs, objection
from secrets_actor.backends.local.sqlite_errors import Meaning, meaning

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

Row = tuple[Any, ...]
# Pages, 4 MiB, some thousand secrets: looked through in 4 ms (measured).
SMALL: Final = 1024
_MADE: Final = frozenset(" ".join(one.split()) for one in TABLES if "CREATE" in one)


class Transaction:
    """One transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def one(self, statement: str, *values: object) -> Row | None:
        """The first row, None when there is none."""
        row: Row | None = self._connection.execute(statement, values).fetchone()
        return row

    def all(self, statement: str, *values: object) -> list[Row]:
        """All rows."""
        return self._connection.execute(statement, values).fetchall()

    def readable(self, statement: str, *values: object) -> list[Row] | None:
        """All rows; None when they lie where the file is damaged."""
        try:
            return self.all(statement, *values)
        except (self._connection.DatabaseError, UnicodeDecodeError) as exc:
            code = getattr(exc, "sqlite_errorcode", None)
            if meaning(code if code is None else code & 0xFF) is not Meaning.DAMAGED:
                raise
        return None

    def each(self, statement: str, *values: object) -> Iterator[Row]:
        """All rows, one after the other."""
        return iter(self._connection.execute(statement, values))

    def data_version(self) -> int:
        """A number that is another one when another connection has committed anything since."""
        found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def do(self, statement: str, *values: object) -> int:
        """Carry *statement* out; the id of the row it inserted last."""
        return self._connection.execute(statement, values).lastrowid or 0


def version(transaction: Transaction) -> int:
    """The version of the tables; 0 for an empty file. Raises `NotOurs` and `DamagedRow`."""
    application_id, found, tables = (
        int((transaction.one(question) or (0,))[0])
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    why = objection(application_id, found, tables)
    if why is not None:
        raise NotOurs(why)
    if transaction.one("PRAGMA auto_vacuum") != (0,):
        raise DamagedRow  # SQLite would take some pages for tables of its own
    return found


def whole_version(transaction: Transaction, path: Path) -> int:
    """As `version`, for the file *path*. Raises `DamagedRow`, too, for an empty file, which has lost what was in it;
    and when the header tells another length than the file has: what SQLite puts at the end would overwrite pages.
    Where there is a log, that tells the length."""
    found = version(transaction)
    if not found:
        raise DamagedRow
    if not size_of(path.with_name(path.name + "-wal")):
        (pages,), (bytes_each,) = transaction.all("PRAGMA page_count") + transaction.all("PRAGMA page_size")
        if pages * bytes_each != size_of(path):
            raise DamagedRow
    return found


def check_before_writing(transaction: Transaction) -> None:
    """Raise `DamagedRow` when the tables are not those that were made, and, in a small file, when its pages do not fit
    to each other. SQLite sees some damage only when it is asked, and what it writes then may take more away."""
    if version(transaction) == VERSION and not as_made(transaction):
        raise DamagedRow
    if (transaction.one("PRAGMA page_count") or (0,))[0] <= SMALL and transaction.all("PRAGMA integrity_check(1)") != [
        ("ok",)
    ]:
        raise DamagedRow


def as_made(transaction: Transaction) -> bool:
    """Whether all tables, indexes and triggers are there as this release makes them."""
    found = transaction.readable("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    return found is not None and {" ".join(str(sql).split()) for (sql,) in found} >= _MADE


def foreign(transaction: Transaction) -> list[Row]:
    """The tables, indexes, views and triggers that are not of this release's making: type, name, table of each. Those
    that SQLite makes for itself are left out."""
    found = transaction.readable(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    )
    own = ("sqlite_stat1", "sqlite_stat4", "sqlite_sequence")
    return [(kind, name, table) for kind, name, table, sql in found or () if not (_is_made(sql) or name in own)]


def _is_made(sql: object) -> bool:
    return " ".join(str(sql).split()) in _MADE


def size_of(path: Path) -> int:
    """Bytes; 0 for a file that is not there."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
