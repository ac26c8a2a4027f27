"""Keys that somebody else makes and keeps, one at a time."""

from typing import Final, Never

from secrets_actor.backends.local.keys.key_formats import key_of
from secrets_actor.backends.local.keys.readers import Reader
from secrets_actor.backends.local.master_key import Derivation
from secrets_actor.domain.errors import KeySourceError


class OneAtATime:
    """A place that we do not fill, and that cannot hold a next key beside the present one."""

    makes: Final = False

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def missing(self) -> KeySourceError:
        """The error for a place that has nothing."""
        return self._error(
            f"holds nothing; {self._reader.remedy}. A store that is there already opens with its own key alone"
        )

    def load_next(self, derivation: Derivation | None = None) -> None:
        """There is none."""

    def replace(self) -> Never:
        """Raises `KeySourceError`, which tells what to do instead."""
        raise self._error(
            "holds one key at a time: put the new one in another place, let `secrets-actor store rekey` change over to "
            "it, and then name that place in local.key"
        )

    def replaced(self) -> None:
        """Nothing to do."""

    def _error(self, problem: str) -> KeySourceError:
        return KeySourceError(f"{self} {problem}", path=self._reader.path)


class ExternalKey(OneAtATime):
    """The key that stands in a variable (base64 or hex) or in a file (its bytes, too)."""

    @property
    def kind(self) -> str:
        """`env` or `file`."""
        return self._reader.kind

    def __str__(self) -> str:
        return str(self._reader)

    def __repr__(self) -> str:
        return f"<GivenKey {self._reader!r}>"

    def identity(self) -> object:
        """The reader's."""
        return self._reader.identity()

    def present(self) -> bool:
        """Whether there is a key. Raises as `load`."""
        return self.load() is not None

    def load(self, derivation: Derivation | None = None) -> bytes | None:  # noqa: ARG002  the port's
        """The key; None when there is nothing. Raises `KeySourceError` for what is no key."""
        found = self._read()
        if not isinstance(found, str):
            return found
        raise self._error(found)

    def create(self) -> tuple[bytes, None]:
        """The key that is there. Raises `KeySourceError` when there is none."""
        key = self.load()
        if key is not None:
            return key, None
        raise self.missing()

    def _read(self) -> bytes | str | None:
        content = self._reader.read()
        return key_of(content, raw=self._reader.kind == "file") if isinstance(content, bytes) else content
