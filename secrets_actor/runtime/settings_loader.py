"""The settings that hold a key, or say where one is: looked at before all others, and by nobody else.

THE pydantic door: a TOML file and the environment become Settings, all mistakes told at once.

Rule 1: the file's keys are those of the Settings; SECRETS_ACTOR_TTL_SECONDS stands over `ttl_seconds`, and
        SECRETS_ACTOR_AWS__REGION over `region` in `[aws]`.
Rule 2: an unknown key is a mistake, in the file and in the environment, where what Kubernetes and Docker set of
        themselves passes.
Rule 3: a mistake names its key and what is allowed, and never what was given: that may be a key put in the wrong place.
Rule 4: pydantic is imported only when there is something that is not right at a glance (plain_settings.py).
Rule 5: mistakes are returned up to `load`, whose frame holds no key, and raised there: a traceback may show locals.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

from secrets_actor.backends.aws.credentials.static import KeySource
from secrets_actor.backends.master_key_setting import KeyPlace, place_of
from secrets_actor.backends.setting_masking import shown_variable, shown_word
from secrets_actor.domain.errors import ConfigurationError, InvalidInput, InvalidParameter
from secrets_actor.domain.masked import MaskedText
from secrets_actor.json_text import read_json
from secrets_actor.paths import NoPlace, expanded
from secrets_actor.records import fields, is_dataclass
from secrets_actor.runtime.aws_connection import aws_connection_for
from secrets_actor.runtime.plain_settings import plain
from secrets_actor.runtime.settings import (
    KEYS,
    MASTER_KEY,
    AwsSettings,
    PrefetchSettings,
    Settings,
    profile_of,
    region_of,
)
from secrets_actor.small_files import Problem, read_text

if TYPE_CHECKING:
    from pydantic import BaseModel


Keys = dict[str, KeySource | KeyPlace]

APART: Final = (*KEYS, MASTER_KEY)
_ALLOWED_KEY: Final = 'text, { env = "NAME" } or { file = "PATH" }'


def take_keys(raw: Mapping[str, Any], environ: Mapping[str, str], mistakes: list[str]) -> Keys:
    """The keys of *raw*, whose sections are without them afterwards; what is wrong with one goes to *mistakes*."""
    keys: Keys = {}
    aws, local = raw.get("aws"), raw.get("local")
    for name in KEYS:
        if isinstance(aws, dict) and name in aws:
            key = _key_source(aws.pop(name), environ)
            if isinstance(key, str):
                mistakes.append(f"aws.{name}: {key}")
            else:
                keys[name] = key
    if isinstance(local, dict) and MASTER_KEY in local:
        place = keys[MASTER_KEY] = place_of(local.pop(MASTER_KEY))
        mistakes += [f"local.{MASTER_KEY}{mistake}" for mistake in (*place.mistakes, *_not_set(place, environ))]
    return keys


def _not_set(place: KeyPlace, environ: Mapping[str, str]) -> tuple[str, ...]:
    if place.kind not in ("env", "passphrase_env") or environ.get(place.reveal()):
        return ()
    inner = ".passphrase" if place.kind == "passphrase_env" else ""
    return (f"{inner}: the environment variable {shown_variable(place.reveal())} is not set",)


def _key_source(given: Any, environ: Mapping[str, str]) -> KeySource | str:
    """The key source, or what is wrong with it."""
    match given:
        case str() if given.strip():
            return KeySource("text", given)
        case {"env": str(name), **rest} if not rest and name:
            found = KeySource("env", name)
            return found if environ.get(name) else f"the {found.description} is not set"
        case {"file": str(name), **rest} if not rest and name:
            return KeySource("file", name)
    return f"allowed: {_ALLOWED_KEY}"


# The settings, or what is wrong.
Loaded = tuple[Settings | None, list[str]]

PREFIX: Final = "SECRETS_ACTOR_"
# Says which file to read, where the program says none.
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
# Bytes, and seconds for one that a shell pipes in.
_MAX_FILE: Final = 1_048_576
_PIPE_SECONDS: Final = 10.0
# Names with our prefix that are not settings: where the file is, and what tests against a real account need.
RESERVED: Final = frozenset({"CONFIG", "LIVE_PREFIX"})
# What Kubernetes sets in each pod for a service called secrets-actor, or secrets-actor-WORD: unless a pod says
# `enableServiceLinks: false`, it has them all. A service's name ends in a letter or a digit (RFC 1035, labels). And
# what `docker run --link` sets for a container of such a name: among it all variables of that container.
# Sources: kubernetes, pkg/kubelet/envvars/envvars.go; moby, daemon/links/links.go.
_SERVICE: Final = rf"{PREFIX[:-1]}(_[A-Z0-9_.]*[A-Z0-9])?"
_PORT_LINK: Final = r"PORT_[0-9]+_(TCP|UDP|SCTP)(_PROTO|_PORT|_ADDR|_START|_END|_PORT_START|_PORT_END)?"
_LINK: Final = re.compile(rf"{_SERVICE}_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|{_PORT_LINK}|ENV_.+)", re.DOTALL)
# These two may be somebody's mistake, unless their values are those of a link.
_LINK_BY_VALUE: Final = re.compile(rf"{_SERVICE}_(PORT=(?i:tcp|udp|sctp)://.+|NAME=/.+)")


def load(source: str | os.PathLike[str] | Settings | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a TOML file (its path; None: SECRETS_ACTOR_CONFIG, or the defaults), under those of *environ*.

    `Settings` made in code are checked, and each is made of its type: a path given as text is a Path, and so on.
    Raises `ConfigurationError` with every mistake.
    """
    settings, mistakes = _loaded(source, os.environ if environ is None else environ)
    del environ  # rule 5
    if settings is None:
        raise ConfigurationError(tuple(mistakes))
    return settings


