"""The envelope encryption of a store: it seals and opens records with AES-256-GCM, and hashes names under a key.

THE door to cryptography for all that lies in a store.

Rule 1: a sealed record is the format (1 byte), the nonce (12 bytes, fresh from the system for every seal), and the
        ciphertext with its tag (16 bytes).
Rule 2: the master key wraps the store keys; a store key seals heads and wraps data keys; a data key seals one value.
        A key has one purpose only: neither the master key nor a store key is used itself, but keys that are derived
        from it, one for each purpose (HMAC-SHA256).
Rule 3: the associated data binds a record to its place: format, purpose, store, and then the key, secret, name or
        version that the record belongs to. All parts but the last have a fixed size, so no two places give the same
        bytes.
Rule 4: keys are made, wrapped and unwrapped here and leave only wrapped. Cipher objects keep them, and no frame that
        raises has a key or a value among its locals. A record that does not open gives None; the calling code decides
        what that means.

Random 96-bit nonces are good for 2**32 seals under one key (NIST SP 800-38D, 8.3). A set seals one head and wraps one
data key. At one set a second that lasts a century, and `rekey --deep` begins anew.
"""

from __future__ import annotations

import hmac
import os
from struct import Struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secrets_actor.backends.local.master_key_source import KEY_BYTES
from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.secret import SecretValue

FORMAT: Final = 2
_FORM: Final = bytes((FORMAT,))
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
LOCATOR_BYTES: Final = 16
CHECK_BYTES: Final = 16
_TEXT, _BINARY = b"t", b"b"
# The format and a purpose. All have the same length: rule 3.
_STORE_KEY, _HEAD, _DATA_KEY, _VALUE = (bytes((FORMAT,)) + what for what in (b"skey", b"head", b"dkey", b"valu"))
_TWO: Final = Struct(">qq")
_ONE: Final = Struct(">q")


class Cipher:
    """A cipher under one key of 32 bytes. Raises `ValueError` for another length."""

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        size = len(key)
        if size == KEY_BYTES:
            self._aead = AESGCM(key)
            return
        del key  # rule 4
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {size}")

    def seal(self, clear: bytes, bound_to: bytes) -> bytes:
        """Return the sealed record of *clear*, which opens only with the same *bound_to*."""
        nonce = os.urandom(NONCE_BYTES)
        return _FORM + nonce + self._aead.encrypt(nonce, clear, bound_to)

    def open(self, sealed: object, bound_to: bytes) -> bytes | None:
        """Return the clear bytes that `seal` sealed; None for a record that is damaged, or was sealed for another place
        or by another key."""
        if not isinstance(sealed, bytes) or len(sealed) < 1 + NONCE_BYTES + TAG_BYTES or sealed[:1] != _FORM:
            return None
        try:
            return self._aead.decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], bound_to)
        except InvalidTag:
            return None


class StoreKey:
    """A store key, ready for use: the keys that are derived from it, each in its cipher."""

    __slots__ = ("_heads", "_names", "_store_id", "_wraps", "id")

    def __init__(self, key: bytes, store_id: bytes, key_id: int) -> None:
        self.id, self._store_id = key_id, store_id
        self._heads, self._wraps = Cipher(_derived(key, b"heads")), Cipher(_derived(key, b"data keys"))
        self._names = hmac.new(_derived(key, b"names"), digestmod="sha256")

    def locator(self, name: str) -> bytes:
        """Return the keyed hash of *name* (16 bytes), by which its row is found: names are not in clear in the
        store."""
        hashed = self._names.copy()  # an HMAC that has its key already: cheaper than a new one
        hashed.update(name.encode())
        return hashed.digest()[:LOCATOR_BYTES]

    def seal_head(self, head: bytes, *, secret: int, locator: bytes) -> bytes:
        """Return *head*, sealed for the secret of this id."""
        return self._heads.seal(head, self._place(_HEAD, secret, locator))

    def open_head(self, sealed: object, *, secret: int, locator: bytes) -> bytes | None:
        """Return the head that `seal_head` sealed; None when it does not open."""
        return self._heads.open(sealed, self._place(_HEAD, secret, locator))

    def seal_value(self, value: SecretValue, *, secret: int, version_id: str) -> tuple[bytes, bytes]:
        """Return a fresh data key, wrapped, and *value* sealed by it."""
        name = version_id.encode()
        key = os.urandom(KEY_BYTES)
        wrapped = self._wraps.seal(key, self._place(_DATA_KEY, secret, name))
        return wrapped, Cipher(key).seal(_clear(value), self._place(_VALUE, secret, name))

    def open_value(self, wrapped: object, sealed: object, *, secret: int, version_id: str) -> SecretValue | None:
        """Return the value that `seal_value` sealed; None when it does not open."""
        name = version_id.encode()
        key = self._wraps.open(wrapped, self._place(_DATA_KEY, secret, name))
        if key is None or len(key) != KEY_BYTES:
            return None
        return _value(Cipher(key).open(sealed, self._place(_VALUE, secret, name)))

    def _place(self, purpose: bytes, secret: int, last: bytes) -> bytes:
        return purpose + self._store_id + _TWO.pack(secret, self.id) + last


class Master:
    """The master key of the store with this id: it wraps store keys and does nothing else. Raises `ValueError` for a
    key that does not have 32 bytes."""

    __slots__ = ("_cipher", "_store_id", "check")

    def __init__(self, key: bytes, store_id: bytes) -> None:
        size = len(key)
        if size != KEY_BYTES:
            del key  # rule 4
            raise ValueError(f"a key has {KEY_BYTES} bytes, not {size}")
        self._store_id = store_id
        self._cipher = Cipher(_derived(key, b"store keys"))
        # Lies in clear beside each store key: it tells whether this master key wrapped that one, and tells nothing
        # about the master key itself.
        self.check = _derived(key, b"check" + store_id)[:CHECK_BYTES]

    def new_key(self, key_id: int) -> bytes:
        """Return a new store key, wrapped."""
        return self._cipher.seal(os.urandom(KEY_BYTES), self._place(key_id))

    def unwrap(self, key_id: int, wrapped: object) -> StoreKey | None:
        """Return the store key that this master key has wrapped; None when it does not open."""
        key = self._open(key_id, wrapped)
        return None if key is None else StoreKey(key, self._store_id, key_id)

    def rewrap(self, key_id: int, wrapped: object, other: Master) -> bytes | None:
        """Return the store key that this master key has wrapped, now wrapped by *other*; None when it does not open."""
        key = self._open(key_id, wrapped)
        return None if key is None else other._cipher.seal(key, self._place(key_id))

    def _open(self, key_id: int, wrapped: object) -> bytes | None:
        key = self._cipher.open(wrapped, self._place(key_id))
        return key if key is not None and len(key) == KEY_BYTES else None

    def _place(self, key_id: int) -> bytes:
        return _STORE_KEY + self._store_id + _ONE.pack(key_id)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"secrets_actor store 2: " + purpose, "sha256")


def _clear(value: SecretValue) -> bytes:
    inside = value.reveal()
    return _TEXT + inside.encode() if isinstance(inside, str) else _BINARY + inside


def _value(clear: bytes | None) -> SecretValue | None:
    if clear is None or clear[:1] not in (_TEXT, _BINARY):
        return None
    try:
        return SecretValue(clear[1:].decode() if clear[:1] == _TEXT else clear[1:])
    except (UnicodeDecodeError, InvalidSecretValue):
        return None
