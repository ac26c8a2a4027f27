"""Templates: texts with references in them, which become files. PURE.

    password = ${db/login#password|json}
    url      = https://${db/login#user|url}:${db/login#password|url}@db.example.org/
    key: |
      ${tls/key|indent(2)}

Rule 1: `${` begins a reference and its filters, up to the next `}`; `$$` is a dollar. Any other dollar is itself: the
        files of nginx and of shells are full of them.
Rule 2: what a value holds is never looked at again: a `${` in it stays as it is.
Rule 3: a mistake is told by its line and column, and by what may stand there. A reference is never quoted, for it may
        be a value in the wrong place; nor is anything of a value.
Rule 4: a value in bytes that are no text goes through `base64` only.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol
from urllib.parse import quote

from msgspec import Struct

from secrets_actor.domain.errors import InvalidInput, InvalidParameter, InvalidSecretValue
from secrets_actor.domain.references import Reference, parse_reference
from secrets_actor.domain.secret import SecretValue

_MARK: Final = re.compile(r"\$\$|\$\{")
_FILTER: Final = re.compile(r"([a-z][a-z0-9_]*)(?:\(([0-9]{1,3})\))?")


class Values(Protocol):
    """What was fetched for a template."""

    def bytes(self, reference: Reference, /) -> bytes | None:
        """Return the value of *reference*; None if it is optional, and missing."""
        ...

    def below(self, prefix: str, /) -> Mapping[str, SecretValue]:
        """Return the values of the secrets whose names begin with *prefix*, by their names."""
        ...


class Source(Protocol):
    """What a file is made of: a template, or a format with names."""

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, each once."""
        ...

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of names in it: all secrets below each are needed."""
        ...

    def render(self, values: Values, /) -> bytes:
        """Return the content of the file. Raises `InvalidSecretValue` for a value that cannot stand in it."""
        ...


class _Place(Struct, frozen=True):
    """A place in a template where a value stands: its reference, and the functions that it goes through."""

    reference: Reference
    filters: tuple[Callable[[str], str], ...]
    is_bytes: bool


class Template(Struct, frozen=True):
    """A template: texts, and between them places of values. Made by `parse`."""

    parts: tuple[str | _Place, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Return the template that *text* is. Raises `InvalidParameter`, with line and column."""
        return cls(tuple(_parts(text)))

    @property
    def references(self) -> tuple[Reference, ...]:
        """The references in it, each once."""
        return tuple(dict.fromkeys(part.reference for part in self.parts if isinstance(part, _Place)))

    @property
    def prefixes(self) -> tuple[str, ...]:
        """None: a template names each secret."""
        return ()

    def render(self, values: Values) -> bytes:
        """Return the text with *values* in its places. Raises `InvalidSecretValue`."""
        parts = self.parts
        return sheltered(lambda: "".join([one if isinstance(one, str) else _rendered(one, values) for one in parts]))


def sheltered(render: Callable[[], str]) -> bytes:
    """Return what *render* returns, in UTF-8. What it raises is raised anew: a traceback may show the frames of a
    function, and those of *render* hold values in clear. Raises `InvalidInput`."""
    try:
        return render().encode()
    except InvalidInput as error:
        problem = error.clone()
    raise problem


def text_of(reference: Reference, value: bytes | None) -> str:
    """Return *value*, that of *reference*, as text; "" for one that is missing. Raises `InvalidSecretValue` for bytes
    that are no text."""
    try:
        return "" if value is None else value.decode()
    except UnicodeDecodeError:
        pass  # not passed on: it holds the value
    raise InvalidSecretValue(
        f"{reference.name} is binary, and no text: a template can have it in base64, as NAME|base64"
    )


def _rendered(place: _Place, values: Values) -> str:
    value = values.bytes(place.reference)
    text = base64.b64encode(value or b"").decode() if place.is_bytes else text_of(place.reference, value)
    for apply in place.filters:
        text = apply(text)
    return text


# --- the filters ------------------------------------------------------------------------------------------------------


def as_json(text: str) -> str:
    """Return *text* as a JSON string, with its quotes."""
    return json.dumps(text, ensure_ascii=False)


def as_word(text: str) -> str:
    """Return *text* as one word of a POSIX shell. Raises `InvalidSecretValue` for a NUL, which no word can hold."""
    if "\0" in text:
        raise InvalidSecretValue("a value with a NUL in it cannot go through the filter shell")
    return shlex.quote(text)


def as_url_part(text: str) -> str:
    """Return *text* in percent-encoding, as a user, a password, a part of a path or a parameter of a URL."""
    return quote(text, safe="")


def as_base64(text: str) -> str:
    """Return the UTF-8 of *text* in base64."""
    return base64.b64encode(text.encode()).decode()


FILTERS: Final[Mapping[str, Callable[[str], str]]] = {
    "json": as_json,
    "shell": as_word,
    "url": as_url_part,
    "base64": as_base64,
}
_ALLOWED: Final = ", ".join([*FILTERS, "indent(NUMBER)"])


def _indented(number: int) -> Callable[[str], str]:
    """Return the filter that puts *number* spaces before each line but the first, which the template has indented."""
    return lambda text: text.replace("\n", "\n" + " " * number)


# --- the parser -------------------------------------------------------------------------------------------------------


def _parts(text: str) -> Iterator[str | _Place]:
    done = 0
    for mark in _MARK.finditer(text):
        if mark.start() < done:  # inside of what stands in braces
            continue
        if mark.start() > done:
            yield text[done : mark.start()]
        if mark[0] == "$$":
            yield "$"
            done = mark.end()
            continue
        end = text.find("}", mark.end())
        if end < 0:
            raise _wrong(text, mark.start(), "a ${ without its }; write $${ for a ${ that begins no reference")
        yield _place(text, mark.end(), text[mark.end() : end])
        done = end + 1
    if done < len(text):
        yield text[done:]


def _place(text: str, start: int, inner: str) -> _Place:
    """Return the place that *inner*, at *start* in *text*, describes."""
    name, *words = inner.split("|")
    problem = ""
    try:
        reference = parse_reference(name.strip())
    except InvalidInput as error:
        problem = error.allowed if isinstance(error, InvalidParameter) else "no name of a secret"
    if problem:
        raise _wrong(text, start, f"{problem}; write $${{ for a ${{ that begins no reference")
    filters: list[Callable[[str], str]] = []
    place = start + len(name) + 1
    for word in words:
        found = _FILTER.fullmatch(word.strip())
        known = found is not None and (found[1] in FILTERS if found[2] is None else found[1] == "indent")
        if found is None or not known:
            raise _wrong(text, place, f"no filter of ours; there are {_ALLOWED}")
        filters.append(FILTERS[found[1]] if found[2] is None else _indented(int(found[2])))
        place += len(word) + 1
    is_bytes = bool(filters) and filters[0] is as_base64
    return _Place(reference, tuple(filters[1:] if is_bytes else filters), is_bytes)


def _wrong(text: str, place: int, what: str) -> InvalidParameter:
    line, column = text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)
    return InvalidParameter("template", f"line {line}, column {column}: {what}")
