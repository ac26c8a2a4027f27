"""Settings that are right at a glance: each value of its field's own type, and within its limits. PURE.

What is taken here is taken by pydantic, too, and comes to the same. All else, right or wrong, is left to pydantic. To
load that takes longer than all the rest of a start.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from secrets_actor.domain.masked import MaskedText
from secrets_actor.records import fields, is_dataclass

S = TypeVar("S")
_NOT_PLAIN: Final[Any] = object()
_WITHIN: Final[Mapping[str, typing.Callable[[Any, Any], bool]]] = {
    "ge": lambda value, limit: value >= limit,
    "gt": lambda value, limit: value > limit,
    "le": lambda value, limit: value <= limit,
    "min_length": lambda value, limit: len(value) >= limit,
}


def plain(section: type[S], raw: Mapping[str, Any], apart: Mapping[str, Any]) -> S | None:
    """The *section* of what the file or the program says in *raw*; None if it is not all plain. What is *apart* has
    been looked at already, and goes to the fields of these names."""
    hints = typing.get_type_hints(section)
    found: dict[str, Any] = {}
    for field in fields(section):  # type: ignore[arg-type]  # all sections are dataclasses
        if field.name in apart and field.name not in raw:
            found[field.name] = apart[field.name]
        elif field.name in raw:
            hint, given = hints[field.name], raw[field.name]
            if is_dataclass(hint):
                value = plain(typing.cast("type", hint), given, apart) if isinstance(given, dict) else None
                value = _NOT_PLAIN if value is None else value
            else:
                value = _taken(hint, given, field.metadata)
            if value is _NOT_PLAIN:
                return None
            found[field.name] = value
    return None if raw.keys() - found.keys() else section(**found)


def _taken(hint: Any, given: Any, limits: Mapping[str, Any]) -> Any:
    """*given* as a value of the type *hint*."""
    kind, hint = type(given), _without_none(hint)
    if typing.get_origin(hint) is typing.Literal:
        return given if kind is str and given in typing.get_args(hint) else _NOT_PLAIN
    if typing.get_origin(hint) is tuple:
        found = tuple([_taken(str, one, {}) for one in given]) if kind in (list, tuple) else (_NOT_PLAIN,)
        return _NOT_PLAIN if _NOT_PLAIN in found else found
    if not (kind is hint or (hint is float and kind is int) or (hint is Path and isinstance(given, (str, Path)))):
        return _NOT_PLAIN
    if kind is str and not (given.isascii() and given.isprintable()):
        return _NOT_PLAIN
    if not all(_WITHIN[name](given, limit) for name, limit in limits.items()):
        return _NOT_PLAIN
    return hint(given)


def _without_none(hint: Any) -> Any:
    """The type itself. What its section masks is given as a text."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        [hint] = [one for one in typing.get_args(hint) if one not in (types.NoneType, MaskedText)]
    return hint
