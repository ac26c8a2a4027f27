"""What is read at a place that somebody else fills."""

import hashlib
import os
from typing import Final, Protocol

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
