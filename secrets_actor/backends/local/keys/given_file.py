"""A key or a passphrase in a file that somebody else makes, such as a systemd credential; read each time anew.

With `LoadCredential=` or `LoadCredentialEncrypted=` in its unit, systemd puts the file into a folder that only the
service can read, and names the folder in CREDENTIALS_DIRECTORY: a path may begin with `$CREDENTIALS_DIRECTORY/`.
"""

import os
from pathlib import Path
from typing import Final

from secrets_actor.backends.local.keys import private_file
from secrets_actor.backends.local.keys.forms import MAX_BYTES
from secrets_actor.backends.places import shown_path
from secrets_actor.paths import absolute

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_PREFIXES: Final = (f"${CREDENTIALS}/", f"${{{CREDENTIALS}}}/")


class GivenFile:
    """The file *path* (`~` and `$CREDENTIALS_DIRECTORY` go), wherever that is from here and now; for the store in the
    folder *store*. Its repr and messages
    show the path only if it looks like one."""

    kind: Final = "file"

    def __init__(self, path: str, store: Path | None = None) -> None:
        self._given, self._store = path, store
        self._inherited = path.startswith(_PREFIXES)
        self._path = absolute(path)

    def __str__(self) -> str:
        return f"the file {self.path}"

    def __repr__(self) -> str:
        return f"<GivenFile {self.path}>"

    @property
    def path(self) -> str:
        """The path."""
        if self._inherited:
            return self._given  # its rest is a name in a folder of systemd's
        return shown_path(self._given)

    @property
    def remedy(self) -> str:
        """How to fill it."""
        if self._inherited:
            return f"add LoadCredentialEncrypted={self._name} to the service's unit"
        return "make it, with mode 0600, or give another path"

    @property
    def _name(self) -> str:
        return self._given.partition("/")[2]

    def _resolved(self) -> Path | None:
        if not self._inherited:
            return self._path
        folder = os.environ.get(CREDENTIALS)
        return Path(folder) / self._name if folder else None

    def identity(self) -> object:
        """The file's device, inode, time and size."""
        path = self._resolved()
        return None if path is None else private_file.identity(path)

    def read(self) -> bytes | str | None:
        """What is in it, or what is wrong with it."""
        path = self._resolved()
        if path is None:
            return (
                f"is nowhere: {CREDENTIALS} is not set, for it was not systemd that started this; give the whole path"
            )
        found = private_file.read(path, MAX_BYTES, given=True, store=self._store)
        if isinstance(found, bytes) and len(found) > MAX_BYTES:
            return f"is too long: more than {MAX_BYTES:,} bytes; give the file that holds the key and nothing else"
        return found
