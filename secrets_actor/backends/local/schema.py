"""The tables of format 2, and the decision whether a database file is ours. PURE: statements and decisions as data.

    meta      `header`, the header; `epoch`, a number that changes with every change of the store keys; `keys`, a
              checksum of the ids of all store keys; `first look`, the first look at the clocks that saw a recovery
              window end
    keys      the store keys, each wrapped by a master key; by two while the master key is being changed
    secrets   one row for each secret, found by a keyed hash of its name; everything about it is sealed in `head`
    versions  one value for each version, sealed by a data key of its own, which a store key wraps
    marks     a second list of all secrets, on other pages, with the last bytes of each head; triggers keep it

SQLite has no checksums. A damaged page, or an old one that came back, may hide a secret or bring an old head back. An
old head opens as well as the present one, so only the mark shows the fault. The mark is no guard against an attacker,
who can exchange both.

In clear are: ids, the number of secrets and versions, their lengths, the day on which a secret was last read, and the
date on which a deleted secret is to be removed. That date is sealed as well, and both must agree.
"""

from typing import Final

# The header's application id tells our files from other programs' SQLite files: "SecA" in ASCII.
APPLICATION_ID: Final = 0x53656341
VERSION: Final = 2
# The number of bytes at the end of a head that are its mark: the tag of the seal, which differs with every seal. The
# triggers below have it as -16.
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
    """A row has contents that we never write. The store turns this into `StoreDamaged`."""


class NotOurs(Exception):
    """This release must not touch the file; the text says why. The store turns this into `StoreDamaged`."""


def objection(application_id: int, version: int, tables: int) -> str | None:
    """Return why we must not use a database with this header; None when it is ours, or empty. *tables* is the number of
    its tables, indexes and triggers."""
    if application_id == APPLICATION_ID:
        if version > VERSION:
            return NEWER
        return None if version == VERSION else "has lost its version; bring it back from a copy"
    if application_id == 0 and version == 0 and tables == 0:
        return None
    return "belongs to another program; give another path, or move the file away"


NEWER: Final = "was written by a newer release; upgrade this one"
