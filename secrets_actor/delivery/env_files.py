"""Reads and writes `.env` files: lines of variables and their values. PURE.

Such files have no standard. Rule 1: what is written is read alike by a POSIX shell (`set -a; . ./FILE`) and by dotenv
        libraries. Where that cannot be, as with a `'` and a `$` in one value, or with a backslash at its end for older
        libraries, it is written for the shell.
Rule 2: what is read: `NAME=value`, with or without `export` before it, and comments. A value in single quotes is taken
        as it is. In double quotes a backslash stands before `n`, `r`, `t` (as in C), or before a backslash, `"`, `$`
        or a backtick. Both may go over several lines. Other values end at a blank and `#`, or at the end of the line.
Rule 3: nothing is expanded. A `$` or backtick that some readers would expand is refused: single quotes make it clear.
Rule 4: no error quotes a line: it may hold a value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Final

from secrets_actor.domain.errors import InvalidParameter

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_]")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:@%+,=-]+")
_BEFORE: Final = re.compile(r"[ \t\r\n]*(?:#[^\n]*\n?[ \t\r\n]*)*")
_BEGINNING: Final = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=")
_VALUES: Final = (
    re.compile(r"[ \t]*'(?P<single>[^']*)'"),
    re.compile(r'[ \t]*"(?P<double>(?:[^"\\]|\\.)*)"', re.DOTALL),
    # A blank before it makes a comment of a #, which is otherwise a part of the value.
    re.compile(r"(?P<bare>(?:(?![ \t]#)[^\r\n'\"])*)"),
)
_AFTER: Final = re.compile(r"[ \t]*(?:#[^\n]*)?\r?(?:\n|\Z)")
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\n": "", **{mark: mark for mark in '\\"$`'}}
_EXPANDED: Final = re.compile(r"(?<!\\)(?:\\\\)*[$`]")


def read_env(text: str) -> dict[str, str]:
    """Return the variables of a `.env` file. Of a name that stands twice, the last value counts, as in a shell.

    Raises `InvalidParameter`, which names the line, for what is no variable, and for what readers understand
    differently.
    """
    found: dict[str, str] = {}
    place = _skip(text, 0)
    while place < len(text):
        line = text.count("\n", 0, place) + 1
        beginning = _BEGINNING.match(text, place)
        if beginning is None:
            raise _wrong(line, "NAME=value, with a name of letters, digits and _, is wanted")
        value = next(one for one in (kind.match(text, beginning.end()) for kind in _VALUES) if one is not None)
        end = _AFTER.match(text, value.end())
        if end is None:
            raise _wrong(line, "the value has a quote that is not closed, or text behind one")
        kind = value.lastgroup or ""
        if kind != "single" and _EXPANDED.search(value[kind]):
            raise _wrong(line, "a $ or a backtick that some programs would expand: put the value in single quotes")
        found[beginning[1]] = _MEANINGS[kind](value[kind])
        place = _skip(text, end.end())
    return found


def _skip(text: str, place: int) -> int:
    """Return where the next variable begins, behind blank lines and comments."""
    found = _BEFORE.match(text, place)
    return place if found is None else found.end()


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPES.get(escape[1], escape[0])  # an unknown one stays, backslash and all, as in a shell


_MEANINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "single": str,
    "double": partial(_ESCAPE.sub, _unescaped),
    "bare": lambda text: text.strip(" \t"),
}


def _wrong(line: int, what: str) -> InvalidParameter:
    return InvalidParameter(f"line {line}", what)


def write_env(variables: Mapping[str, str]) -> str:
    """Return the lines of a `.env` file with *variables*, in their order."""
    return "".join(f"{name}={_quoted(value)}\n" for name, value in variables.items())


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value and "\\" not in value:  # dotenv libraries know escapes in single quotes, too
        return f"'{value}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", value) + '"'


def variable_of(name: str) -> str:
    """Return the name of the variable for a secret, or a field of one, called *name*: in capitals, with `_` for what no
    variable may have in its name."""
    found = _NOT_IN_NAMES.sub("_", name).upper()
    return found if NAME.fullmatch(found) else f"_{found}"


def without_double(names: Iterable[str]) -> dict[str, str]:
    """Return the variable for each of *names*. Raises `InvalidParameter` for two names with the same variable."""
    found: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name in names:
        variable = variable_of(name)
        if owner.setdefault(variable, name) != name:
            text = f"{owner[variable]} and {name} would be the same variable, {variable}: export them one by one"
            raise InvalidParameter("names", text)
        found[name] = variable
    return found
