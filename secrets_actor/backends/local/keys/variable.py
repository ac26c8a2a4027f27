"""A key or a passphrase in an environment variable, read each time anew."""

import os
from typing import Final

from secrets_actor.backends.local.keys.reading import fingerprint
from secrets_actor.backends.places import shown_variable


class Variable:
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
