"""Builds the environment of a command: given variables, secrets, and references in given variables. PURE.

Rule 1: a name that comes from two places is an error, and is not decided by an order. Only a given variable is replaced
        without a word: to replace it is what a variable is asked for.
Rule 2: a name that comes from a store (by a prefix, or a member of a JSON secret) must not steer how programs are
        loaded: who may write below app/ could otherwise run code of their own in the command.
Rule 3: no error holds a value; it names the variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.delivery.env_files import NAME, variable_of
from secrets_actor.delivery.fetching import Fetched, Wanted
from secrets_actor.delivery.references import find_in
from secrets_actor.domain.errors import InvalidParameter, InvalidSecretValue
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.references import Reference
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import Opaque

# Linux: MAX_ARG_STRLEN, 32 pages: NAME=VALUE and the NUL at its end, in bytes. A longer one fails the whole execve.
MOST_OF_ONE: Final = 131_072
# Where a value is delivered by a file, the variable that has its path: DB_PASSWORD_FILE, as Docker's images have it.
FILE: Final = "_FILE"
_LOADERS: Final = frozenset({"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "PS4", "PYTHONPATH", "PYTHONSTARTUP"})
_MORE_LOADERS: Final = ("LD_", "DYLD_", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "PERL5", "RUBYOPT", "BASH_FUNC_")


class Mapped(Struct, frozen=True):
    """How the environment is made. *variables*: names, and what each is to hold. *sources*: prefixes, and references to
    JSON objects (see `parse_source`). *prefix* stands before the names that come from *sources*. *pristine*: only the
    given variables in *keep* are passed on; else all are."""

    variables: tuple[tuple[str, Reference], ...] = ()
    sources: tuple[str | Reference, ...] = ()
    prefix: str = ""
    pristine: bool = False
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.prefix and NAME.fullmatch(self.prefix) is None:
            raise InvalidParameter("prefix", "what a variable's name may begin with: letters, digits and _")
        _once((name, f"{name}={reference}") for name, reference in self.variables)

    def passed(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return those of the *given* variables that are passed on."""
        return {name: text for name, text in given.items() if not self.pristine or name in self.keep}

    def named(self, given: Mapping[str, str]) -> dict[str, Reference]:
        """Return the variables whose reference is known before anything is fetched: *variables*, and the references in
        *given* ones. Raises `InvalidParameter` for one that begins like a reference and is none."""
        found = {name: find_in(name, text) for name, text in self.passed(given).items()}
        return {name: one for name, one in found.items() if one is not None} | dict(self.variables)

    def wanted(self, given: Mapping[str, str]) -> Wanted:
        """Return what is to be fetched. Raises as `named` does."""
        objects = tuple(one for one in self.sources if isinstance(one, Reference))
        prefixes = tuple(dict.fromkeys(one for one in self.sources if isinstance(one, str)))
        return Wanted((*self.named(given).values(), *objects), prefixes)


class Contents(Opaque):
    """The values of variables in clear, by name. Its repr shows the names."""

    __slots__ = ("_values", "names")
    SHOWN = ("names",)

    def __init__(self, values: Mapping[str, str | bytes]) -> None:
        self._values, self.names = values, tuple(values)

    def bytes(self, name: str) -> bytes:
        """Return the value in clear, a text in UTF-8: for a file."""
        value = self._values[name]
        return value if isinstance(value, bytes) else value.encode()

    def text(self, name: str) -> str:
        """Return the value in clear: for a variable. Raises `InvalidSecretValue` if no variable can hold it."""
        value = self._values[name]
        if isinstance(value, bytes):
            problem = "the secret is binary"
        elif "\0" in value:
            problem = "the value has a NUL character"
        elif len(name) + len(value.encode()) + 2 > MOST_OF_ONE:
            problem = f"the value is too long: name and value have {MOST_OF_ONE - 2} bytes at most"
        else:
            return value
        del value  # the next line raises, and a traceback may show this frame
        raise InvalidSecretValue(f"variable {name}: {problem}, and no variable can hold it: deliver it by a file")


class Environment(Opaque):
    """The whole environment of a command, in clear. Its repr shows nothing."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def reveal(self) -> dict[str, str]:
        """Return a new dictionary of the variables, in clear."""
        return dict(self._variables)


def contents_of(mapped: Mapped, given: Mapping[str, str], fetched: Fetched) -> Contents:
    """Return the value of each variable that holds a secret. *fetched* is what was wanted.

    Raises `InvalidParameter` for a name that comes from two places, or that no environment can hold;
    `InvalidSecretValue` for a value that is to be a JSON object and is none.
    """
    # All that can be wrong is found out before a value is taken out in clear: a traceback may show the frame.
    named = mapped.named(given)
    origins = [(name, f"{name}={reference}") for name, reference in named.items()]
    for source in mapped.sources:
        for name, reference in _of_source(source, fetched):
            variable = _variable(mapped.prefix, name)
            origins.append((variable, str(reference)))
            named.setdefault(variable, reference)
    _once(origins)
    values = {name: _value(fetched, reference) for name, reference in named.items()}
    return Contents({name: value for name, value in values.items() if value is not None})


def environment_of(
    mapped: Mapped, given: Mapping[str, str], contents: Contents, paths: Mapping[str, str] | None = None
) -> Environment:
    """Return the environment. With *paths*, by the names of variables, each value is in the file with that path, and
    its variable is called NAME_FILE. Raises `InvalidParameter` and `InvalidSecretValue`."""
    passed = {name: text for name, text in mapped.passed(given).items() if find_in(name, text) is None}
    if paths is None:
        return Environment(passed | {name: contents.text(name) for name in contents.names})
    without = {name: text for name, text in passed.items() if name not in paths}  # an older value, in clear
    return Environment(without | {name + FILE: path for name, path in paths.items()})


def _value(fetched: Fetched, reference: Reference) -> str | bytes | None:
    secret = fetched.secret(reference)
    if secret is None or reference.member:
        return fetched.text(reference)
    return secret.reveal()


def _of_source(source: str | Reference, fetched: Fetched) -> Iterator[tuple[str, Reference]]:
    """Yield the names that *source* brings, without the prefix, and a reference for each."""
    if isinstance(source, str):
        for name in fetched.below(source):
            yield name.removeprefix(source), Reference(SecretId(name))
    elif _value(fetched, source) is not None:  # it is optional, or it would not have been fetched without it
        for name in _members(SecretValue(_value(fetched, source) or "null")):
            yield name, replace(source, member=(*source.member, name))


def _members(value: SecretValue) -> tuple[str, ...]:
    """Return the names of the members that are not null."""
    found: Any = value.json()
    names = tuple(name for name, one in found.items() if one is not None) if isinstance(found, dict) else None
    del found
    if names is None:
        raise InvalidSecretValue("a source that ends with # is a secret whose value is a JSON object; this one is none")
    return names


def _variable(prefix: str, name: str) -> str:
    """Return the variable for a *name* that comes from a store (rule 2)."""
    found = prefix + variable_of(name)
    if found in _LOADERS or found.startswith(_MORE_LOADERS):
        text = f"the name would steer how programs are loaded; say --env {found}=... if that is meant"
        raise InvalidParameter(f"variable {found}", text)
    return found


def _once(names: Iterable[tuple[str, str]]) -> None:
    """Raise `InvalidParameter` if one of *names*, each with where it comes from, is there twice."""
    seen: dict[str, str] = {}
    for name, origin in names:
        if seen.setdefault(name, origin) != origin:
            raise InvalidParameter(f"variable {name}", f"comes from {seen[name]} and from {origin}: give one of them")
