"""The key file: a master key of 32 random bytes that nobody else can read.

POSIX only, because Windows has no file modes to rely on.

Rule 1: a key is made only where there is neither a key nor data (`open_store.py`).
Rule 2: the key appears as a whole or not at all, and only once. It is written and synced under a temporary name and
        then linked, and a link fails when the name is taken. If two processes start at once, one of them links its
        key, and both read the same file.
Rule 3: the key is durable before there is any data: data without its key would be lost.
Rule 4: the next key is beside the present one as `NAME.next` until the store knows it. Then it takes the name of the
        present one.
Rule 5: no frame that raises has key bytes among its locals.
"""

import os
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.files import create_once, sync_folder
from secrets_actor.backends.local.keys import private_file
from secrets_actor.backends.local.master_key_source import KEY_BYTES, Derivation
from secrets_actor.domain.errors import KeyFileError

KEY_NAME: Final = "key"
NEXT: Final = ".next"


class KeyFile:
    """The master key in the file *path*, which is made on first use, in a folder of our own. It is for the store in the
    folder *store* (None: the same folder)."""

    kind: Final = "key_file"
    makes: Final = True

    def __init__(self, path: Path, store: Path | None = None) -> None:
        self._store = store
        self._path, self._next = path, path.with_name(path.name + NEXT)

    def __str__(self) -> str:
        return f"the key file {self._path}"

    def __repr__(self) -> str:
        return f"<KeyFile {self._path}>"

    def identity(self) -> object:
        """Return the file's device, inode, time of change and size; None when there is no file."""
        return private_file.identity(self._path)

    def present(self) -> bool:
        """Whether there is a key. Raises `KeyFileError` for a file that is not usable; see `load`."""
        return _load(self._path, self._store) is not None

    @property
    def names(self) -> int:
        """How many names (hard links) the file has; 0 when there is no file."""
        try:
            return os.stat(self._path).st_nlink
        except OSError:
            return 0

    def missing(self) -> KeyFileError:
        """Return the error for a store whose key is gone."""
        return KeyFileError(
            f"{self} is missing, but there is data sealed under it; put the key back from a copy "
            "(or move the whole folder away to start an empty store)",
            path=str(self._path),
        )

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """Return the key; None when there is no such file. Raises `KeyFileError` for a file that is not usable: too
        short, too long, not a plain file, unreadable, open to group or others, or of another user."""
        return _load(self._path, self._store)

    def load_next(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """Return the key in `NAME.next`; None when there is no such file. Raises what `load` raises."""
        return _load(self._next, self._store)

    def create(self) -> tuple[bytes, None]:
        """Return a new key, or the one that another process made meanwhile. Raises `KeyFileError`, and
        `StoreUnavailable` for a folder that cannot be made."""
        return _made(self._path, self._store or self._path.parent, self._store), None

    def replace(self) -> tuple[bytes, None]:
        """Return the key in `NAME.next`, which is made if it is not there. Raises what `create` raises."""
        return _made(self._next, self._path, self._store), None

    def replaced(self) -> None:
        """Rename `NAME.next` to `NAME`, durably. Raises `KeyFileError`."""
        problem = None
        try:
            os.replace(self._next, self._path)
            sync_folder(self._path.parent)
        except FileNotFoundError:
            return  # an earlier call has done it
        except OSError as exc:
            problem = exc.strerror
        if problem is not None:
            raise KeyFileError(
                f"{self._next} cannot take the place of {self} ({problem}); give this user the right to the folder, "
                "and rekey again: it goes on where it was",
                path=str(self._path),
            )


def _load(path: Path, store: Path | None) -> bytes | None:
    found = private_file.read(path, KEY_BYTES, given=False, store=store)
    if isinstance(found, bytes) and len(found) != KEY_BYTES:
        found = _wrong_length(path, len(found))
    if not isinstance(found, str):
        return found
    raise KeyFileError(f"the key file {path} {found}", path=str(path))


def _wrong_length(path: Path, read: int) -> str:
    length = "short" if read < KEY_BYTES else "long"
    identity = private_file.identity(path)
    size = read if identity is None else identity[-1]
    return f"is too {length}: {size} bytes, not {KEY_BYTES}; put the key back from a copy"


def _made(path: Path, like: Path, store: Path | None) -> bytes:
    """Return the key in *path*, which is made unless there is one. If root makes it, it gets the owner of *like*."""
    private_file.prepare_folder(path.parent, "the key's folder", store)
    problem: str | None = "vanished as soon as it was made"
    try:
        create_once(path, lambda: os.urandom(KEY_BYTES), like)
    except OSError as exc:
        problem = f"cannot be made ({exc.strerror})"
    else:
        key = _load(path, store)
        if key is not None:
            return key
    raise KeyFileError(
        f"the key file {path} {problem}; give a path on a disk with room that this user may write to and that knows "
        "hard links",
        path=str(path),
    )
