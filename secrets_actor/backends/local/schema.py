"""The tables of format 2, and what a file must be before they are made in it. PURE: statements and decisions as data.

    meta      the header (`header`), the epoch: a number that changes with every change of the keys, and which keys
              there are: a checksum of their ids; and `first look`, when a recovery window seemed to have ended first
    keys      the store's keys, each wrapped by a master key; by two while the master key is changed
    secrets   one row for each: found by a keyed hash of the name, everything about it sealed in `head`
    versions  a value each, sealed by a data key of its own, which is wrapped by a store's key
    marks     which secrets there are once more, on other pages, with the end of each head: triggers keep it

SQLite has no checksums. A page that is damaged, or is as it was before, may hide a secret or bring an old head back,
which is sealed as well as the present one; the mark tells. Who wants to deceive can exchange both.

In clear are: ids, how many secrets and versions there are and how long, which day a secret was last read, when one that
is scheduled for deletion goes. The last is sealed as well, and must agree.
"""

from typing import Final

# The header's application id tells our files from other programs' SQLite files: "SecA" in ASCII.
APPLICATION_ID: Final = 0x53656341
VERSION: Final = 2
# Bytes at the end of a head that are its mark: the tag of the seal, another one each time.
MARK_BYTES: Final = 16
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
    "CREATE TABLE marks (locator BLOB PRIMARY KEY, mark BLOB NOT NULL) WITHOUT ROWID",
    """
    CREATE TRIGGER made AFTER INSERT ON secrets BEGIN
        INSERT INTO marks (locator, mark) VALUES (new.locator, substr(new.head, -16));
    END
    """,
    """
    CREATE TRIGGER changed AFTER UPDATE OF locator, head ON secrets BEGIN
        UPDATE marks SET locator = new.locator, mark = substr(new.head, -16) WHERE locator = old.locator;
    END
    """,
    "CREATE TRIGGER gone AFTER DELETE ON secrets BEGIN DELETE FROM marks WHERE locator = old.locator; END",
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
        return None if version == VERSION else "has lost its version; bring it back from a copy"
    if application_id == 0 and version == 0 and tables == 0:
        return None
    return "belongs to another program; give another path, or move the file away"


NEWER: Final = "was written by a newer release; upgrade this one"
