"""Where the configuration says that the master key is. It reads no file and no variable itself."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, ClassVar, Final, Literal

from msgspec.structs import force_setattr

from secrets_actor.backends.setting_masking import checked_for_pickle, shown_path, shown_variable, shown_word
from secrets_actor.domain.masked import MaskedText
from secrets_actor.json_text import read_json
from secrets_actor.structs import SelectiveStruct

KeyPlaceKind = Literal["made", "made_at", "env", "file", "passphrase_env", "passphrase_file", "keyring", "none"]

ALLOWED: Final = (
    '"file" (a key file in the folder), { file = "PATH" }, { file = "PATH", make = true }, { env = "NAME" }, '
    '{ passphrase = { env = "NAME" } }, { passphrase = { file = "PATH" } } or { keyring = "SERVICE" }'
)
_NOT_HERE: Final = "does not belong into a configuration, which is copied, shown and logged"


class KeyPlace(SelectiveStruct, frozen=True):
    """The place of the master key: `made` by us in the store's folder, `made_at` another path, a variable, a file, a
    passphrase in one of those, the system's key ring; `none` where *mistakes* say what is wrong, each to be told after
    `local.key`.

    Its repr shows a name or a path only if it looks like one: it may be the key, put in the wrong place.
    """

    HIDDEN: ClassVar = frozenset({"value"})

    kind: KeyPlaceKind = "made"
    value: MaskedText | str = ""
    mistakes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Masked at once, whatever it is."""
        force_setattr(self, "value", MaskedText(self.value))

    def reveal(self) -> str:
        """The name or the path."""
        return MaskedText(self.value).reveal()

    def __reduce__(self) -> tuple[Any, ...]:
        """Put the place into a pickle if it is certain that it is no key. Raises `TypeError`."""
        if self.kind != "none":  # that has no value
            checked_for_pickle(repr(self))
        return KeyPlace, (self.kind, self.reveal(), self.mistakes)

    def __repr__(self) -> str:
        if self.kind == "made":
            shown = ""
        elif self.kind in ("env", "passphrase_env"):
            shown = f" {shown_variable(self.reveal())}"
        elif self.kind == "keyring":
            shown = f" {shown_word(self.reveal())}"
        else:
            shown = f" {shown_path(self.reveal())}"
        return f"<KeyPlace {self.kind}{shown}>"


def place_of(given: Any) -> KeyPlace:
    """The place that *given* names: what a configuration file or a program has for `local.key`, or a JSON object of it,
    as in the environment. Raises nothing: see `KeyPlace.mistakes`."""
    if isinstance(given, KeyPlace):
        return given
    if isinstance(given, str) and given.lstrip().startswith("{"):
        given = _from_json(given)
    match given:
        case "file":
            return KeyPlace()
        case str():
            return _wrong(f": a key itself {_NOT_HERE}; allowed: {ALLOWED}")
        case {"passphrase": str()}:
            return _wrong(
                f'.passphrase: a passphrase itself {_NOT_HERE}; allowed: {{ env = "NAME" }}, {{ file = "PATH" }}'
            )
        case {"passphrase": Mapping() as inner, **rest} if not rest:
            return _one(inner, ("env", "file"), ".passphrase", 'allowed: { env = "NAME" } or { file = "PATH" }')
        case {"file": file, "make": bool(make), **rest} if not rest:
            found = _one({"file": file}, ("file",), "", f"allowed: {ALLOWED}")
            if not make or found.mistakes:
                return found
            return (
                KeyPlace("made_at", found.value)
                if found.reveal()[0] in "/~"
                else _wrong(".file: an absolute path, to be made")
            )
        case Mapping():
            return _one(given, ("env", "file", "keyring"), "", f"allowed: {ALLOWED}")
    return _wrong(f": allowed: {ALLOWED}")


_KINDS: Final[Mapping[tuple[str, str], KeyPlaceKind]] = {
    ("", "env"): "env",
    ("", "file"): "file",
    ("", "keyring"): "keyring",
    (".passphrase", "env"): "passphrase_env",
    (".passphrase", "file"): "passphrase_file",
}


def _one(table: Mapping[Any, Any], names: tuple[str, ...], where: str, allowed: str) -> KeyPlace:
    """The place that the one entry of *table* names."""
    known = (*names, "make", "passphrase") if not where else names
    if unknown := [f"{where}.{shown_word(str(name))}: unknown key; {allowed}" for name in table if name not in known]:
        return _wrong(*unknown)
    if len(table) == 1:
        [(name, value)] = table.items()
        if isinstance(value, PathLike) and name == "file":
            value = fspath(value)
        if name in names and isinstance(value, str) and value.strip() and "\0" not in value:
            return KeyPlace(_KINDS[where, name], value)
    return _wrong(f"{where}: {allowed}")


def _wrong(*mistakes: str) -> KeyPlace:
    return KeyPlace("none", "", mistakes)


def _from_json(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return None
