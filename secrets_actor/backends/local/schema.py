"""The tables of format 2, and what a file must be before they are made in it. PURE: statements and decisions as data.

    meta      the header (`header`), and the epoch: a number that changes with every change of the keys
    keys      the store's keys, each wrapped by a master key; by two while the master key is changed
    secrets   one row for each: found by a keyed hash of the name, everything about it sealed in `head`
    versions  a value each, sealed by a data key of its own, which is wrapped by a store's key

In clear are: ids, how many secrets and versions there are and how long, which day a secret was last read, when one that
is scheduled for deletion goes. The last is sealed as well, and must agree.
"""

from typing import Final

# The header's application id tells our files from other programs' SQLite files: "SecA" in ASCII.
APPLICATION_ID: Final = 0x53656341
VERSION: Final = 2
# The version before: what it kept in which tables is known to `upgrade`.
FORMER: Final = 1
TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID",
    """
    CREATE TABLE keys (
        id INTEGER NOT NULL, master BLOB NOT NULL, derivation BLOB, wrapped BLOB NOT NULL, sum BLOB NOT NULL,
        PRIMARY KEY (id, master)) WITHOUT ROWID
    """,
    """
    CREATE TABLE secrets (
        id INTEGER PRIMARY KEY, locator BLOB NOT NULL UNIQUE, key INTEGER NOT NULL, head BLOB NOT NULL,
        deletion_date INTEGER, accessed_day INTEGER)
    """,
    "CREATE INDEX scheduled ON secrets (deletion_date) WHERE deletion_date IS NOT NULL",
    """
    CREATE TABLE versions (
        id INTEGER PRIMARY KEY, secret INTEGER NOT NULL, version_id TEXT NOT NULL, key INTEGER NOT NULL,
        wrapped BLOB NOT NULL, sealed BLOB NOT NULL, UNIQUE (secret, version_id))
    """,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)


class DamagedRow(Exception):
    """A row holds what we never write. The store turns it into `StoreDamaged`."""


class NotOurs(Exception):
    """The file is none that this release may touch; the text says why. The store turns it into `StoreDamaged`."""


def objection(application_id: int, version: int, tables: int) -> str | None:
    """Why a database with this header is none for us; None when it is ours, or empty."""
    if application_id == APPLICATION_ID:
        if version > VERSION:
            return NEWER
        return None if version >= FORMER else "has lost its version; bring it back from a copy"
    if application_id == 0 and version == 0 and tables == 0:
        return None
    return "belongs to another program; give another path, or move the file away"


NEWER: Final = "was written by a newer release; upgrade this one"
