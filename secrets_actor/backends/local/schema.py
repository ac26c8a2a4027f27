"""The tables, their version, and the way from one version to the next. PURE: statements and decisions as data.

Times are microseconds since 1970 (UTC). Values are sealed; names, descriptions, stages and times are not.
A stage is at one version of a secret at a time, by the primary key of `stages`.
"""

from typing import Final

# The header's application id tells our files from other programs' SQLite files: "SecA" in ASCII.
APPLICATION_ID: Final = 0x53656341
# MIGRATIONS[n] leads from version n to n + 1. Only ever append.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
        """
        CREATE TABLE secrets (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, suffix TEXT NOT NULL, description TEXT,
            created_at INTEGER NOT NULL, changed_at INTEGER NOT NULL, deletion_date INTEGER)
        """,
        "CREATE INDEX scheduled ON secrets (deletion_date) WHERE deletion_date IS NOT NULL",
        """
        CREATE TABLE versions (
            id INTEGER PRIMARY KEY, secret INTEGER NOT NULL REFERENCES secrets ON DELETE CASCADE,
            version_id TEXT NOT NULL, kind TEXT NOT NULL CHECK (kind IN ('text', 'binary')), sealed BLOB NOT NULL,
            created_at INTEGER NOT NULL, made_secret INTEGER NOT NULL, UNIQUE (secret, version_id))
        """,
        """
        CREATE TABLE stages (
            secret INTEGER NOT NULL REFERENCES secrets ON DELETE CASCADE, stage TEXT NOT NULL,
            version INTEGER NOT NULL REFERENCES versions ON DELETE CASCADE, PRIMARY KEY (secret, stage)) WITHOUT ROWID
        """,
        "CREATE INDEX labels ON stages (version)",
    ),
)
VERSION: Final = len(MIGRATIONS)


class DamagedRow(Exception):
    """A row holds what we never write. The store turns it into `StoreDamaged`."""


def objection(application_id: int, version: int, tables: int) -> str | None:
    """Why a database with this header is none for us; None when it is ours, or empty."""
    if application_id == APPLICATION_ID:
        return "was written by a newer release; upgrade this one" if version > VERSION else None
    if application_id == 0 and version == 0 and tables == 0:
        return None
    return "belongs to another program; give another path, or move the file away"


def steps(version: int) -> tuple[str, ...]:
    """The statements that lead from *version* to `VERSION`; none when there is nothing to do. Version 0 is empty."""
    if version == VERSION:
        return ()
    tables = tuple(statement for migration in MIGRATIONS[version:] for statement in migration)
    return (*tables, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {VERSION}")
