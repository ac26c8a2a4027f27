"""The settings that hold a key, or say where one is: looked at before all others, and by nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secrets_actor.backends.aws.credentials.static import KeySource
from secrets_actor.backends.key_place import KeyPlace, place_of
from secrets_actor.backends.places import shown_variable
from secrets_actor.runtime.settings import KEYS, MASTER_KEY

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
