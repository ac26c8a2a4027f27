"""The change of a store's keys, while other processes may be using the store.

Rule 1: a new master key takes three steps. First it wraps the store keys, beside the old master key. Then it takes the
        old one's place. Then what the old one wrapped is deleted. After a crash at any point, the key in the configured
        place opens the store, and a second run completes the change. That is also so when the new key is in another
        place already, and only the last step is left.
Rule 2: a change of all keys (`deep`) puts a new store key beside the old one. Then, some rows at a time, it opens every
        head and value and seals it anew, each value with a new data key. When no row is left, the old store key is
        deleted. The column `key` of a row tells which key sealed it, so a second run goes on after a crash. From the
        beginning other processes seal with the new key, so no old rows are added meanwhile.
Rule 3: a row that does not open is left as it is and is counted. The old store key then stays, since a later repair may
        need it.
Rule 4: deleted keys and rows are overwritten (`secure_delete`), and the log is folded in and emptied at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from secrets_actor.backends.local import entry_codec, store_keys
from secrets_actor.backends.local.envelope import Master
from secrets_actor.backends.local.master_key_source import Derivation, MasterKeySource
from secrets_actor.backends.local.open_store import OpenStore
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.sqlite_records import HEADS, head_row, open_head, open_value
from secrets_actor.backends.local.store_header import WrappedKey
from secrets_actor.backends.local.store_keys import Keys
from secrets_actor.backends.local.transaction import Transaction
from secrets_actor.backends.local.upkeep.existing_store import opened_store
from secrets_actor.domain.errors import DecryptionFailed, InvalidRequest, KeyFileError, SecretsError

# Rows in one transaction. Other writers wait for it, some milliseconds.
BATCH: Final = 64
_VERSIONS: Final = "SELECT id, secret, version_id, key, wrapped, sealed FROM versions"
_BUSY: Final = "somebody else changes the keys of this store; wait until that is done, and run rekey again"


class Rekeyed(Struct):
    """The result of a change of keys. For a deep one: how many `secrets` (heads) and `versions` (values) were sealed
    anew, how many rows were `left` because they do not open, and the `total` of the rows. `master` tells whether this
    run changed the master key, `resumed` whether it went on with a deep change that an earlier run had begun."""

    secrets: int = 0
    versions: int = 0
    left: int = 0
    total: int = 0
    master: bool = False
    resumed: bool = False


OnProgress = Callable[[Rekeyed], object]
# Seals the next rows after a row id, inside a transaction. Returns the id of the last of them (None: there was none),
# how many were sealed anew, and how many could not be opened.
Batch = Callable[[Transaction, Keys, int], tuple[int | None, int, int]]


def rekey(
    folder: Path,
    source: MasterKeySource,
    *,
    to: MasterKeySource | None = None,
    deep: bool = False,
    deadline: float,
    on_progress: OnProgress = lambda _so_far: None,
) -> Rekeyed:
    """Give the store in *folder* a new master key: in the place of the present one (*source*), or in another one
    (*to*). With *deep*, change all other keys, too. *on_progress* is then called with the result so far: first with
    nothing done, and again after each transaction.

    Raises what `open_store` and the sources raise, and `InvalidRequest` when *to* has the present key or another
    process is changing the keys.
    """
    with ExitStack() as stack:
        store, is_there = _entered(stack, folder, source, to, deadline)
        goes_on = is_there or (to is None and not source.makes and _is_unfinished(store, deep))
        if goes_on:
            _settle_master(store, deadline)
        else:
            change_master(store, to, deadline)
        done = change_all(store, deadline, on_progress) if deep else Rekeyed()
        done.master = not goes_on
        store.store.clear_log(deadline)
        return done


def _entered(
    stack: ExitStack, folder: Path, source: MasterKeySource, to: MasterKeySource | None, deadline: float
) -> tuple[OpenStore, bool]:
    """Return the open store, and whether only the key in *to* opens it, because an earlier run came that far."""
    try:
        return stack.enter_context(opened_store(folder, source, deadline)), False
    except KeyFileError as exc:
        failure = exc.clone()  # without the frames of the first one, for it is raised after another attempt
    if to is not None:
        try:
            return stack.enter_context(opened_store(folder, to, deadline)), True
        except SecretsError:
            pass
    raise failure


def _is_unfinished(store: OpenStore, deep: bool) -> bool:
    """Whether an earlier change was broken off and can be completed with the present key alone. That matters for a
    place that holds one key at a time: a new change would be refused there."""
    wrapped_keys = store.keys.wrapped_keys
    return len({key.master for key in wrapped_keys.keys}) > 1 or (deep and len(store.keys.all) > 1)


def _settle_master(store: OpenStore, deadline: float) -> None:
    """Make the present master key the only one that opens the store."""
    present = _present(store)
    store.write_transaction(lambda transaction, _records: _drop_others(transaction, present), deadline)
    store.reload(deadline)


def change_master(store: OpenStore, to: MasterKeySource | None, deadline: float) -> None:
    """Change the master key by rule 1. If *to* is given, it is the store's source from then on. Raises what `rekey`
    raises."""
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


def change_all(store: OpenStore, deadline: float, on_progress: OnProgress = lambda _so_far: None) -> Rekeyed:
    """Change all other keys by rule 2. Raises what `rekey` raises."""
    present = _present(store)
    resumed = store.write_transaction(lambda transaction, _records: _begin(transaction, present), deadline)
    store.reload(deadline)
    done = Rekeyed(
        total=store.read_transaction(lambda transaction, _records: _left_to_do(transaction, store.keys), deadline),
        resumed=resumed,
    )
    on_progress(done)
    for batch in (_heads, _values):
        for sealed, left in _batches(store, batch, deadline):
            done.secrets += sealed if batch is _heads else 0
            done.versions += sealed if batch is _values else 0
            done.left += left
            on_progress(done)
    store.write_transaction(lambda transaction, _records: _end(transaction, store.keys), deadline)
    store.reload(deadline)
    return done


def _batches(store: OpenStore, batch: Batch, deadline: float) -> Iterator[tuple[int, int]]:
    """Run *batch* to the end of its table, each time in a transaction of its own. Give how many rows each run sealed
    anew, and how many did not open."""
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
    """Wrap all store keys with *master*, too."""
    wrapped_keys = store_keys.read_wrapped_keys(transaction)
    fresh = []
    for key in wrapped_keys.keys:
        if key.master == present.check:
            wrapped = present.rewrap(key.id, key.wrapped, master)
            if wrapped is None:
                raise DamagedRow
            fresh.append(WrappedKey(key.id, master.check, derivation, wrapped))
    if {key.id for key in fresh} == {key.id for key in wrapped_keys.keys}:
        store_keys.put_wrapped_keys(transaction, *fresh)
    elif not _opens_all(wrapped_keys, master):  # *present* no longer wraps all keys: another process has changed them
        raise InvalidRequest(_BUSY)


def _drop_others(transaction: Transaction, master: Master) -> None:
    """Delete the wrapped keys of all other master keys. Raises `InvalidRequest` when *master* does not open all store
    keys: data would be lost."""
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
    """Put a new store key beside the present one, unless an earlier run has done so; return whether it has."""
    wrapped_keys = store_keys.read_wrapped_keys(transaction)
    if wrapped_keys.damaged:
        raise DamagedRow
    if {key.master for key in wrapped_keys.keys} != {present.check}:
        raise InvalidRequest(_BUSY)
    if len(wrapped_keys.keys) == 1:
        store_keys.put_wrapped_keys(
            transaction, store_keys.new_key(present, wrapped_keys.keys[0].derivation, after=wrapped_keys.keys[0].id)
        )
        return False
    return True


def _left_to_do(transaction: Transaction, keys: Keys) -> int:
    """Return how many rows are sealed by older keys. A damaged table that cannot be counted adds none."""
    found = 0
    for table in ("secrets", "versions"):
        counted = transaction.readable(f"SELECT count(*) FROM {table} WHERE key <> ?", keys.newest.id)  # noqa: S608
        found += counted[0][0] if counted else 0
    return found


def _heads(transaction: Transaction, keys: Keys, after: int) -> tuple[int | None, int, int]:
    """Seal the next heads anew, as a `Batch`."""
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
    """Seal the next values anew, as a `Batch`."""
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
    """Delete the old store keys, if no row is left that they sealed."""
    for table in ("secrets", "versions"):
        if transaction.one(f"SELECT 1 FROM {table} WHERE key <> ? LIMIT 1", keys.newest.id) is not None:  # noqa: S608
            return
    transaction.do("DELETE FROM keys WHERE id <> ?", keys.newest.id)
    store_keys.new_epoch(transaction)