def _loaded(source: str | os.PathLike[str] | Settings | None, environ: Mapping[str, str]) -> Loaded:
    if isinstance(source, Settings):
        raw = {} if source == Settings() else _as_raw(source)
        return _build(raw, [], environ)
    found = _read(source, environ)
    if isinstance(found, str):
        return None, [found]
    mistakes = _overlay(found, environ)
    settings, mistakes = _build(found, mistakes, environ)
    return settings, [_with_variable(mistake, environ) for mistake in mistakes]


def _with_variable(mistake: str, environ: Mapping[str, str]) -> str:
    """*mistake*; with the variable that its setting came from, or the table that its setting is in: whoever runs the
    program may not know that it is set."""
    parts = mistake.partition(": ")[0].upper().split(".")
    variables = (PREFIX + "__".join(parts[:count]) for count in range(len(parts), 0, -1))
    variable = next((name for name in variables if name in environ), None)
    return mistake if variable is None else f"{mistake} (from {variable})"


def _as_raw(section: Any) -> dict[str, Any]:
    raw: dict[str, Any] = {}
    for field in fields(section):
        value = getattr(section, field.name)
        if isinstance(value, KeySource):
            raw[field.name] = value.reveal() if value.kind == "text" else {value.kind: value.reveal()}
        elif isinstance(value, MaskedText):
            raw[field.name] = value.reveal()
        elif isinstance(value, KeyPlace):
            raw[field.name] = value
        elif is_dataclass(value):
            raw[field.name] = _as_raw(value)
        elif value is not None:
            raw[field.name] = value
    return raw


