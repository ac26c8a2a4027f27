"""The master key in the system's key ring: made on first use, under a service name of its own for each store.

Rule 1: a key ring cannot be told to write an entry only if it has none yet. So a process that makes or exchanges a key
        holds a lock on the store's folder.
Rule 2: each key that was written is read back, because some key rings keep nothing and do not say so.
Rule 3: the next key has an entry of its own until the store knows it. Key rings cannot rename an entry, so the next key
        is written over the present one, and its own entry is then deleted. After a crash in between, either entry or
        both have the new key.
Rule 4: no frame that raises has key bytes among its locals.
"""

import base64
import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.keys import os_keyring
from secrets_actor.backends.local.keys.key_formats import key_of
from secrets_actor.backends.local.keys.private_file import prepare_folder
from secrets_actor.backends.local.master_key_source import KEY_BYTES, Derivation
from secrets_actor.backends.setting_masking import shown_word
from secrets_actor.domain.errors import KeySourceError, StoreUnavailable

PRESENT: Final = "master-key"
NEXT: Final = "master-key.next"
_KEEPS_NOTHING: Final = (
    "takes a key and does not give it back: its backend keeps nothing; `keyring --list-backends` shows what there is"
)


class KeyringKey:
    """The master key under *service* in the user's key ring, for the store in *folder*."""

    kind: Final = "keyring"
    makes: Final = True

    def __init__(self, service: str, folder: Path) -> None:
        self._service, self._folder = service, folder

    def __str__(self) -> str:
        return f"the key ring's entry {PRESENT} of {shown_word(self._service)}"

    def __repr__(self) -> str:
        return f"<KeyringKey {shown_word(self._service)}>"

    def identity(self) -> object:
        """Return None: a key ring does not tell of its changes. The store's epoch tells when the keys have changed."""
        return None

    def present(self) -> bool:
        """Whether there is a key. Raises `KeySourceError`."""
        return self.load() is not None

    def missing(self) -> KeySourceError:
        """Return the error for a store whose key is gone."""
        return self._error(
            "is missing, but there is data sealed under it; run as the user whose key ring has it, or put it back "
            "from a copy: `keyring set SERVICE master-key`, and then the key as base64"
        )

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """Return the key; None when there is none. Raises `KeySourceError`."""
        found = self._read(PRESENT)
        # Some key rings delete an entry before they write it. After a crash in between, only the next entry has a key.
        if found is None:
            found = self._read(NEXT)
        return self._sound(found)

    def load_next(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """Return the next key; None when there is none. Raises `KeySourceError`."""
        return self._sound(self._read(NEXT))

    def create(self) -> tuple[bytes, None]:
        """Return a new key, or the one that another process made meanwhile. Raises `KeySourceError`, and
        `StoreUnavailable` when the folder cannot be made or locked."""
        with self._alone():
            return self._made(PRESENT), None

    def replace(self) -> tuple[bytes, None]:
        """Return the next key, which is made if there is none. Raises what `create` raises."""
        with self._alone():
            if self._is_twice():  # the rest of an earlier change, and not a new key
                self._put(os_keyring.delete(self._service, NEXT))
            return self._made(NEXT), None

    def replaced(self) -> None:
        """Move the next key into the present one's place. Raises `KeySourceError`."""
        with self._alone():
            self._put(self._moved())

    def _made(self, account: str) -> bytes:
        if self._sound(self._read(account)) is None:
            self._put(os_keyring.write(self._service, account, _fresh))
        key = self._sound(self._read(account))
        if key is not None:
            return key
        raise self._error(_KEEPS_NOTHING)

    def _moved(self) -> str | None:
        """Move the next key to the present one's entry. Return a text that says what is wrong; None when it
        succeeded."""
        found = self._read(NEXT)
        if not isinstance(found, bytes):
            return found  # None: an earlier call has done it
        problem = os_keyring.write(self._service, PRESENT, lambda: base64.b64encode(found).decode())
        if problem is None and self._read(PRESENT) != found:
            problem = _KEEPS_NOTHING
        return problem or os_keyring.delete(self._service, NEXT)

    def _is_twice(self) -> bool:
        """Whether both entries have the same key: an earlier change broke off before it deleted the next one."""
        found = self._read(NEXT)
        return isinstance(found, bytes) and found == self._read(PRESENT)

    def _read(self, account: str) -> bytes | str | None:
        found = os_keyring.read(self._service, account)
        return key_of(found) if isinstance(found, bytes) else found

    def _sound(self, found: bytes | str | None) -> bytes | None:
        if not isinstance(found, str):
            return found
        raise self._error(found)

    def _put(self, problem: str | None) -> None:
        if problem is not None:
            raise self._error(problem)

    def _error(self, problem: str) -> KeySourceError:
        return KeySourceError(f"{self} {problem}", path=shown_word(self._service))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        prepare_folder(self._folder)
        problem, descriptor = None, -1
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as exc:
            problem = exc.strerror
        try:
            if problem is not None:
                raise StoreUnavailable(
                    f"the store's folder {self._folder} cannot be locked ({problem}); give a path on a local disk",
                    path=str(self._folder),
                    retryable=False,
                )
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def _fresh() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()
