"""The verification of a whole store: every key, head and value must open, and they must agree with each other.

Rule 1: it looks at one snapshot, whoever writes meanwhile. A part that cannot be read is reported, and the rest is
        still looked at.
Rule 2: damage to a secret is reported with its name if the head opens, otherwise with the number of its row.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from secrets_actor.backends.local import store_keys
from secrets_actor.backends.local.entry_cache import HeadRow
from secrets_actor.backends.local.envelope import Master
from secrets_actor.backends.local.master_key_source import MasterKeySource
from secrets_actor.backends.local.open_store import OpenStore
from secrets_actor.backends.local.schema import MARK_BYTES, DamagedRow
from secrets_actor.backends.local.sqlite_records import HEADS, head_row, open_head, open_value
from secrets_actor.backends.local.store_keys import Keys
from secrets_actor.backends.local.transaction import Transaction, as_made, foreign
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.domain.errors import DecryptionFailed
from secrets_actor.domain.operations import AWSCURRENT, AWSPREVIOUS
from secrets_actor.domain.semantics.entry import Entry

_SQLITE = "SQLite's own check finds the file damaged: bring the store back from a copy"
_EXCHANGED = "is damaged or was exchanged"


class Damage(Struct, frozen=True):
    """One fault: of a secret, which has its name (`secret`) or else its `row`; or of the store as a whole (neither)."""

    what: str
    secret: str | None = None
    row: int | None = None

    def __str__(self) -> str:
        if self.secret is not None:
            return f"secret {self.secret}: {self.what}"
        return self.what if self.row is None else f"the secret in row {self.row}: {self.what}"


class Verification(Struct):
    """The result of a verification: how many secrets and versions were looked at, and the faults (`damage`).
    `unfinished` names a change of keys that is not complete, and the command that completes it; None when there is
    none."""

    secrets: int = 0
    versions: int = 0
    unfinished: str | None = None
    damage: list[Damage] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damage


def verify(folder: Path, source: MasterKeySource, *, deadline: float) -> Verification:
    """Verify the store in *folder*. Changes nothing. Raises what `open_store` raises for a store that cannot be opened
    at all."""
    with opened_store(folder, source, deadline) as store:
        return look_through(store, deadline)


def look_through(store: OpenStore, deadline: float) -> Verification:
    """Verify an open store. Raises what `Store.read` raises; damage is in the result instead."""
    master = store_keys.master_of(store.keys.wrapped_keys, store.source)
    return store.read_transaction(
        lambda transaction, _records: _look_through(transaction, store.keys, master), deadline
    )


def _look_through(transaction: Transaction, keys: Keys, master: Master | None) -> Verification:
    found = Verification()
    if transaction.readable("PRAGMA integrity_check(1)") != [("ok",)]:
        found.damage.append(Damage(_SQLITE))
    if not as_made(transaction):
        found.damage.append(Damage("the tables are not those that were made: bring the store back from a copy"))
    found.damage += [
        Damage(
            f"there is {'an' if kind == 'index' else 'a'} {kind} {name} on {table}, which is not of this program's "
            "making: it may change or swallow what is written; drop it, or bring the store back from a copy"
        )
        for kind, name, table in foreign(transaction)
    ]
    found.damage += _of_keys(transaction, master, found)
    ids = ids_of(transaction)
    if ids is None:
        found.damage.append(Damage("the table of the secrets cannot be read"))
        return found
    for secret in ids:
        found.secrets += 1
        found.damage += _of_secret(transaction, keys, secret, found)
    found.damage += missing(transaction)
    return found


def missing(transaction: Transaction) -> Iterator[Damage]:
    """Give a fault for the secrets that have a mark or versions but no row."""
    lost = transaction.readable("SELECT count(*) FROM marks WHERE locator NOT IN (SELECT locator FROM secrets)")
    if lost != [(0,)]:
        yield Damage(f"{'some' if lost is None else lost[0][0]} of the secrets are missing")
    strays = transaction.readable("SELECT DISTINCT secret FROM versions WHERE secret NOT IN (SELECT id FROM secrets)")
    if strays is None:
        yield Damage("the table of the versions cannot be read to its end")
    for (secret,) in strays or ():
        yield Damage("there are versions of it, and it is gone", row=secret)


def ids_of(transaction: Transaction) -> list[int] | None:
    """Return the ids of all secrets, from the table, or from its index where the table is damaged; None when neither
    can be read."""
    for order in ("id", "locator"):  # ordered by locator, SQLite reads the index alone
        found = transaction.readable(f"SELECT id FROM secrets ORDER BY {order}")  # noqa: S608  two words of ours
        if found is not None:
            return [secret for (secret,) in found]
    return None


def _of_keys(transaction: Transaction, master: Master | None, found: Verification) -> Iterator[Damage]:
    try:
        wrapped_keys = store_keys.read_wrapped_keys(transaction)
        if master is not None:
            store_keys.unlocked(wrapped_keys, master)
    except DamagedRow:
        yield Damage("a key of the store does not open: it is damaged or was exchanged")
        return
    if wrapped_keys.damaged:
        yield Damage(f"{wrapped_keys.damaged} of the rows that hold the store's keys are damaged")
    found.unfinished = store_keys.unfinished(wrapped_keys)


def _of_secret(transaction: Transaction, keys: Keys, secret: int, found: Verification) -> Iterator[Damage]:
    entry, fault = entry_of(transaction, keys, secret)
    name = None if entry is None else entry.name
    faults = ([fault] if fault else []) + ([] if entry is None else list(stage_faults(entry)))
    left = set() if entry is None else {one.id for one in entry.versions}
    versions = transaction.readable("SELECT version_id, key, wrapped, sealed FROM versions WHERE secret = ?", secret)
    if versions is None:
        faults.append("its versions cannot be read to the end")
        left.clear()
    for version_id, *row in versions or ():
        found.versions += 1
        if not isinstance(version_id, str) or open_value(keys, secret, version_id, tuple(row)) is None:
            faults.append(f"version {version_id} {_EXCHANGED}")
        elif entry is not None and version_id not in left:
            faults.append(f"version {version_id} is there, and the secret does not know it")
        left.discard(version_id)
    faults += [f"version {version_id} is missing" for version_id in sorted(left)]
    return (Damage(one, name, None if entry else secret) for one in faults)


def entry_of(transaction: Transaction, keys: Keys, secret: int) -> tuple[Entry | None, str]:
    """Return the secret in a row (None: its head does not open), and a text that says what is wrong; "" for nothing."""
    row = transaction.readable(HEADS + " WHERE id = ?", secret)
    if not row:
        return None, "its row cannot be read"
    try:
        entry = open_head(keys, head_row(row[0]))
        return entry, "" if _marked(transaction, head_row(row[0])) else "its head is not the one that was written last"
    except DecryptionFailed:
        return None, f"its head {_EXCHANGED}"
    except DamagedRow:
        return None, "its row is not as it was written, or does not fit to what is sealed in it"


def _marked(transaction: Transaction, row: HeadRow) -> bool:
    return transaction.readable("SELECT mark FROM marks WHERE locator = ?", row[1]) == [(row[3][-MARK_BYTES:],)]


def stage_faults(entry: Entry) -> Iterator[str]:
    """Give what is wrong with the stages of *entry*: AWSCURRENT is always on one version, and AWSPREVIOUS never on the
    same one."""
    current = entry.stages.get(AWSCURRENT)
    if entry.versions and current is None:
        yield f"no version of it has {AWSCURRENT}"
    if current is not None and entry.stages.get(AWSPREVIOUS) == current:
        yield f"{AWSPREVIOUS} is on the current version"
