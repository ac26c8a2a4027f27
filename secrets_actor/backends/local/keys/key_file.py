"""The key file: 32 random bytes that nobody else can read. POSIX only; Windows has no file modes to rely on.

Rule 1: a key is made only where there is neither a key nor data (`open_store.py`).
Rule 2: the key comes into place whole or not at all, and once: written and synced under another name, then linked,
        which fails when the name is taken. Of two processes that start at once, one links and both read the same file.
Rule 3: the key exists, durably, before any data does.
Rule 4: the next key lies beside the present one as `NAME.next` until the store knows it, and then takes its name.
Rule 5: no frame that raises has key bytes among its locals.
"""

import os
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.files import create_once, sync_folder
from secrets_actor.backends.local.keys import private_file
from secrets_actor.backends.local.master_key import KEY_BYTES, Derivation
from secrets_actor.domain.errors import KeyFileError

KEY_NAME: Final = "key"
NEXT: Final = ".next"


class KeyFile:
    """The key in the file *path*, made on first use, in a folder that is ours alone; for the store in the folder
    *store* (None: in the same)."""

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
        """The file's device, inode, time and size."""
        return private_file.identity(self._path)

    def present(self) -> bool:
        """Whether there is a key. Raises `KeyFileError` for a file that will not do."""
        return _load(self._path, self._store) is not None

    @property
    def names(self) -> int:
        """How many names the file has; 0 where there is none."""
        try:
            return os.stat(self._path).st_nlink
        except OSError:
            return 0

    def missing(self) -> KeyFileError:
        """The error for data whose key is gone."""
        return KeyFileError(
            f"{self} is missing, but there is data sealed under it; put the key back from a copy "
            "(or move the whole folder away to start an empty store)",
            path=str(self._path),
        )

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """The key; None when there is no such file. Raises `KeyFileError` for a file that will not do: short, long, not
        a plain file, unreadable, or open to group or others."""
        return _load(self._path, self._store)

    def load_next(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """The key beside it, as `load`."""
        return _load(self._next, self._store)

    def create(self) -> tuple[bytes, None]:
        """A new key, or the one that another process made meanwhile. Raises `KeyFileError`, and `StoreUnavailable` for
        a folder that cannot be made."""
        return _made(self._path, self._store or self._path.parent, self._store), None

    def replace(self) -> tuple[bytes, None]:
        """The key in `NAME.next`, which is made if it is not there. Raises as `create`."""
        return _made(self._next, self._path, self._store), None

    def replaced(self) -> None:
        """`NAME.next` becomes `NAME`, durably. Raises `KeyFileError`."""
        problem = None
        try:
            os.replace(self._next, self._path)
            sync_folder(self._path.parent)
        except FileNotFoundError:
            return  # done before
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
    """The key in *path*, made unless there is one; root makes it for whom *like* belongs to."""
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
