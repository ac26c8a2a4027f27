"""The readers of a key or a passphrase that somebody else provides: in a file, in a variable, or typed by a person."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from secrets_actor.backends.local.keys import private_file
from secrets_actor.backends.local.keys.key_formats import MAX_BYTES
from secrets_actor.backends.setting_masking import shown_path, shown_variable
from secrets_actor.paths import absolute

# The key of `fingerprint`, drawn anew by each process. Without it, nobody can try guesses against a fingerprint.
_OURS: Final = os.urandom(16)


class Reader(Protocol):
    """A place that gives a short text: a file, a variable, or a person."""

    @property
    def kind(self) -> str:
        """The kind of place: `file`, `env` or `prompt`."""

    @property
    def path(self) -> str:
        """The place, for an error's `path`."""

    @property
    def remedy(self) -> str:
        """What to do when the place is empty, for messages."""

    def __str__(self) -> str:
        """The place, for messages."""

    def identity(self) -> object:
        """Return a value that differs once the content may have changed. Cheap: each operation asks for it."""

    def read(self) -> bytes | str | None:
        """Return the content (bytes), a text that says what is wrong, to follow the place's name, or None when the
        place is empty. Raises nothing: no frame that raises may have the content among its locals."""


def fingerprint(content: bytes) -> bytes:
    """Return 8 bytes that differ for different contents and tell nothing else about them."""
    return hashlib.blake2b(content, key=_OURS, digest_size=8).digest()


CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_PREFIXES: Final = (f"${CREDENTIALS}/", f"${{{CREDENTIALS}}}/")


class FileReader:
    """A reader of the file *path*, for the store in the folder *store*.

    *path* may begin with `~` or `$CREDENTIALS_DIRECTORY`. It is made absolute now, so a later change of the working
    directory does not matter. Repr and messages show it only if it looks like a path: somebody may have put the key
    itself into the setting."""

    kind: Final = "file"

    def __init__(self, path: str, store: Path | None = None) -> None:
        self._given, self._store = path, store
        self._inherited = path.startswith(_PREFIXES)
        self._path = absolute(path)

    def __str__(self) -> str:
        return f"the file {self.path}"

    def __repr__(self) -> str:
        return f"<FileReader {self.path}>"

    @property
    def path(self) -> str:
        """The path, for an error's `path`."""
        if self._inherited:
            return self._given  # safe to show: the rest is the name of a credential of systemd
        return shown_path(self._given)

    @property
    def remedy(self) -> str:
        """What to do when there is no file, for messages."""
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
        """Return the file's device, inode, time of change and size; None when there is no file."""
        path = self._resolved()
        return None if path is None else private_file.identity(path)

    def read(self) -> bytes | str | None:
        """Return the file's content, or a text that says what is wrong with it; None when there is no file."""
        path = self._resolved()
        if path is None:
            return (
                f"is nowhere: {CREDENTIALS} is not set, for it was not systemd that started this; give the whole path"
            )
        found = private_file.read(path, MAX_BYTES, given=True, store=self._store)
        if isinstance(found, bytes) and len(found) > MAX_BYTES:
            return f"is too long: more than {MAX_BYTES:,} bytes; give the file that holds the key and nothing else"
        return found


class VariableReader:
    """A reader of the environment variable *name*. Repr and messages show the name only if it looks like one: somebody
    may have put the key itself into the setting."""

    kind: Final = "env"
    remedy: Final = "set it where this program is started"

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"the environment variable {shown_variable(self._name)}"

    def __repr__(self) -> str:
        return f"<VariableReader {shown_variable(self._name)}>"

    @property
    def path(self) -> str:
        """The variable's name."""
        return shown_variable(self._name)

    def identity(self) -> object:
        """Return a fingerprint of the variable's content."""
        return fingerprint(os.fsencode(os.environ.get(self._name, "")))

    def read(self) -> bytes | None:
        """Return the variable's content; None when it is not set or empty."""
        return os.fsencode(os.environ.get(self._name, "")) or None


class PromptReader:
    """A reader that calls *ask* once and keeps the answer, so that a person types it only once."""

    kind: Final = "prompt"
    path: Final = "prompt"
    remedy: Final = "type it"

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask, self._answer = ask, b""

    def __str__(self) -> str:
        return "what was typed"

    def __repr__(self) -> str:
        return "<PromptReader>"

    def identity(self) -> object:
        """Return None: there is only one answer, so it never changes."""
        return None

    def read(self) -> bytes | None:
        """Return the answer; None for an empty one. Raises what *ask* raises."""
        if not self._answer:
            self._answer = self._ask().encode(errors="surrogateescape")
        return self._answer or None
