"""Checks a table of a configuration, and makes a section of the settings of it. PURE.

Rule 1: msgspec decides whether a value fits its field, and converts it to the field's type. Each field is converted by
        itself, because msgspec stops at the first mistake, and we report all.
Rule 2: a mistake is the key and what is allowed there; both come from the field's name and type. It never quotes the
        given value, which may be a key put in the wrong place. So msgspec's own messages are not passed on.
Rule 3: a text may stand for a number, a bool, a list or a table, because environment variables are texts.
Rule 4: a field that holds a key, or the place of one, is recognised by its type.
Rule 5: nothing is raised here. The frames of this file hold given values, and a traceback may show the locals of
        frames.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import NoneType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.backends.setting_masking import shown_variable, shown_word
from secrets_actor.domain.masked import MaskedText
from secrets_actor.json_text import read_json
from secrets_actor.runtime.section import Section

S = TypeVar("S", bound=Section)

_UNFIT: Final[Any] = object()
# The words for true and false that are usual in shells, YAML and INI files. msgspec takes only true, false, 1 and 0.
_SWITCHES: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), False),
}
_ELSEWHERE: Final = '{ env = "NAME" } or { file = "PATH" }'


def validated(
    section: type[S], table: Mapping[str, Any], environ: Mapping[str, str], where: str = ""
) -> tuple[S, list[str]]:
    """Return the *section* that *table* describes, and all mistakes, each as `KEY: what is allowed`.

    A field that *table* leaves out has its default. So has a field that is wrong: the section then only serves to find
    further mistakes. *environ*: the variables that a key may be in. *where*: the text before the keys in a mistake,
    such as `aws.`.
    """
    if not table:
        return section(), []
    declared = {field.name: field.type for field in msgspec.structs.fields(section)}
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, given in table.items():
        key, kind = where + shown_word(str(name)), declared.get(name)
        if kind is None:
            wrong = [f"{key}: unknown key"]
        elif (inner := _section_in(kind)) is not None and not (given is None and NoneType in get_args(kind)):
            found[name], wrong = _table(inner, given, environ, key)
        elif (row := _row_in(kind)) is not None:
            found[name], wrong = _rows(row, given, environ, key)
        else:
            value, wrong = _field(kind, given, environ, key)
            if not wrong:
                found[name] = value
        mistakes += wrong
    return section(**found), mistakes


def sections_of(section: type[Section]) -> dict[str, type[Section]]:
    """Return the fields of *section* that are sections themselves, with their types."""
    found = ((field.name, _section_in(field.type)) for field in msgspec.structs.fields(section))
    return {name: kind for name, kind in found if kind is not None}


def _section_in(kind: Any) -> type[Section] | None:
    """Return the section that a field of *kind* holds, also if it may be None; None if it holds none."""
    kinds = (kind,) if get_origin(kind) is tuple else (kind, *get_args(kind))
    return next((one for one in kinds if isinstance(one, type) and issubclass(one, Section)), None)


def _row_in(kind: Any) -> type[Section] | None:
    """Return the section that the rows of a list of tables are; None for any other field."""
    return _section_in(get_args(kind)[0]) if get_origin(kind) is tuple else None


def _table(section: type[S], given: Any, environ: Mapping[str, str], key: str) -> tuple[S, list[str]]:
    if isinstance(given, Mapping):
        return validated(section, given, environ, f"{key}.")
    return section(), [f"{key}: a table, with keys of its own"]


def _rows(row: type[S], given: Any, environ: Mapping[str, str], key: str) -> tuple[tuple[S, ...], list[str]]:
    """Return a list of tables. A row that is no table has its defaults, so that the others keep their numbers."""
    if isinstance(given, str):
        given = _from_json(given)
    if not isinstance(given, (list, tuple)):
        return (), [f"{key}: a list of tables, [[{key}]]; in the environment, a JSON array of objects"]
    checked = [_table(row, one, environ, f"{key}[{number}]") for number, one in enumerate(given)]
    return tuple(one for one, _ in checked), [mistake for _, wrong in checked for mistake in wrong]


def _field(declared: Any, given: Any, environ: Mapping[str, str], key: str) -> tuple[Any, list[str]]:
    """Return the value of one field, and its mistakes."""
    kinds = _kinds(declared)
    if given is None and NoneType in get_args(declared):
        return None, []
    if KeyPlace in kinds:
        place = place_of(given)
        return place, [f"{key}{mistake}" for mistake in (*place.mistakes, *_not_set(place, environ))]
    if KeySource in map(_base, kinds):
        # Of the type KeySource itself, a text is the key; an Annotated one is kept elsewhere.
        source = _key_source(given, environ, as_text=KeySource in kinds)
        return source, [f"{key}: {source}"] if isinstance(source, str) else []
    if MaskedText in kinds and isinstance(given, MaskedText):
        given = given.reveal()
    kind = kinds[-1]
    if isinstance(given, str):
        given = _from_text(kind, given)
    value = _converted(kind, given)
    return value, _mistake(kind, given, key) if value is _UNFIT else []


def _kinds(declared: Any) -> tuple[Any, ...]:
    """Return the types of a field, without None. The first is MaskedText if the section masks the field."""
    is_one = not get_args(declared) or get_origin(declared) in (Annotated, Literal, tuple, Mapping)
    kinds = (declared,) if is_one else get_args(declared)
    return tuple(kind for kind in kinds if kind is not NoneType)


# --- keys -------------------------------------------------------------------------------------------------------------


def _not_set(place: KeyPlace, environ: Mapping[str, str]) -> tuple[str, ...]:
    if place.kind not in ("env", "passphrase_env") or environ.get(place.reveal()):
        return ()
    inner = ".passphrase" if place.kind == "passphrase_env" else ""
    return (f"{inner}: the environment variable {shown_variable(place.reveal())} is not set",)


def _key_source(given: Any, environ: Mapping[str, str], as_text: bool) -> KeySource | str:
    """Return the key source, or the text of the mistake. *as_text*: whether the key itself may be given."""
    if isinstance(given, KeySource):
        given = given.reveal() if given.kind == "text" else {given.kind: given.reveal()}
    match given:
        case str() if as_text and given.strip():
            return KeySource("text", given)
        case {"env": str(name), **rest} if not rest and name:
            found = KeySource("env", name)
            return found if environ.get(name) else f"the {found.description} is not set"
        case {"file": str(name), **rest} if not rest and name:
            return KeySource("file", name)
    return f"allowed: {'text, ' if as_text else ''}{_ELSEWHERE}"


# --- all other values -------------------------------------------------------------------------------------------------


def _converted(kind: Any, given: Any) -> Any:
    """Return *given* converted to *kind*, or `_UNFIT`."""
    if kind is not Path and not all(map(_is_unicode, _texts(given))):
        return _UNFIT
    try:
        # Not strict: "60" is a number, and 2.0 is a whole one.
        return msgspec.convert(given, kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError:
        return _UNFIT


def _from_text(kind: Any, text: str) -> Any:
    """Return what *text* means for a field of *kind*, where msgspec does not know that by itself (rule 3)."""
    if kind is bool:
        return _SWITCHES.get(text.strip().lower(), _UNFIT)
    if _base(kind) in (int, float):
        return text.strip()
    if get_origin(kind) is tuple:
        return [one.strip() for one in text.split(",") if one.strip()]
    return _from_json(text) if get_origin(kind) is Mapping else text


def _from_json(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return _UNFIT


def _base(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _texts(given: Any) -> Iterator[str]:
    """Yield the texts in a value of any type that a field may have."""
    inner = (*given, *given.values()) if isinstance(given, Mapping) else given
    members = inner if isinstance(inner, (tuple, list, set, frozenset)) else (inner,)
    return (one for one in members if isinstance(one, str))


def _is_unicode(text: str) -> bool:
    """Whether *text* can be written as UTF-8.

    Python reads a variable that is not UTF-8 as a text that cannot be written so. Such a text may be the name of a
    file, but nothing else.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path(kind: type, given: Any) -> Any:
    """Make a Path, the one type here that msgspec does not know. A TypeError tells it that *given* does not fit."""
    if not isinstance(given, (str, PurePath)):
        raise TypeError
    return kind(given)


