"""New keys for a store that others may be using.

Rule 1: a new master key: the store's keys are wrapped by it too; then it takes the place of the old one where that
        lies; then the wraps by the old one go. A crash at any point leaves a store that the key in its place opens, and
        running it again comes to the same end: also when the key has gone over to another place already, and only the
        rest is to be done.
Rule 2: all keys anew (`deep`): a new store key is put beside the old one; then, some rows at a time, every head and
        value is opened and sealed anew, the latter by a new data key; when nothing is left the old one goes. Rows tell
        by `key` what is left, so it goes on after a crash. From the first moment others seal with the new key.
Rule 3: what does not open is left as it is, told, and keeps the old key there.
Rule 4: what was deleted is overwritten (`secure_delete`), and the log is folded in and emptied at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from secrets_actor.backends.local import entry_codec, store_keys
from secrets_actor.backends.local.envelope import Master
from secrets_actor.backends.local.master_key import Derivation, MasterKeySource
from secrets_actor.backends.local.open_store import OpenStore
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.sqlite_records import HEADS, head_row, open_head, open_value
from secrets_actor.backends.local.store_header import WrappedKey
from secrets_actor.backends.local.store_keys import Keys
from secrets_actor.backends.local.transaction import Transaction
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.domain.errors import DecryptionFailed, InvalidRequest, KeyFileError, SecretsError

# Rows in one transaction: others wait for it, some milliseconds.
BATCH: Final = 64
_VERSIONS: Final = "SELECT id, secret, version_id, key, wrapped, sealed FROM versions"
_BUSY: Final = "somebody else changes the keys of this store; wait until that is done, and run rekey again"


class Rekeyed(Struct):
    """What was sealed anew by a deep change, and what was left as it was, for it does not open; of so many rows in all
    (`total`). `master`: whether the master key is another now. `resumed`: whether all this is the rest of a deep change
    that had been begun before."""

    secrets: int = 0
    versions: int = 0
    left: int = 0
    total: int = 0
    master: bool = False
    resumed: bool = False


Told = Callable[[Rekeyed], object]
# Of rows behind one, in a transaction: the id of the last one (None: there was none), how many were sealed anew, how
# many could not be opened.
Batch = Callable[[Transaction, Keys, int], tuple[int | None, int, int]]


def rekey(
    folder: Path,
    source: MasterKeySource,
    *,
    to: MasterKeySource | None = None,
    deep: bool = False,
    deadline: float,
    told: Told = lambda _so_far: None,
) -> Rekeyed:
    """Give the store in *folder* a new master key: at the place of the present one, which is in *source*, or at another
    (*to*). With *deep* all other keys, too; *told* hears how far it is, first with nothing done, then after each
    transaction.

    Raises as `open_store`, what the sources raise, and `InvalidRequest` when *to* has the present key
    or somebody else is changing the keys.
    """
    with ExitStack() as stack:
        store, is_there = _entered(stack, folder, source, to, deadline)
        goes_on = is_there or (to is None and not source.makes and _is_unfinished(store, deep))
        if goes_on:
            _settle_master(store, deadline)
        else:
            change_master(store, to, deadline)
        done = change_all(store, deadline, told) if deep else Rekeyed()
        done.master = not goes_on
        store.store.clear_log(deadline)
        return done


def _entered(
    stack: ExitStack, folder: Path, source: MasterKeySource, to: MasterKeySource | None, deadline: float
) -> tuple[OpenStore, bool]:
    """The store, and whether it is *to* that opens it: an earlier run came so far."""
    try:
        return stack.enter_context(opened_store(folder, source, deadline)), False
    except KeyFileError as exc:
        failure = exc.clone()
    if to is not None:
        try:
            return stack.enter_context(opened_store(folder, to, deadline)), True
        except SecretsError:
            pass
    raise failure


def _is_unfinished(store: OpenStore, deep: bool) -> bool:
    """Whether there is something left to do for which a place that holds one key at a time need not hold two."""
    wrapped_keys = store.keys.wrapped_keys
    return len({key.master for key in wrapped_keys.keys}) > 1 or (deep and len(store.keys.all) > 1)


def _settle_master(store: OpenStore, deadline: float) -> None:
    """Let the present master key be the only one."""
    present = _present(store)
    store.write_transaction(lambda transaction, _records: _drop_others(transaction, present), deadline)
    store.reload(deadline)


def change_master(store: OpenStore, to: MasterKeySource | None, deadline: float) -> None:
    """Rule 1. The store's source is *to* after it, if that is given. Raises as `rekey`."""
    source = store.source
    present = _present(store)
    master, derivation = _next(source, to, store.keys.store_id)
    if master.check == present.check:
        raise InvalidRequest(f"the key in {to or source} is this store's master key already; put a new one there")
    store.write_transaction(lambda transaction, _records: _wrap(transaction, present, master, derivation), deadline)
    if to is None:
        source.replaced()
    store.write_transaction(lambda transaction, _records: _drop_others(transaction, master), deadline)
    store.source = to or source
    store.reload(deadline)


def change_all(store: OpenStore, deadline: float, told: Told = lambda _so_far: None) -> Rekeyed:
    """Rule 2. Raises as `rekey`."""
    present = _present(store)
    resumed = store.write_transaction(lambda transaction, _records: _begin(transaction, present), deadline)
    store.reload(deadline)
    done = Rekeyed(
        total=store.read_transaction(lambda transaction, _records: _left_to_do(transaction, store.keys), deadline),
        resumed=resumed,
    )
    told(done)
    for batch in (_heads, _values):
        for sealed, left in _batches(store, batch, deadline):
            done.secrets += sealed if batch is _heads else 0
            done.versions += sealed if batch is _values else 0
            done.left += left
            told(done)
    store.write_transaction(lambda transaction, _records: _end(transaction, store.keys), deadline)
    store.reload(deadline)
    return done


