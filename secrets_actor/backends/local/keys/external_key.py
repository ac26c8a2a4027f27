"""External keys: master keys that somebody else makes and keeps, in a place that holds one key at a time."""

from typing import Final, Never

from secrets_actor.backends.local.keys.key_formats import key_of
from secrets_actor.backends.local.keys.readers import Reader
from secrets_actor.backends.local.master_key_source import Derivation
from secrets_actor.domain.errors import KeySourceError


class OneAtATime:
    """The part of the port that is the same for all places that we only read. Such a place cannot hold a next key
    beside the present one."""

    makes: Final = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def missing(self) -> KeySourceError:
        """Return the error for an empty place."""
        return self._error(
            f"holds nothing; {self._reader.remedy}. A store that is there already opens with its own key alone"
        )

    def load_next(self, derivation: Derivation | None = None) -> None:
        """Return None: there is no next key."""

    def replace(self) -> Never:
        """Raise `KeySourceError`, whose text says how to rekey instead."""
        raise self._error(
            "holds one key at a time: put the new one in another place, let `secrets-actor store rekey` change over to "
            "it, and then name that place in local.key"
        )

    def replaced(self) -> None:
        """Do nothing: the new key is in place already, since somebody else put it there."""

    def _error(self, problem: str) -> KeySourceError:
        return KeySourceError(f"{self} {problem}", path=self._reader.path)


class ExternalKey(OneAtATime):
    """A master key in an environment variable (base64 or hex) or in a file (base64, hex, or the 32 bytes)."""

    @property
    def kind(self) -> str:
        """`env` or `file`."""
        return self._reader.kind

    def __str__(self) -> str:
        return str(self._reader)

    def __repr__(self) -> str:
        return f"<ExternalKey {self._reader!r}>"

    def identity(self) -> object:
        """Return the identity of what the reader reads."""
        return self._reader.identity()

    def present(self) -> bool:
        """Whether there is a key. Raises what `load` raises."""
        return self.load() is not None

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """Return the key; None when the place is empty. Raises `KeySourceError` when its content is not a key."""
        # A problem comes back as a text and is raised here, where no local has the key.
        found = self._read()
        if not isinstance(found, str):
            return found
        raise self._error(found)

    def create(self) -> tuple[bytes, None]:
        """Return the key that is there. Raises `KeySourceError` when there is none: we do not make one here."""
        key = self.load()
        if key is not None:
            return key, None
        raise self.missing()

    def _read(self) -> bytes | str | None:
        content = self._reader.read()
        return key_of(content, raw=self._reader.kind == "file") if isinstance(content, bytes) else content
