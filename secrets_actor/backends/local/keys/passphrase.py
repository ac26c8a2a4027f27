"""The passphrase as a source: scrypt makes the master key of it.

Rule 1: the costs and the salt are kept in the store, in clear, where anybody who can write the file can change them. So
        they are checked before scrypt runs with them.
Rule 2: a derivation takes much time and memory. It is done once for a passphrase, by one thread at a time, however many
        connections there are. This source keeps the key as long as it lives.
Rule 3: no frame that raises has a key or a passphrase among its locals.
"""

import os
import threading
from typing import ClassVar, Final

from secrets_actor.backends.local.keys import scrypt
from secrets_actor.backends.local.keys.external_key import OneAtATime
from secrets_actor.backends.local.keys.key_formats import passphrase_of
from secrets_actor.backends.local.keys.readers import Reader
from secrets_actor.backends.local.master_key_source import Derivation
from secrets_actor.domain.errors import StoreDamaged
from secrets_actor.structs import Opaque


class _Kept(Opaque):
    """A derived key, with the derivation and the identity of the passphrase that it was made of."""

    __slots__ = ("derivation", "identity", "key")
    SHOWN: ClassVar = ("derivation", "identity")

    def __init__(self, derivation: Derivation, identity: object, key: bytes) -> None:
        self.derivation = derivation
        self.identity = identity
        self.key = key


class Passphrase(OneAtATime):
    """The master key that scrypt makes of the passphrase from *reader*. *n* is scrypt's cost N for a new store."""

    kind: Final = "passphrase"

    def __init__(self, reader: Reader, *, n: int = scrypt.N) -> None:
        super().__init__(reader)
        self._n = n
        self._kept: _Kept | None = None
        self._lock = threading.Lock()

    def __str__(self) -> str:
        return f"the passphrase in {self._reader}" if self._reader.kind != "prompt" else "the passphrase that was typed"

    def __repr__(self) -> str:
        return f"<Passphrase {self._reader!r}>"

    def identity(self) -> object:
        """Return the identity of what the reader reads."""
        return self._reader.identity()

    def present(self) -> bool:
        """Whether there is a passphrase. Only the store can tell whether it is the right one. Raises `KeySourceError`
        for one that is not allowed, such as an empty one."""
        found = self._looked_at()
        if isinstance(found, str):
            raise self._error(found)
        return found

    def load(self, derivation: Derivation | None = None) -> bytes | None:
        """Return the key; None without a passphrase or without a *derivation*. Raises `KeySourceError`, also when there
        is not enough memory, and `StoreDamaged` for a *derivation* that no store of ours has."""
        if derivation is None:
            return None
        problem = scrypt.objection(derivation)
        if problem is not None:
            raise StoreDamaged(
                f"the store's header asks for a key derivation that no store of ours uses ({problem}); put the store "
                "back from a backup",
                path=self._reader.path,
            )
        found = self._derived(derivation)
        if not isinstance(found, str):
            return found
        raise self._error(found)

    def create(self) -> tuple[bytes, Derivation]:
        """Return the key under a new salt, and its derivation. Raises `KeySourceError` when there is no passphrase."""
        derivation = Derivation(os.urandom(scrypt.SALT_BYTES), self._n, scrypt.R, scrypt.P)
        key = self.load(derivation)
        if key is not None:
            return key, derivation
        raise self.missing()

    def _derived(self, derivation: Derivation) -> bytes | str | None:
        with self._lock:
            identity, kept = self._reader.identity(), self._kept
            if kept is not None and (kept.derivation, kept.identity) == (derivation, identity):
                return kept.key
            passphrase = self._passphrase()
            if not isinstance(passphrase, bytes):
                return passphrase
            key = scrypt.derived(passphrase, derivation)
            if key is None:
                room = scrypt.memory(derivation) // 2**20
                return f"cannot be made a key of: scrypt wants {room:,} MiB of memory; give this process as much"
            self._kept = _Kept(derivation, identity, key)
            return key

    def _looked_at(self) -> bool | str:
        found = self._passphrase()
        return found if isinstance(found, str) else found is not None

    def _passphrase(self) -> bytes | str | None:
        content = self._reader.read()
        return passphrase_of(content, from_file=self._reader.kind == "file") if isinstance(content, bytes) else content