# --- what is allowed --------------------------------------------------------------------------------------------------


def _mistake(kind: Any, given: Any, key: str) -> list[str]:
    """Return the mistakes of a field: one for each wrong member of a list or table, else one for the whole field."""
    members: list[tuple[str, Any]] = []
    if get_origin(kind) is Mapping and isinstance(given, Mapping):
        members = [(shown_word(str(name)), one) for name, one in given.items()]
    elif get_origin(kind) is tuple and isinstance(given, (list, tuple)):
        members = [(str(index), one) for index, one in enumerate(given)]
    wrong = [name for name, one in members if _converted(str, one) is _UNFIT]
    return [f"{key}.{name}: {_WORDS[str]}" for name in wrong] or [f"{key}: {_allowed(kind)}"]


def _allowed(kind: Any) -> str:
    """Return in words what a field of *kind* takes."""
    if get_origin(kind) is Literal:
        return one_of(get_args(kind))
    if get_origin(kind) is Annotated:
        base, limits = get_args(kind)
        if base is str:
            return limits.description or "a text that is not empty"
        return f"{_WORDS[base]} {_range(limits)}"
    return _WORDS[get_origin(kind) or kind]


def one_of(names: Iterable[str]) -> str:
    """Return in words that one of *names*, two or more, is allowed."""
    *others, last = [f'"{name}"' for name in names]
    return f"{', '.join(others)} or {last}"


_WORDS: Final[Mapping[Any, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path, as text",
    tuple: "a list of texts; in the environment, one text with commas between them",
    Mapping: "a table of texts; in the environment, a JSON object",
}


def _range(limits: msgspec.Meta) -> str:
    if limits.gt is not None:
        return f"greater than {limits.gt}, and {limits.le} at most"
    return f"from {limits.ge} to {limits.le}"
