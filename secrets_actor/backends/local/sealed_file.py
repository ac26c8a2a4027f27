"""THE second door to cryptography: a file that is sealed as a whole, piece by piece, in the manner of age.

Rule 1: a fresh file key seals the file. It is wrapped by a key that is given, or made of a passphrase by scrypt, and
        each key that does something is derived for that alone (HMAC-SHA256, HKDF-SHA256).
Rule 2: the header is in clear: what it is, how to make the key, a check that tells a wrong key, the wrapped file key,
        and a SHA-256 over all of it, which tells damage. The key of the rest is bound to the header.
Rule 3: the rest are chunks of 64 KiB, AES-256-GCM each. The nonce is the number of the chunk and whether it is the last
        (STREAM; Hoang, Reyhanitabar, Rogaway, Vizar 2015), so that chunks that are lost, swapped, doubled or added do
        not open. Nothing follows the last chunk, and it alone may be short; empty only if there is no other.
Rule 4: no frame that raises has a key or a passphrase among its locals, and what does not open is never handed on.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from struct import Struct
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secrets_actor.backends.local.export_key import KEY, KINDS, PASSPHRASE, ExportKey
from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.master_key import KEY_BYTES, Derivation
from secrets_actor.domain.errors import ExportDamaged, ExportFileError, WrongExportKey

MAGIC: Final = b"secrets_actor sealed file\n"
FORMAT: Final = 1
CHUNK: Final = 65_536
TAG_BYTES: Final = 16
_SALT_BYTES: Final = 16
_CHECK_BYTES: Final = 16
_NONCE_BYTES: Final = 12
# After magic and format: kind, scrypt's N, r, p, salt, check; then nonce and wrapped file key, and the sum over all.
_HOW: Final = Struct(f">BIII{_SALT_BYTES}s{_CHECK_BYTES}s")
_WRAPPED: Final = Struct(f">{_NONCE_BYTES}s{KEY_BYTES + TAG_BYTES}s")
_SUM_BYTES: Final = 32
_WRONG, _NO_MEMORY, _CHANGED = "wrong", "no memory", "changed"
HEADER_BYTES: Final = len(MAGIC) + 1 + _HOW.size + _WRAPPED.size + _SUM_BYTES


class Sealing:
    """Writes a sealed file to *sink*. It is not whole, and opens nowhere, before `finish`. *path* is for messages.
    Raises `OSError`s of the sink, and `ExportFileError` where there is no memory for scrypt."""

    def __init__(self, sink: BinaryIO, export_key: ExportKey, path: str) -> None:
        self._sink, self._number, self._rest = sink, 0, bytearray()
        n, r, p = export_key.costs if export_key.kind == PASSPHRASE else (0, 0, 0)
        derivation = Derivation(os.urandom(_SALT_BYTES), n, r, p)
        begun = _begun(export_key, derivation)
        if begun is None:
            raise _starved(path, derivation)
        header, self._aead = begun
        sink.write(header)

    def write(self, clear: bytes) -> None:
        """Add *clear*."""
        self._rest += clear
        del clear  # rule 4: the sink may raise
        while len(self._rest) > CHUNK:  # a full chunk may be the last
            self._seal(last=False)

    def finish(self) -> None:
        """Write the last chunk."""
        self._seal(last=True)

    def _seal(self, *, last: bool) -> None:
        sealed = self._aead.encrypt(_nonce(self._number, last), bytes(self._rest[:CHUNK]), None)
        del self._rest[:CHUNK]
        self._sink.write(sealed)
        self._number += 1


class Sealed:
    """A sealed file in *source*, which can seek; *path* is for messages. Unlocked when it is made: raises
    `ExportDamaged`, `WrongExportKey`, `ExportFileError` for a newer format, and `OSError`s of the source."""

    def __init__(self, source: BinaryIO, export_key: ExportKey, path: str) -> None:
        self._source, self.path = source, path
        header = source.read(HEADER_BYTES)
        kind, derivation, check = self._how(header)
        if kind != export_key.kind:
            raise WrongExportKey(f"{path} is sealed with {KINDS[kind]}: give that", path=path)
        aead = _unlocked(export_key, derivation, check, header)
        if aead is _WRONG:
            raise WrongExportKey(f"{path} is sealed with another {KINDS[kind][2:]}: give that one", path=path)
        if aead is _NO_MEMORY:
            raise _starved(path, derivation)
        if not isinstance(aead, AESGCM):
            raise self.damaged("its header was changed")
        self._aead = aead

    def _how(self, header: bytes) -> tuple[int, Derivation, bytes]:
        start = len(MAGIC)
        if header[:start] != MAGIC:
            raise self.damaged("it does not begin as an export does")
        if header[start : start + 1] > bytes((FORMAT,)):
            raise ExportFileError(
                f"{self.path} is of a newer format than this program knows: use a newer secrets-actor", path=self.path
            )
        above, total = header[:-_SUM_BYTES], header[-_SUM_BYTES:]
        if len(header) != HEADER_BYTES or not hmac.compare_digest(hashlib.sha256(above).digest(), total):
            raise self.damaged("its header is cut off or changed")
        kind, n, r, p, salt, check = _HOW.unpack_from(above, start + 1)
        if kind not in KINDS or (kind == PASSPHRASE and scrypt.objection(Derivation(salt, n, r, p)) is not None):
            raise self.damaged("its header asks for what no header of ours does")
        return kind, Derivation(salt, n, r, p), check

    def clear(self) -> Clear:
        """What is in it, from the beginning."""
        self._source.seek(HEADER_BYTES)
        return Clear(self._source, self._aead, self)

    def damaged(self, how: str) -> ExportDamaged:
        """The error for a file that is not as it was written."""
        return ExportDamaged(f"{self.path} is damaged: {how}; use another copy of it", path=self.path)


class Clear:
    """What is in a sealed file, read once from beginning to end. Raises `ExportDamaged`."""

    def __init__(self, source: BinaryIO, aead: AESGCM, file: Sealed) -> None:
        self._source, self._aead, self._file = source, aead, file
        self._number, self._next, self._rest = 0, source.read(CHUNK + TAG_BYTES), bytearray()
        self._open()

    def read(self, size: int) -> bytes:
        """So many bytes. Raises `ExportDamaged` when there are fewer."""
        while len(self._rest) < size:
            if not self._next:
                raise self._file.damaged("it ends in the middle of a secret")
            self._open()
        found = bytes(self._rest[:size])
        del self._rest[:size]
        return found

    @property
    def is_at_end(self) -> bool:
        """Whether all has been read."""
        return not self._rest and not self._next

    def _open(self) -> None:
        """Open the next chunk."""
        sealed, self._next = self._next, self._source.read(CHUNK + TAG_BYTES)
        before = len(self._rest)
        try:
            self._rest += self._aead.decrypt(_nonce(self._number, not self._next), sealed, None)
        except InvalidTag:
            raise self._file.damaged("it is cut off, changed, or put together anew") from None
        if self._number and len(self._rest) == before:
            raise self._file.damaged("it has an empty piece")
        self._number += 1


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(_NONCE_BYTES - 1, "big") + bytes((last,))


def _outer_key(export_key: ExportKey, derivation: Derivation) -> bytes | None:
    """The key that wraps; None where there is no memory to make it."""
    if export_key.kind == KEY:
        return hmac.digest(export_key.secret, b"secrets_actor export 1: " + derivation.salt, "sha256")
    return scrypt.derived(export_key.secret, derivation)


def _starved(path: str, derivation: Derivation) -> ExportFileError:
    wanted = f"scrypt wants {scrypt.memory(derivation) // 2**20:,} MiB of memory to make a key of the passphrase"
    return ExportFileError(f"{path} cannot be sealed or opened: {wanted}; give this process as much", path=path)


def _begun(export_key: ExportKey, derivation: Derivation) -> tuple[bytes, AESGCM] | None:
    """The header of a new file, and what seals its chunks; None without memory. Raises nothing: rule 4."""
    outer, file_key = _outer_key(export_key, derivation), os.urandom(KEY_BYTES)
    if outer is None:
        return None
    n, r, p = derivation.n, derivation.r, derivation.p
    how = MAGIC + bytes((FORMAT,)) + _HOW.pack(export_key.kind, n, r, p, derivation.salt, _check(outer))
    nonce = os.urandom(_NONCE_BYTES)
    above = how + _WRAPPED.pack(nonce, AESGCM(_derived(outer, b"wrap")).encrypt(nonce, file_key, how))
    header = above + hashlib.sha256(above).digest()
    return header, _stream(file_key, header)


def _derived(key: bytes, purpose: bytes) -> bytes:
    return hmac.digest(key, b"secrets_actor export 1: " + purpose, "sha256")


def _check(outer: bytes) -> bytes:
    return _derived(outer, b"check")[:_CHECK_BYTES]


def _stream(file_key: bytes, header: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), KEY_BYTES, None, b"secrets_actor export 1: chunks" + header).derive(file_key))


def _unlocked(export_key: ExportKey, derivation: Derivation, check: bytes, header: bytes) -> AESGCM | str:
    """What opens the chunks, or what is wrong. Raises nothing: rule 4."""
    outer = _outer_key(export_key, derivation)
    if outer is None:
        return _NO_MEMORY
    if not hmac.compare_digest(_check(outer), check):
        return _WRONG
    place = HEADER_BYTES - _SUM_BYTES - _WRAPPED.size
    nonce, wrapped = _WRAPPED.unpack_from(header, place)
    try:
        return _stream(AESGCM(_derived(outer, b"wrap")).decrypt(nonce, wrapped, header[:place]), header)
    except InvalidTag:
        return _CHANGED