def _batches(store: OpenStore, batch: Batch, deadline: float) -> Iterator[tuple[int, int]]:
    """Run *batch* to the end of its table, each time in a transaction: how many were sealed, how many not."""
    last: int | None = -(2**63)
    while last is not None:

        def work(transaction: Transaction, _records: object, after: int = last) -> tuple[int | None, int, int]:
            return batch(transaction, store.keys, after)

        last, sealed, left = store.write_transaction(work, deadline)
        store.forget()
        yield sealed, left


def _present(store: OpenStore) -> Master:
    master = store_keys.master_of(store.keys.wrapped_keys, store.source)
    if master is None:
        raise store_keys.wrong_key(store.source, store.keys.wrapped_keys)
    return master


def _next(source: MasterKeySource, to: MasterKeySource | None, store_id: bytes) -> tuple[Master, Derivation | None]:
    key, derivation = source.replace() if to is None else to.create()
    return Master(key, store_id), derivation


def _wrap(transaction: Transaction, present: Master, master: Master, derivation: Derivation | None) -> None:
    """Wrap the store's keys by *master* as well."""
    wrapped_keys = store_keys.read_wrapped_keys(transaction)
    fresh = []
    for key in wrapped_keys.keys:
        if key.master == present.check:
            wrapped = present.rewrap(key.id, key.wrapped, master)
            if wrapped is None:
                raise DamagedRow
            fresh.append(WrappedKey(key.id, master.check, derivation, wrapped))
    if {key.id for key in fresh} == {key.id for key in wrapped_keys.keys}:
        store_keys.add(transaction, *fresh)
    elif not _opens_all(wrapped_keys, master):
        raise InvalidRequest(_BUSY)


def _drop_others(transaction: Transaction, master: Master) -> None:
    """Leave only the wraps by *master*, which opens them all."""
    if not _opens_all(store_keys.read_wrapped_keys(transaction), master):
        raise InvalidRequest(_BUSY)
    transaction.do("DELETE FROM keys WHERE master <> ?", master.check)
    store_keys.new_epoch(transaction)


def _opens_all(wrapped_keys: store_keys.WrappedKeys, master: Master) -> bool:
    try:
        store_keys.unlocked(wrapped_keys, master)
    except DamagedRow:
        return False
    return True


def _begin(transaction: Transaction, present: Master) -> bool:
    """Put a new store key beside the present one, unless an earlier run has: whether it has."""
    wrapped_keys = store_keys.read_wrapped_keys(transaction)
    if wrapped_keys.damaged:
        raise DamagedRow
    if {key.master for key in wrapped_keys.keys} != {present.check}:
        raise InvalidRequest(_BUSY)
    if len(wrapped_keys.keys) == 1:
        store_keys.add(
            transaction, store_keys.new_key(present, wrapped_keys.keys[0].derivation, after=wrapped_keys.keys[0].id)
        )
        return False
    return True


def _left_to_do(transaction: Transaction, keys: Keys) -> int:
    """How many rows are sealed by older keys; 0 where that cannot be counted."""
    found = 0
    for table in ("secrets", "versions"):
        counted = transaction.readable(f"SELECT count(*) FROM {table} WHERE key <> ?", keys.newest.id)  # noqa: S608
        found += counted[0][0] if counted else 0
    return found


def _heads(transaction: Transaction, keys: Keys, after: int) -> tuple[int | None, int, int]:
    """Seal the next heads anew."""
    found = transaction.all(f"{HEADS} WHERE id > ? AND key <> ? ORDER BY id LIMIT {BATCH}", after, keys.newest.id)
    sealed = 0
    for row in found:
        try:
            secret = head_row(row)[0]
            entry = open_head(keys, head_row(row))
        except (DecryptionFailed, DamagedRow):
            continue
        locator = keys.newest.locator(entry.name)
        anew = keys.newest.seal_head(entry_codec.encode(entry), secret=secret, locator=locator)
        transaction.do(
            "UPDATE secrets SET locator = ?, key = ?, head = ? WHERE id = ?", locator, keys.newest.id, anew, secret
        )
        sealed += 1
    return (found[-1][0] if found else None), sealed, len(found) - sealed


def _values(transaction: Transaction, keys: Keys, after: int) -> tuple[int | None, int, int]:
    """Seal the next values anew."""
    found = transaction.all(f"{_VERSIONS} WHERE id > ? AND key <> ? ORDER BY id LIMIT {BATCH}", after, keys.newest.id)
    sealed = 0
    for number, secret, version_id, *record in found:
        value = open_value(keys, secret, version_id, tuple(record)) if isinstance(version_id, str) else None
        if value is not None:
            wrapped, anew = keys.newest.seal_value(value, secret=secret, version_id=version_id)
            transaction.do(
                "UPDATE versions SET key = ?, wrapped = ?, sealed = ? WHERE id = ?",
                *(keys.newest.id, wrapped, anew, number),
            )
            sealed += 1
    return (found[-1][0] if found else None), sealed, len(found) - sealed


def _end(transaction: Transaction, keys: Keys) -> None:
    """Let the old store keys go, if nothing is left that they open."""
    for table in ("secrets", "versions"):
        if transaction.one(f"SELECT 1 FROM {table} WHERE key <> ? LIMIT 1", keys.newest.id) is not None:  # noqa: S608
            return
    transaction.do("DELETE FROM keys WHERE id <> ?", keys.newest.id)
    store_keys.new_epoch(transaction)
