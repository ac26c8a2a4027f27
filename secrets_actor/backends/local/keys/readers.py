"""Where a key or a passphrase is read that somebody else provides: a file, an environment variable, a person."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from secrets_actor.backends.local.keys import private_file
from secrets_actor.backends.local.keys.key_formats import MAX_BYTES
from secrets_actor.backends.setting_masking import shown_path, shown_variable
from secrets_actor.paths import absolute

# Only this process can tell what stands behind a fingerprint.
_OURS: Final = os.urandom(16)


class Reader(Protocol):
    """A place that holds a text of few bytes: a variable, a file, a person."""

    @property
    def kind(self) -> str:
        """What sort of place it is."""

    @property
    def path(self) -> str:
        """The place, for an error's `path`."""

    @property
    def remedy(self) -> str:
        """How to fill it."""

    def __str__(self) -> str:
        """The place, for messages."""

    def identity(self) -> object:
        """Changes when the content may have; cheap."""

    def read(self) -> bytes | str | None:
        """The content; or what is wrong with the place, to be said after its name; None when there is nothing. Raises
        nothing: no frame that raises shall have the content among its locals."""


def fingerprint(content: bytes) -> bytes:
    """Tells one content from another, and nothing else."""
    return hashlib.blake2b(content, key=_OURS, digest_size=8).digest()


CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_PREFIXES: Final = (f"${CREDENTIALS}/", f"${{{CREDENTIALS}}}/")


class FileReader:
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


class VariableReader:
    """The environment variable *name*. Its repr and messages show the name only if it looks like one."""

    kind: Final = "env"
    remedy: Final = "set it where this program is started"

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return f"the environment variable {shown_variable(self._name)}"

    def __repr__(self) -> str:
        return f"<Variable {shown_variable(self._name)}>"

    @property
    def path(self) -> str:
        """The variable's name."""
        return shown_variable(self._name)

    def identity(self) -> object:
        """A fingerprint of what it holds."""
        return fingerprint(os.fsencode(os.environ.get(self._name, "")))

    def read(self) -> bytes | None:
        """What it holds; None when it is not set or empty."""
        return os.fsencode(os.environ.get(self._name, "")) or None


class PromptReader:
    """Who answers *ask*, once: the answer is kept."""

    kind: Final = "prompt"
    path: Final = "prompt"
    remedy: Final = "type it"

    def __init__(self, ask: Callable[[], str]) -> None:
        self._ask, self._answer = ask, b""

    def __str__(self) -> str:
        return "what was typed"

    def __repr__(self) -> str:
        return "<Prompt>"

    def identity(self) -> object:
        """There is one answer."""
        return None

    def read(self) -> bytes | None:
        """The answer; None for an empty one. Raises what *ask* raises."""
        if not self._answer:
            self._answer = self._ask().encode(errors="surrogateescape")
        return self._answer or None
