"""A passphrase from a person. Only the command line asks."""

from collections.abc import Callable
from typing import Final


class Prompt:
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
