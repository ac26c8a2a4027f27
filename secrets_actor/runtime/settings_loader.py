"""Loads the settings from a TOML file and the environment, and reports all mistakes at once.

Rule 1: the keys of the file are the fields of `Settings`. A variable stands over the file: SECRETS_ACTOR_TTL_SECONDS
        over `ttl_seconds`, SECRETS_ACTOR_AWS__REGION over `region` in `[aws]`.
Rule 2: an unknown key is a mistake, in the file and in the environment. Exceptions are the variables that Kubernetes
        and Docker set on their own account.
Rule 3: a mistake names its key and what is allowed there. It never quotes the given value, which may be a key put in
        the wrong place.
Rule 4: mistakes are returned up to `load` and raised there, because a traceback may show locals, and the frame of
        `load` holds no key.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from secrets_actor.domain.errors import ConfigurationError, InvalidInput, InvalidParameter
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.runtime.backends import BACKENDS, MakeFactory, path_mistakes
from secrets_actor.runtime.daemon_settings import daemon_mistakes
from secrets_actor.runtime.file_settings import file_mistakes
from secrets_actor.runtime.section import Section
from secrets_actor.runtime.settings import PrefetchSettings, Settings
from secrets_actor.runtime.settings_validator import one_of, sections_of, validated
from secrets_actor.small_files import Problem, read_text


class Loaded(NamedTuple):
    """The checked *settings*, and *make_factory*, a function that makes the factory of their backend.

    That function uses what the check has found out, so nothing is looked up twice.
    """

    settings: Settings
    make_factory: MakeFactory


# What was loaded, or None; and the mistakes.
Result = tuple[Loaded | None, list[str]]

PREFIX: Final = "SECRETS_ACTOR_"
# The variable that names the file to read, if the program names none.
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
# Bytes of a configuration file, and the seconds to wait for one that a shell pipes in.
_MAX_FILE: Final = 1_048_576
_PIPE_SECONDS: Final = 10.0
# Variables with our prefix that are no settings: the path of the file, one of the tests against a real account, and one
# of the command line (cli/options.py).
RESERVED: Final = frozenset({"CONFIG", "LIVE_PREFIX", "NO_DAEMON"})
# Variables that Kubernetes sets in each pod for a service called secrets-actor, or secrets-actor-WORD, unless the pod
# says `enableServiceLinks: false`. A service's name ends in a letter or a digit (RFC 1035, labels). Also the variables
# that `docker run --link` sets for a container of such a name, which include all variables of that container. Sources:
# kubernetes, pkg/kubelet/envvars/envvars.go; moby, daemon/links/links.go.
_SERVICE: Final = rf"{PREFIX[:-1]}(_[A-Z0-9_.]*[A-Z0-9])?"
_PORT_LINK: Final = r"PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR|_START|_END|_PORT_START|_PORT_END)?"
_LINK: Final = re.compile(rf"{_SERVICE}_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|{_PORT_LINK}|ENV_.+)", re.DOTALL)
# The settings that are lists of texts.
_LISTS: Final = {"prefetch": ("names", "prefixes", "tags"), "vault": ("addresses",)}
# Two names that may also be a mistyped setting: they pass only if their values are those of a link.
_LINK_BY_VALUE: Final = re.compile(rf"{_SERVICE}_(PORT=(?i:tcp|udp|sctp)://.+|NAME=/.+)")


def load(source: str | os.PathLike[str] | Settings | None = None, environ: Mapping[str, str] | None = None) -> Loaded:
    """Load and check the settings. Raises `ConfigurationError` with every mistake, and `InvalidParameter` for a
    *source* that can be none.

    *source*: the path of a TOML file; None: the file that SECRETS_ACTOR_CONFIG names, or the defaults. The variables in
    *environ* (None: `os.environ`) stand over the file. `Settings` that were made in code are checked as a file is, and
    their fields get their types: a path given as text becomes a `Path`. The environment does not change them.
    """
    if not _is_source(source):
        kind = type(source).__name__
        del source, environ  # rule 4
        raise InvalidParameter("source", f"the path of a file, a text; Settings(...); or None; not {kind}")
    loaded, mistakes = _loaded(source, os.environ if environ is None else environ)
    del environ  # rule 4
    if loaded is None:
        raise ConfigurationError(tuple(mistakes))
    return loaded


def named(source: str | os.PathLike[str] | None, environ: Mapping[str, str] | None = None) -> str:
    """Return what people are told about where the settings of `load(source, environ)` come from: the path of a file, or
    "the defaults". It is the loader that knows, for a file may be named by a variable alone."""
    given = (os.environ if environ is None else environ).get(CONFIG_VARIABLE) if source is None else source
    return "the defaults" if given is None else os.fspath(given)


def _is_source(source: object) -> bool:
    if isinstance(source, os.PathLike):
        source = os.fspath(source)  # bytes are a path, too, but not here
    return source is None or isinstance(source, str | Settings)


def _loaded(source: str | os.PathLike[str] | Settings | None, environ: Mapping[str, str]) -> Result:
    if isinstance(source, Settings):
        raw = {} if source == Settings() else _as_raw(source)
        return _build(raw, _single_texts(raw), environ)
    found = _read(source, environ)
    if isinstance(found, str):
        return None, [found]
    mistakes = _overlay(found, environ)
    loaded, mistakes = _build(found, mistakes, environ)
    return loaded, [_with_variable(mistake, environ) for mistake in mistakes]


def _with_variable(mistake: str, environ: Mapping[str, str]) -> str:
    """Return *mistake*, with the name of the variable that the setting, or its table, came from, if one did.

    The user may not know that this variable is set.
    """
    parts = mistake.partition(": ")[0].upper().split(".")
    variables = (PREFIX + "__".join(parts[:count]) for count in range(len(parts), 0, -1))
    variable = next((name for name in variables if name in environ), None)
    return mistake if variable is None else f"{mistake} (from {variable})"


def _as_raw(section: Section) -> dict[str, Any]:
    """Return a section that was made in code as the table that a file would have."""
    return {name: _raw_value(getattr(section, name)) for name in section.__struct_fields__}


def _raw_value(value: Any) -> Any:
    if isinstance(value, Section):
        return _as_raw(value)
    return [_raw_value(one) for one in value] if isinstance(value, tuple) else value


def _single_texts(raw: dict[str, Any]) -> list[str]:
    """Return a mistake for each list of a section made in code that is one text: most likely the brackets were
    forgotten. In the environment, a text with commas is such a list."""
    mistakes = []
    for section, names in _LISTS.items():
        table = raw.get(section)
        given = table if isinstance(table, dict) else {}
        mistakes += [
            f"{section}.{name}: a list of texts, not one text" for name in names if isinstance(given.get(name), str)
        ]
    return mistakes


def _read(source: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> dict[str, Any] | str:
    """Return the tables of the file, or the mistake that keeps it from being read."""
    given = environ.get(CONFIG_VARIABLE) if source is None else source
    if given is None:
        return {}
    try:
        path = expanded(given)
    except NoPlace as error:
        return f"the path of the configuration file{'' if source is not None else f' in {CONFIG_VARIABLE}'} {error}"
    import tomllib  # here, because a program without a file does not need it

    found = read_text(path, _MAX_FILE, pipe_seconds=_PIPE_SECONDS)
    if isinstance(found, str):
        try:
            return tomllib.loads(found)
        except tomllib.TOMLDecodeError as error:
            # Of the decoder's message, only line and column go on: the rest may quote the document (rule 3).
            found = Problem(f"is not TOML: {str(error).rpartition('(')[2].rstrip(')') or 'syntax error'}")
        except RecursionError:
            found = Problem("is not TOML: nested too deeply")
    return f"configuration file {os.fspath(path)}: {'no such file' if found is None else found}"


def _overlay(raw: dict[str, Any], environ: Mapping[str, str]) -> list[str]:
    mistakes = []
    for name, value in environ.items():
        if not name.startswith(PREFIX) or name.removeprefix(PREFIX) in RESERVED:
            continue
        *sections, key = name.removeprefix(PREFIX).lower().split("__")
        if key not in _keys_of(sections):
            if _is_link(name, value):
                continue
            mistakes.append(f"{name}: unknown; the names are {PREFIX}KEY and {PREFIX}SECTION__KEY")
            continue
        place = raw
        for section in sections:
            inner = place.setdefault(section, {})
            place = inner if isinstance(inner, dict) else {}
        place[key] = value
    return mistakes


def _is_link(name: str, value: str) -> bool:
    """Whether Kubernetes or Docker set this variable: it is about a service or container with our prefix."""
    return bool(_LINK.fullmatch(name) or _LINK_BY_VALUE.fullmatch(f"{name}={value}"))


def _keys_of(names: list[str]) -> tuple[str, ...]:
    """Return the keys of the section at the path *names*; an empty tuple if there is no such section."""
    found: type[Section] | None = Settings
    for name in names:
        found = None if found is None else sections_of(found).get(name)
    return () if found is None else found.__struct_fields__


def _build(raw: dict[str, Any], mistakes: list[str], environ: Mapping[str, str]) -> Result:
    # Checked here and not by the type of the field: the names of the backends stand in their table only. A tuple is
    # searched, because a file may have anything in this place, also what cannot be hashed.
    if "backend" in raw and raw["backend"] not in tuple(BACKENDS):
        del raw["backend"]
        mistakes.append(f"backend: {one_of(BACKENDS)}")
    settings, wrong = validated(Settings, raw, environ)
    mistakes += wrong
    known = {mistake.partition(":")[0] for mistake in mistakes}
    found: list[str] = []
    make_factory = None
    if "backend" not in known:
        try:
            make_factory = BACKENDS[settings.backend].prepare(settings, environ)
        except ConfigurationError as error:
            found += error.mistakes
    for row in BACKENDS.values():
        found += row.check(settings)
    found += _unusable_prefetch(settings.prefetch)
    found += () if settings.daemon is None else daemon_mistakes(settings.daemon)
    found += file_mistakes(settings.file)
    if settings.log.output not in ("logging", "stderr"):
        found += path_mistakes("log.output", settings.log.output)
    # A wrong setting has its default in `settings`, so a mistake found there is none of the user's: it is dropped.
    mistakes += [mistake for mistake in found if not _is_within(mistake.partition(":")[0], known)]
    if mistakes or make_factory is None:
        return None, mistakes
    return Loaded(settings, make_factory), mistakes


def _is_within(key: str, known: set[str]) -> bool:
    """Whether *key*, or a table that it is in, is in *known*."""
    return key in known or any(key.startswith(f"{one}.") for one in known)


def _unusable_prefetch(section: PrefetchSettings) -> Iterator[str]:
    if section == PrefetchSettings():
        return
    from secrets_actor.actor.prefetch_plan import Wanted

    for name in ("names", "prefixes", "tags"):
        try:
            Wanted.of(**{name: getattr(section, name)})
        except InvalidInput as error:
            allowed = error.allowed if isinstance(error, InvalidParameter) else str(error)
            yield f"prefetch.{name}: {allowed}"
