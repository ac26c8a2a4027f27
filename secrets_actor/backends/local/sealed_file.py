"""The sealed file: an export is sealed as a whole, chunk by chunk, in the manner of the tool age.

THE second door to cryptography.

Rule 1: a fresh file key seals the file. The file key is wrapped by a key that the caller gives, or that scrypt makes of
        a passphrase. Each key that is used is derived for one purpose alone (HMAC-SHA256, HKDF-SHA256).
Rule 2: the header is in clear. It has the format, the way to make the wrapping key, a check value that tells a wrong
        key, the wrapped file key, and a SHA-256 over all of that, which tells damage. The key of the chunks is bound to
        the header.
Rule 3: after the header come chunks of 64 KiB, each sealed with AES-256-GCM. The nonce is the number of the chunk and
        whether it is the last (STREAM; Hoang, Reyhanitabar, Rogaway, Vizar 2015), so chunks that are lost, swapped,
        doubled or added do not open. Nothing follows the last chunk. Only the last one may be short, and it may be
        empty only if it is the only one. A counter as nonce is safe, because the file key is never used again.
Rule 4: no frame that raises has a key or a passphrase among its locals, and a chunk that does not open is never handed
        on.
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
from secrets_actor.backends.local.master_key_source import KEY_BYTES, Derivation
from secrets_actor.domain.errors import ExportDamaged, ExportFileError, WrongExportKey

MAGIC: Final = b"secrets_actor sealed file\n"
FORMAT: Final = 1
CHUNK: Final = 65_536
TAG_BYTES: Final = 16
_SALT_BYTES: Final = 16
_CHECK_BYTES: Final = 16
_NONCE_BYTES: Final = 12
# After magic and format come: kind, scrypt's N, r, p, salt and check value; nonce and wrapped file key; the checksum.
_HOW: Final = Struct(f">BIII{_SALT_BYTES}s{_CHECK_BYTES}s")
_WRAPPED: Final = Struct(f">{_NONCE_BYTES}s{KEY_BYTES + TAG_BYTES}s")
_SUM_BYTES: Final = 32
_WRONG, _NO_MEMORY, _CHANGED = "wrong", "no memory", "changed"
HEADER_BYTES: Final = len(MAGIC) + 1 + _HOW.size + _WRAPPED.size + _SUM_BYTES


class Sealing:
    """A sealed file that is being written to *sink*. It cannot be opened before `finish` has written its end. *path* is
    for messages. Raises the sink's `OSError`s, and `ExportFileError` where there is not enough memory for scrypt."""

    def __init__(self, sink: BinaryIO, export_key: ExportKey, path: str) -> None:
        self._sink, self._number, self._rest = sink, 0, bytearray()
        n, r, p = export_key.costs if export_key.kind == PASSPHRASE else (0, 0, 0)
        derivation = Derivation(os.urandom(_SALT_BYTES), n, r, p)
        begun = _new_stream(export_key, derivation)
        if begun is None:
            raise _out_of_memory(path, derivation)
        header, self._aead = begun
        sink.write(header)

    def write(self, clear: bytes) -> None:
        """Add *clear* to the file."""
        self._rest += clear
        del clear  # rule 4: the sink may raise
        while len(self._rest) > CHUNK:  # a chunk that is just full waits: it may be the last
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
    """A sealed file to be read from *source*, which must be able to seek. *path* is for messages.

    The constructor unlocks the file. It raises `ExportDamaged`, `WrongExportKey`, `ExportFileError` for a newer format
    or too little memory, and the source's `OSError`s."""

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
            raise _out_of_memory(path, derivation)
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
        """Return the clear contents, from the beginning."""
        self._source.seek(HEADER_BYTES)
        return Clear(self._source, self._aead, self)

    def damaged(self, how: str) -> ExportDamaged:
        """Return the error for a file that is not as it was written."""
        return ExportDamaged(f"{self.path} is damaged: {how}; use another copy of it", path=self.path)


class Clear:
    """The clear contents of a sealed file, read once from beginning to end. Raises `ExportDamaged`."""

    def __init__(self, source: BinaryIO, aead: AESGCM, file: Sealed) -> None:
        self._source, self._aead, self._file = source, aead, file
        self._number, self._next, self._rest = 0, source.read(CHUNK + TAG_BYTES), bytearray()
        self._open()

    def read(self, size: int) -> bytes:
        """Return the next *size* bytes. Raises `ExportDamaged` when there are fewer."""
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
    """Return the key that wraps the file key; None when there is not enough memory to make it."""
    if export_key.kind == KEY:
        return hmac.digest(export_key.secret, b"secrets_actor export 1: " + derivation.salt, "sha256")
    return scrypt.derived(export_key.secret, derivation)


def _out_of_memory(path: str, derivation: Derivation) -> ExportFileError:
    wanted = f"scrypt wants {scrypt.memory(derivation) // 2**20:,} MiB of memory to make a key of the passphrase"
    return ExportFileError(f"{path} cannot be sealed or opened: {wanted}; give this process as much", path=path)


def _new_stream(export_key: ExportKey, derivation: Derivation) -> tuple[bytes, AESGCM] | None:
    """Return the header of a new file and the cipher of its chunks; None when there is not enough memory. Raises
    nothing, because its frame holds keys: rule 4."""
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
    """Return the cipher of the chunks, or one of `_WRONG`, `_NO_MEMORY`, `_CHANGED`. Raises nothing, because its frame
    holds keys: rule 4."""
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
