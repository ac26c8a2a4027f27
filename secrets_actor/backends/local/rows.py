"""What work may do inside a transaction of the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from secrets_actor.backends.local.failures import Meaning, meaning
from secrets_actor.backends.local.schema import NotOurs, objection

if TYPE_CHECKING:
    import sqlite3

Row = tuple[Any, ...]


class Rows:
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


def version(rows: Rows) -> int:
    """The version of the tables; 0 for an empty file. Raises `NotOurs`."""
    application_id, found, tables = (
        int((rows.one(question) or (0,))[0])
        for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_master")
    )
    why = objection(application_id, found, tables)
    if why is not None:
        raise NotOurs(why)
    return found
