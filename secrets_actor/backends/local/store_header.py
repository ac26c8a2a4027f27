"""The encoding of a store's header and of its rows of wrapped keys. PURE. Nothing here is secret, and all is in clear.

Rule 1: the header and each row have a checksum (SHA-256), so that damage can be told from a key that does not fit.
Rule 2: a store key's id is a running number, followed by 32 random bits. So the newest key has the greatest id, and no
        two keys have the same id, even where an old copy of the store was put back in between.
Rule 3: the costs of a derivation are checked before scrypt runs with them: damaged ones could take all memory or hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from struct import Struct as Layout
from typing import Final

from msgspec import Struct

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.master_key_source import Derivation
from secrets_actor.backends.local.schema import NEWER, DamagedRow, NotOurs

FORMAT: Final = 2
STORE_ID_BYTES: Final = 16
CHECK_BYTES: Final = 16
_SUM_BYTES: Final = 32
_RANDOM_BITS: Final = 32
_DERIVATION: Final = Layout(">QIIB")


def header(store_id: bytes) -> bytes:
    """Return the header of the store with this id of 16 bytes."""
    body = bytes((FORMAT,)) + store_id
    return body + sha256(body).digest()


def store_id_in(found: object) -> bytes:
    """Return the store id in a header. Raises `DamagedRow`, and `NotOurs` for a newer format."""
    if not isinstance(found, bytes) or len(found) <= _SUM_BYTES:
        raise DamagedRow
    body, checksum = found[:-_SUM_BYTES], found[-_SUM_BYTES:]
    if sha256(body).digest() != checksum or body[0] < FORMAT:
        raise DamagedRow
    if body[0] > FORMAT:
        raise NotOurs(NEWER)
    if len(body) != 1 + STORE_ID_BYTES:
        raise DamagedRow
    return body[1:]


def next_key_id(newest: int, random_bits: int) -> int:
    """Return the id of the store key that comes after *newest* (0: there is none yet)."""
    return ((newest >> _RANDOM_BITS) + 1 << _RANDOM_BITS) | (random_bits & (1 << _RANDOM_BITS) - 1)


class WrappedKey(Struct, frozen=True):
    """A store key as it is kept in the store: `wrapped` by the master key whose check value is `master`. `derivation`
    tells how to make that master key of a passphrase (None: it is not made of one)."""

    id: int
    master: bytes
    derivation: Derivation | None
    wrapped: bytes

    def row(self) -> tuple[int, bytes, bytes | None, bytes, bytes]:
        """Return the row, in the order of the table's columns."""
        derivation = None if self.derivation is None else packed(self.derivation)
        return self.id, self.master, derivation, self.wrapped, _sum(self.id, self.master, derivation, self.wrapped)


def wrapped_key(row: tuple[object, ...]) -> WrappedKey | None:
    """Return the wrapped key in a row; None when the row is damaged."""
    match row:
        case (int(key_id), bytes(master), None | bytes() as derivation, bytes(wrapped), bytes(checksum)):
            if len(master) == CHECK_BYTES and checksum == _sum(key_id, master, derivation, wrapped):
                try:
                    return WrappedKey(key_id, master, None if derivation is None else unpacked(derivation), wrapped)
                except DamagedRow:
                    return None
    return None


def ids_sum(ids: Iterable[object]) -> bytes:
    """Return a checksum of the ids of all store keys, given in any order. An id may be of any type, since the table may
    be damaged."""
    return sha256(b"".join(sorted(repr(key_id).encode() + b"\n" for key_id in ids))).digest()


def packed(derivation: Derivation) -> bytes:
    """Return a derivation as bytes."""
    return _DERIVATION.pack(derivation.n, derivation.r, derivation.p, len(derivation.salt)) + derivation.salt


def unpacked(found: bytes) -> Derivation:
    """Return the derivation in these bytes. Raises `DamagedRow`, also for costs or a salt that `keys/scrypt.py`
    refuses."""
    if len(found) < _DERIVATION.size:
        raise DamagedRow
    n, r, p, length = _DERIVATION.unpack_from(found)
    derivation = Derivation(found[_DERIVATION.size :], n, r, p)
    if len(derivation.salt) != length or scrypt.objection(derivation) is not None:
        raise DamagedRow
    return derivation


def _sum(key_id: int, master: bytes, derivation: bytes | None, wrapped: bytes) -> bytes:
    parts = (key_id.to_bytes(8, "big", signed=True), master, derivation or b"", wrapped)
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts)).digest()
