"""The store keys: read from the header and rows of a store, and unlocked by its master key.

Rule 1: a master key that has wrapped no key of this store is a wrong key. A row that is not as it was written is
        damage. Where it could be either, as when all rows are damaged, it counts as damage.
Rule 2: during a change of the master key, each store key is wrapped by both master keys, and either opens the store.
Rule 3: `epoch` is a random number, drawn anew with every change of the keys. So equal epochs mean equal keys, even
        after an old copy of the store was put back; a running number could not tell that.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from secrets_actor.backends.local.envelope import Master, StoreKey
from secrets_actor.backends.local.schema import DamagedRow
from secrets_actor.backends.local.store_header import (
    STORE_ID_BYTES,
    WrappedKey,
    header,
    ids_sum,
    next_key_id,
    store_id_in,
    wrapped_key,
)
from secrets_actor.domain.errors import WrongKey

if TYPE_CHECKING:
    from secrets_actor.backends.local.master_key_source import Derivation, MasterKeySource
    from secrets_actor.backends.local.transaction import Transaction


class WrappedKeys(Struct, frozen=True):
    """All that is needed to open a store, except the master key. `damaged` is the number of damaged rows of keys, which
    are left out of `keys`."""

    store_id: bytes
    epoch: int
    keys: tuple[WrappedKey, ...]
    damaged: int

    @property
    def derivations(self) -> tuple[Derivation | None, ...]:
        """Return the derivations of the master key: two while the passphrase is being changed. (None,) when the master
        key is not made of a passphrase."""
        found = dict.fromkeys(key.derivation for key in self.keys if key.derivation is not None)
        return tuple(found) or (None,)


class Keys(Struct, frozen=True):
    """The unlocked store keys. `newest` seals; `all` has every key by its id, the newest first, and each can open what
    it sealed. `master` is the check value of the master key that unlocked them, `wrapped_keys` what they were unlocked
    from."""

    store_id: bytes
    epoch: int
    master: bytes
    newest: StoreKey
    all: Mapping[int, StoreKey]
    wrapped_keys: WrappedKeys


def read_wrapped_keys(transaction: Transaction) -> WrappedKeys:
    """Return the wrapped keys in the store. Raises `DamagedRow` and `NotOurs`."""
    found = transaction.one("SELECT value FROM meta WHERE name = 'header'")
    store_id = store_id_in(None if found is None else found[0])
    keys = [
        wrapped_key(row) for row in transaction.all("SELECT id, master, derivation, wrapped, sum FROM keys ORDER BY id")
    ]
    good = tuple(key for key in keys if key is not None)
    if not good or transaction.one("SELECT value FROM meta WHERE name = 'keys'") != (_which(transaction),):
        raise DamagedRow  # each key hashes names anew, so without one of them its secrets would seem not to be there
    return WrappedKeys(store_id, read_epoch(transaction), good, len(keys) - len(good))


def read_epoch(transaction: Transaction) -> int:
    """Return the epoch. Raises `DamagedRow`."""
    match transaction.one("SELECT value FROM meta WHERE name = 'epoch'"):
        case (int(epoch),):
            return epoch
    raise DamagedRow


def unlock(wrapped_keys: WrappedKeys, source: MasterKeySource) -> Keys:
    """Return the keys, unlocked by the master key from *source*. Raises what the source raises, `KeyFileError` where it
    has no key, `WrongKey`, and `DamagedRow`."""
    master = master_of(wrapped_keys, source)
    if master is None:
        if wrapped_keys.damaged:
            raise DamagedRow
        raise wrong_key(source, wrapped_keys)
    return unlocked(wrapped_keys, master)


def unlocked(wrapped_keys: WrappedKeys, master: Master) -> Keys:
    """Return the keys, unlocked by *master*. Raises `DamagedRow` when it does not open all of them."""
    opened = {key.id: master.unwrap(key.id, key.wrapped) for key in wrapped_keys.keys if key.master == master.check}
    keys = {key_id: key for key_id, key in opened.items() if key is not None}
    if len(keys) != len({key.id for key in wrapped_keys.keys}):
        raise DamagedRow
    newest_first = dict(sorted(keys.items(), reverse=True))
    return Keys(wrapped_keys.store_id, wrapped_keys.epoch, master.check, keys[max(keys)], newest_first, wrapped_keys)


def unlocked_again(known: Keys, wrapped_keys: WrappedKeys) -> Keys | None:
    """Return the keys of a store whose keys have changed, without asking for a master key; None when one of them is not
    *known*."""
    ids = {key.id for key in wrapped_keys.keys}
    if wrapped_keys.store_id != known.store_id or wrapped_keys.damaged or not ids <= known.all.keys():
        return None
    left = {key_id: key for key_id, key in known.all.items() if key_id in ids}
    return Keys(wrapped_keys.store_id, wrapped_keys.epoch, known.master, left[max(ids)], left, wrapped_keys)


def master_of(wrapped_keys: WrappedKeys, source: MasterKeySource) -> Master | None:
    """Return the master key from *source*; None when that key has wrapped no key of this store. Raises what the source
    raises, `KeyFileError` where it has no key, and `WrongKey` where the store needs another kind of key."""
    kinds = {key.derivation is not None for key in wrapped_keys.keys}
    if (source.kind == "passphrase") not in kinds:  # no key from there can fit; "it is missing" would mislead
        raise wrong_key(source, wrapped_keys)
    there = False
    for load in (source.load, source.load_next):  # the next key fits where a change of keys broke off
        for derivation in wrapped_keys.derivations:
            master = _master(load, derivation, wrapped_keys.store_id)
            if master is not None and any(one.master == master.check for one in wrapped_keys.keys):
                return master
            there = there or master is not None
    if not there:
        raise source.missing()
    return None


def _master(
    load: Callable[[Derivation | None], bytes | None], derivation: Derivation | None, store_id: bytes
) -> Master | None:
    key = load(derivation)
    return None if key is None else Master(key, store_id)


class NewStore(Struct, frozen=True):
    """The header of a store to be made, and its first key, wrapped by `master`."""

    header: bytes
    master: Master
    key: WrappedKey


def new_store(key: bytes, derivation: Derivation | None) -> NewStore:
    """Return a new store under the master *key*."""
    store_id = os.urandom(STORE_ID_BYTES)
    master = Master(key, store_id)
    return NewStore(header(store_id), master, new_key(master, derivation, after=0))


def write_new_store(transaction: Transaction, made: NewStore) -> None:
    """Put the header and the first key of a new store into its empty tables."""
    transaction.do("INSERT INTO meta (name, value) VALUES ('header', ?)", made.header)
    put_wrapped_keys(transaction, made.key)


def new_key(master: Master, derivation: Derivation | None, *, after: int) -> WrappedKey:
    """Return a new store key, wrapped by *master*, whose id comes after the id *after*."""
    key_id = next_key_id(after, secrets.randbits(32))
    return WrappedKey(key_id, master.check, derivation, master.new_key(key_id))


def put_wrapped_keys(transaction: Transaction, *keys: WrappedKey) -> None:
    """Put wrapped keys into the store. They replace those of the same id and master key."""
    for key in keys:
        transaction.do(
            "INSERT OR REPLACE INTO keys (id, master, derivation, wrapped, sum) VALUES (?, ?, ?, ?, ?)", *key.row()
        )
    new_epoch(transaction)


def new_epoch(transaction: Transaction) -> None:
    """Draw a new epoch, so that every open connection looks at the keys again, and note which keys there are."""
    for name, value in (("epoch", secrets.randbits(62)), ("keys", _which(transaction))):
        transaction.do("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", name, value)


def _which(transaction: Transaction) -> bytes:
    return ids_sum([key_id for (key_id,) in transaction.all("SELECT DISTINCT id FROM keys")])


def unfinished(wrapped_keys: WrappedKeys) -> str | None:
    """Return which change of keys is under way or broke off, and the command that finishes it; None when there is
    none."""
    if len({key.master for key in wrapped_keys.keys}) > 1:
        return "a change of the master key: run secrets-actor store rekey again"
    if len({key.id for key in wrapped_keys.keys}) > 1:
        return "a change of all keys: run secrets-actor store rekey --deep again"
    return None


def wrong_key(source: MasterKeySource, wrapped_keys: WrappedKeys | None = None) -> WrongKey:
    """Return the error for a master key that does not fit *wrapped_keys* (None: it is not known what they are)."""
    sealed, given = _sealed_with(wrapped_keys), source.kind == "passphrase"
    if sealed == {True} and not given:
        text = (
            f"this store is sealed with a passphrase, and the key is looked for in {source}: type the passphrase with "
            "--ask-passphrase, or name its place in local.key (nothing was changed)"
        )
    elif sealed == {False} and given:
        text = (
            f"this store is sealed with a key, and not with a passphrase as {source}: name the place of the key in "
            "local.key, such as a key file (nothing was changed)"
        )
    else:
        other = " (another passphrase)" if sealed == {True} else " (another key of 32 bytes)" if sealed else ""
        text = (
            f"the key in {source} is not the one this store was sealed with{other}; put the right key back "
            "(nothing was changed)"
        )
    return WrongKey(text, path=str(source))


def _sealed_with(wrapped_keys: WrappedKeys | None) -> set[bool]:
    """Return {True} for a store that is sealed with a passphrase, {False} for one with a key, both while that is being
    changed, and an empty set when it is not known."""
    return set() if wrapped_keys is None else {key.derivation is not None for key in wrapped_keys.keys}
