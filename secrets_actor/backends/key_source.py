"""The place of one part of the credentials, as a configuration names it."""

import os
from typing import Any, ClassVar, Final, Literal

from msgspec.structs import force_setattr

from secrets_actor.backends.setting_masking import checked_for_pickle, shown_path, shown_variable
from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.secret import MASK
from secrets_actor.small_files import Problem, read_text
from secrets_actor.structs import SelectiveStruct

# Bytes. AWS promises no length for a session token, and a JSON Web Token has none. 64 KiB is far more than any that was
# seen.
_MAX_FILE: Final = 65_536


class KeySource(SelectiveStruct, frozen=True):
    """The place of one part of the credentials: the text itself, an environment variable, or a file.

    It is read anew each time. The repr shows the name of a variable or a file only if it looks like one: somebody may
    have put the key itself in the place of the name.
    """

    HIDDEN: ClassVar = frozenset({"value"})

    kind: Literal["text", "env", "file"]
    value: MaskedText | str

    def __post_init__(self) -> None:
        """Mask the value at once: the name of a variable or a file may be a key by mistake."""
        force_setattr(self, "value", MaskedText(self.value))

    def reveal(self) -> str:
        """Return the text, or the name of the variable or the file."""
        return MaskedText(self.value).reveal()

    def __repr__(self) -> str:
        return f"<KeySource {self.description}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Put the name of a variable or a file into a pickle, and never a key. Raises `TypeError`."""
        checked_for_pickle(self.description)
        return KeySource, (self.kind, self.reveal())

    @property
    def description(self) -> str:
        """The words by which an error names this place."""
        if self.kind == "text":
            return f"text {MASK}"
        if self.kind == "env":
            return f"environment variable {shown_variable(self.reveal())}"
        return f"file {shown_path(self.reveal())}"

    def read(self) -> str | Problem | None:
        """Return the key without the white space around it, None when there is none, or the problem with its file."""
        if self.kind == "env":
            found = os.environ.get(self.reveal(), "")
        elif self.kind == "text":
            found = self.reveal()
        else:
            text = read_text(self.reveal(), _MAX_FILE)
            if text is None or isinstance(text, Problem):
                return text
            found = text
        return found.strip() or None
