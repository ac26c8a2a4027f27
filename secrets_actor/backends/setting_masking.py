"""What an error may say of a place that a configuration names: it may be a key itself, put in the wrong place."""

import re
from pathlib import Path
from typing import Final

from secrets_actor.domain.secret import MASK
from secrets_actor.paths import expanded

# A variable's name as is the custom: access key ids have no underscore and 16 characters or more (IAM API reference,
# AccessKey), secret keys have 40, small ones among them; 32 bytes have 64 as hex, 43 as base64.
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9]{0,14}|(?=.{1,64}$)[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
# What is repeated of a name in a file or of a service: no access key, secret key or token looks like this.
_WORD: Final = re.compile(r"[A-Za-z_-]{1,32}[0-9]?")


def shown_variable(name: str) -> str:
    """The *name* of an environment variable if it looks like one, else the mask."""
    return name if _VARIABLE.fullmatch(name) else MASK


def shown_word(word: str) -> str:
    """A *word* that is a name if it looks like one, else the mask."""
    return word if _WORD.fullmatch(word) else MASK


def shown_path(path: str) -> str:
    """*path* if it is absolute and leads into a folder that is there, else the mask: a secret key may have slashes,
    too."""
    return path if _is_place(path) else MASK


def checked_for_pickle(shown: str) -> None:
    """Raise `TypeError` if *shown*, the repr or the description of a place, hides something, which may be a key."""
    if MASK in shown:
        raise TypeError(
            "settings are not pickled with what may be a key in them: in place of a key, name the variable or the "
            'file that holds it, {"env": "NAME"} or {"file": "PATH"}; the name has capitals, digits and underscores, '
            "and the path is absolute, into a folder that exists"
        )


def _is_place(path: str) -> bool:
    try:
        parts = expanded(path).parts
        return len(parts) > 2 and parts[0] == "/" and Path(*parts[:2]).is_dir()
    except (OSError, ValueError):
        return False