def _read(source: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> dict[str, Any] | str:
    """What is in the file, or what is wrong with it."""
    given = environ.get(CONFIG_VARIABLE) if source is None else source
    if given is None:
        return {}
    try:
        path = expanded(given)
    except NoPlace as error:
        return f"the path of the configuration file{'' if source is not None else f' in {CONFIG_VARIABLE}'} {error}"
    import tomllib  # for who has a file

    found = read_text(path, _MAX_FILE, pipe_seconds=_PIPE_SECONDS)
    if isinstance(found, str):
        try:
            return tomllib.loads(found)
        except tomllib.TOMLDecodeError as error:
            # The decoder's message tells line and column; its document must not travel with the error.
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
    """Whether a variable that has our prefix was set for a service or a container beside us, and not for us."""
    return bool(_LINK.fullmatch(name) or _LINK_BY_VALUE.fullmatch(f"{name}={value}"))


def _keys_of(sections: list[str]) -> frozenset[str]:
    found: Any = Settings()
    for section in sections:
        found = getattr(found, section, None)
    return frozenset(f.name for f in fields(found)) if is_dataclass(found) else frozenset()


def _build(raw: dict[str, Any], mistakes: list[str], environ: Mapping[str, str]) -> Loaded:
    if not raw and not mistakes:
        mistakes = list(_unusable_places(Settings()))
        return (None if mistakes else Settings()), mistakes
    raw = dict(raw)
    for section in ("aws", "local"):
        if isinstance(raw.get(section), dict):
            raw[section] = dict(raw[section])
    keys = take_keys(raw, environ, mistakes)
    settings = plain(Settings, raw, keys) or _checked(raw, keys, mistakes)
    if settings is not None:
        mistakes += _unusable(settings, environ)
    mistakes += _without_region(raw, environ)
    return (None if mistakes else settings), mistakes


def _checked(raw: dict[str, Any], keys: Keys, mistakes: list[str]) -> Settings | None:
    """By pydantic, which tells what is wrong, and makes of numbers in texts what they are meant to be."""
    from pydantic import ValidationError  # rule 4

    try:
        checked: Settings = _from_model(_model(Settings)(**raw), Settings, keys)
        return checked
    except ValidationError as error:
        mistakes += [_told(problem) for problem in error.errors(include_input=False, include_url=False)]
    return None


def _without_region(raw: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong where a region is needed and none is to be found."""
    if raw.get("backend") != "aws_secrets_manager":
        return ()
    aws = raw.get("aws")
    aws = aws if isinstance(aws, dict) else {}
    if "region" in aws:  # good or not: the model has looked at it
        return ()
    profile, method = aws.get("profile"), aws.get("auth_method")
    source = AwsSettings(
        profile=profile if isinstance(profile, str) else None,
        auth_method=method if method in ("access_key", "iam_role") else "default",
    )
    if region_of(source, environ) is not None:
        return ()
    try:
        profile_of(source, environ)
    except ConfigurationError as error:  # it may be there
        return error.mistakes
    return ("aws.region: required with backend aws_secrets_manager, such as us-east-1 (or set AWS_REGION)",)


def _unusable(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with the way to the store. Said here, and not when it is opened: the settings show a URL."""
    aws = settings.aws
    mistakes: list[str] = []
    region = region_of(aws, environ) if settings.backend == "aws_secrets_manager" else None
    if region is not None:
        try:
            aws_connection_for(aws, region, environ)
        except ConfigurationError as error:
            mistakes += error.mistakes
    if aws.profile is not None and aws.auth_method != "default":
        mistakes.append('aws.profile: only with auth_method "default"')
    if aws.role_arn is not None:
        from secrets_actor.backends.aws.credentials.assume_role import Role

        role = Role(aws.role_arn, aws.role_session_name, aws.external_id, aws.session_duration, aws.role_tags or {})
        mistakes += [f"aws.{mistake}" for mistake in role.mistakes()]
    mistakes += _unusable_prefetch(settings.prefetch)
    mistakes += _unusable_places(settings)
    return tuple(mistakes)


def _unusable_places(settings: Settings) -> Iterator[str]:
    """Paths that are none. A `~` without a home would be a folder in the working directory."""
    places: list[tuple[str, str | os.PathLike[str]]] = []
    if settings.log.output not in ("logging", "stderr"):
        places.append(("log.output", settings.log.output))
    if settings.backend == "local_encrypted":
        places.append(("local.path", settings.local.path))
        key = place_of(settings.local.key)
        if key.kind in ("made_at", "file", "passphrase_file"):
            places.append(("local.key", key.reveal()))
    elif settings.aws.ca_bundle is not None:
        places.append(("aws.ca_bundle", settings.aws.ca_bundle))
    for setting, path in places:
        try:
            expanded(path)
        except NoPlace as error:
            yield f"{setting}: {error}"
        if "\0" in os.fspath(path):
            yield f"{setting}: holds a NUL character; give a path"


def _unusable_prefetch(section: PrefetchSettings) -> Iterator[str]:
    if section == PrefetchSettings():
        return
    from secrets_actor.actor.prefetch_plan import Wanted

    for name in ("names", "prefixes", "tags"):
        try:
            Wanted(**{name: getattr(section, name)})
        except InvalidInput as error:
            allowed = error.allowed if isinstance(error, InvalidParameter) else str(error)
            yield f"prefetch.{name}: {allowed}"


def _model(section: type) -> type[BaseModel]:
    """A pydantic model with the fields, types and limits of a settings class; the keys are handled apart."""
    from pydantic import BeforeValidator, ConfigDict, Field, create_model  # rule 4

    hints = typing.get_type_hints(section)
    found: dict[str, Any] = {}
    for field in fields(section):
        if field.name in APART:
            continue
        hint = hints[field.name]
        hint = str | None if MaskedText in typing.get_args(hint) else hint  # the section masks it
        if is_dataclass(hint):
            found[field.name] = (_model(typing.cast("type", hint)), Field(default_factory=dict, validate_default=True))
        else:
            limits: dict[str, Any] = {**field.metadata, **({"allow_inf_nan": False} if hint is float else {})}
            given = Annotated[hint, BeforeValidator(_BEFORE[hint])] if hint in _BEFORE else hint
            found[field.name] = (given, Field(default=field.default, **limits))
    return create_model(section.__name__, __config__=ConfigDict(extra="forbid", hide_input_in_errors=True), **found)


def _no_bool(given: Any) -> Any:
    from pydantic_core import PydanticCustomError  # rule 4

    if isinstance(given, bool):
        raise PydanticCustomError("no_bool", "Input should be a number")
    return given


def _from_json(given: Any) -> Any:
    from pydantic_core import PydanticCustomError  # rule 4

    if not isinstance(given, str):
        return given
    with contextlib.suppress(ValueError):
        if isinstance(found := read_json(given), dict):
            return found
    raise PydanticCustomError("no_table", "Input should be a table; in the environment, a JSON object")


def _from_list(given: Any) -> Any:
    return [one.strip() for one in given.split(",") if one.strip()] if isinstance(given, str) else given


# What looks at a setting of a type before pydantic does.
_BEFORE: Final[Mapping[Any, Callable[[Any], Any]]] = {
    int: _no_bool,
    float: _no_bool,
    Mapping[str, str] | None: _from_json,
    tuple[str, ...]: _from_list,
}


def _from_model(model: BaseModel, section: type, keys: Keys) -> Any:
    values: dict[str, Any] = {}
    for field in fields(section):
        if field.name in APART:
            values[field.name] = keys.get(field.name, field.default)
        else:
            value = getattr(model, field.name)
            inner = type(field.default)
            values[field.name] = _from_model(value, inner, keys) if is_dataclass(inner) else value
    return section(**values)


def _told(problem: Any) -> str:
    key = ".".join(shown_word(str(part)) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] == "model_type":
        return f"{key}: a table, with keys of its own"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}"
