"""THE door to cryptography: values are sealed and opened here, with AES-256-GCM.

Rule 1: a sealed record is the format (1 byte), the nonce (12 bytes, fresh from the system for every seal), and the
        ciphertext with its tag (16 bytes).
Rule 2: the associated data binds a record to its place: purpose, format, secret name, version id, kind. Each part
        comes after its length (4 bytes, big-endian), so no two lists of parts give the same bytes.
Rule 3: only the cipher object keeps the key, and no frame that raises has key or value among its locals.

Random 96-bit nonces are good for 2**32 seals under one key (NIST SP 800-38D, 8.3): a century at one a second.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secrets_actor.domain.errors import DecryptionFailed
from secrets_actor.domain.secret import SecretValue

FORMAT: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
TEXT: Final = "text"
BINARY: Final = "binary"
_VALUE: Final = "value"
_KEY_CHECK: Final = "key check"
_KNOWN: Final = b"secrets_actor: this key opens this store"


class Envelope:
    """Seals and opens under one key of 32 bytes; raises `ValueError` for another length."""

    __slots__ = ("_cipher",)

    def __init__(self, key: bytes) -> None:
        size = len(key)
        if size == KEY_BYTES:
            self._cipher = AESGCM(key)
            return
        del key
        raise ValueError(f"a key has {KEY_BYTES} bytes, not {size}")

    def seal(self, value: SecretValue, *, name: str, version_id: str) -> tuple[str, bytes]:
        """The value's kind, `text` or `binary`, and its sealed record, which opens only for this name and version."""
        kind = TEXT if value.is_text else BINARY
        return kind, self._encrypt(value, associated_data(_VALUE, name, version_id, kind))

    def open(self, sealed: object, *, name: str, version_id: str, kind: str) -> SecretValue:
        """What `seal` sealed. Raises `DecryptionFailed` for a damaged record, and for one sealed for another place."""
        value = self._decrypt(sealed, associated_data(_VALUE, name, version_id, kind), kind)
        if value is None:
            raise DecryptionFailed(
                f"version {version_id} of secret {name} cannot be opened: its record is damaged or was exchanged; "
                "set the secret anew, or bring the store back from a copy"
            )
        return value

    def key_check(self) -> bytes:
        """A record that tells a later key whether it is this one."""
        return self._encrypt(SecretValue(_KNOWN), associated_data(_KEY_CHECK))

    def passes(self, key_check: object) -> bool:
        """Whether *key_check* was made with this key."""
        return self._decrypt(key_check, associated_data(_KEY_CHECK), BINARY) is not None

    def _encrypt(self, value: SecretValue, bound_to: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return bytes((FORMAT,)) + nonce + self._cipher.encrypt(nonce, _as_bytes(value), bound_to)

    def _decrypt(self, sealed: object, bound_to: bytes, kind: str) -> SecretValue | None:
        if not isinstance(sealed, bytes) or len(sealed) <= 1 + NONCE_BYTES + TAG_BYTES or sealed[0] != FORMAT:
            return None
        nonce, rest = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            if kind == TEXT:
                return SecretValue(self._cipher.decrypt(nonce, rest, bound_to).decode())
            return SecretValue(self._cipher.decrypt(nonce, rest, bound_to))
        except InvalidTag:
            return None


def associated_data(purpose: str, *parts: str) -> bytes:
    """The parts a record is bound to, each after its length: injective, so ("a", "bc") is not ("ab", "c")."""
    fields = [purpose.encode(), bytes((FORMAT,)), *(part.encode() for part in parts)]
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def _as_bytes(value: SecretValue) -> bytes:
    inside = value.reveal()
    return inside.encode() if isinstance(inside, str) else inside
