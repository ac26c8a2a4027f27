"""Formats: files that are nothing but names and values, each quoted as its reader wants it. PURE.

| format | its reader |
|---|---|
| `dotenv` | a POSIX shell (`set -a; . ./FILE`), and dotenv libraries |
| `json` | any: one object of texts |
| `properties` | `java.util.Properties.load`; in ASCII, so that its old reading as Latin-1 is right, too |
| `systemd` | `EnvironmentFile=`: a shell would expand nothing there either |

Rule 1: the names of `dotenv` and `systemd` are names of variables. A secret below a prefix gets one by the rest of its
        name, as `secrets-actor env export` has it; in the other formats, the rest of its name is the name.
Rule 2: two values of one name are an error, which tells the name: one of them would be lost.
Rule 3: a value that its reader could not give back is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from msgspec import Struct

from secrets_actor.delivery.env_files import NAME, variable_of, write_env
from secrets_actor.delivery.environment import MOST_OF_ONE
from secrets_actor.delivery.templates import Values, sheltered, text_of
from secrets_actor.domain.errors import InvalidParameter, InvalidSecretValue
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.references import Reference, parse_reference

FormatName = Literal["dotenv", "json", "properties", "systemd"]
FORMATS: Final[tuple[str, ...]] = get_args(FormatName)
_OF_VARIABLES: Final = ("dotenv", "systemd")
# What a backslash stands before between the double quotes of an EnvironmentFile (systemd.exec(5)).
_IN_QUOTES: Final = re.compile(r'([\\"$`])')
# Letters that `java.util.Properties` reads as something else, or that ASCII has not; in a name, blanks, too.
_IN_PROPERTIES: Final = re.compile(r"[\\=:#!]|[^\x20-\x7e]|^ ")
_IN_NAMES: Final = re.compile(r"[\\=:#! ]|[^\x21-\x7e]")
# What systemd takes for wrong UTF-8, and then for a wrong file (`unichar_is_valid`): the noncharacters of Unicode.
_NO_CHARACTERS: Final = re.compile(
    "[\ufdd0-\ufdef" + "".join(chr(at | 0xFFFE) + chr(at | 0xFFFF) for at in range(0, 0x110000, 0x10000)) + "]"
)
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\f": "\\f"}


class Formatted(Struct, frozen=True):
    """A file in the format *name*: for each of *secrets*, a name and its reference; and all secrets below each of
    *prefixes*. Made by `of`."""

    name: str
    secrets: tuple[tuple[str, Reference], ...]
    prefixes: tuple[str, ...]

    @classmethod
    def of(cls, name: str, secrets: Mapping[str, str], prefixes: tuple[str, ...]) -> Formatted:
        """Return the file of these texts. Raises `InvalidParameter`, and `InvalidSecretName`."""
        for given in secrets:
            if name in _OF_VARIABLES and not NAME.fullmatch(given):
                raise InvalidParameter("secrets", "each name of a variable has letters, digits and _, no digit first")
        return cls(name, tuple((given, parse_reference(text)) for given, text in secrets.items()), prefixes)

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, each once."""
        return tuple(dict.fromkeys(reference for _, reference in self.secrets))

    def render(self, values: Values) -> bytes:
        """Return the content of the file. Raises `InvalidSecretValue` and `InvalidParameter` (rules 2 and 3)."""
        return sheltered(lambda: _WRITERS[self.name](self._found(values)))

    def _found(self, values: Values) -> dict[str, str]:
        """Return the texts by their names."""
        found = {given: text_of(reference, values.bytes(reference)) for given, reference in self.secrets}
        for prefix in self.prefixes:
            for name, value in values.below(prefix).items():
                rest = name.removeprefix(prefix)
                given = variable_of(rest) if self.name in _OF_VARIABLES else rest
                if given in found:
                    raise InvalidParameter("names", f"two secrets would be {given}: give one of them a name of its own")
                found[given] = text_of(Reference(SecretId(name)), value.bytes())
        return found


def _dotenv(found: Mapping[str, str]) -> str:
    _refuse_nul(found)
    return write_env(found)


def _json(found: Mapping[str, str]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def _properties(found: Mapping[str, str]) -> str:
    return "".join(
        f"{_IN_NAMES.sub(_escaped, name)}={_IN_PROPERTIES.sub(_escaped, text)}\n" for name, text in found.items()
    )


def _escaped(found: re.Match[str]) -> str:
    """Return one letter as a file of properties has it: in UTF-16, which Java's texts are made of."""
    letter = found[0]
    if " " <= letter <= "~":
        return "\\" + letter
    units = letter.encode("utf-16-be")
    return _ESCAPES.get(letter) or "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _systemd(found: Mapping[str, str]) -> str:
    _refuse_nul(found)
    for name, text in found.items():
        if _NO_CHARACTERS.search(text):
            raise InvalidSecretValue(
                f"the value of {name} has a noncharacter of Unicode: systemd refuses the whole file"
            )
        if len(f"{name}={text}".encode()) >= MOST_OF_ONE:
            raise InvalidSecretValue(f"the value of {name} is too long for a variable: no program could be started")
    return "".join(f'{name}="' + _IN_QUOTES.sub(r"\\\1", text) + '"\n' for name, text in found.items())


def _refuse_nul(found: Mapping[str, str]) -> None:
    name = next((name for name, text in found.items() if "\0" in text), None)
    if name is not None:
        raise InvalidSecretValue(f"the value of {name} has a NUL, and no variable can hold it")


_WRITERS: Final[Mapping[str, Callable[[Mapping[str, str]], str]]] = {
    "dotenv": _dotenv,
    "json": _json,
    "properties": _properties,
    "systemd": _systemd,
}
