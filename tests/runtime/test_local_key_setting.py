"""`local.key`: a place of the master key, never the key itself."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from secrets_actor import LocalSettings, Settings
from secrets_actor.backends.master_key_setting import KeyPlace, KeyPlaceKind
from secrets_actor.runtime.settings_loader import load
from tests.runtime.test_settings_loader import CANARY, file, mistakes

__all__ = ["file"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ('"file"', KeyPlace()),
        ('{ file = "/a/key", make = true }', KeyPlace("made_at", "/a/key")),
        ('{ file = "~/key", make = true }', KeyPlace("made_at", "~/key")),
        ('{ file = "/a/key" }', KeyPlace("file", "/a/key")),
        ('{ file = "/a/key", make = false }', KeyPlace("file", "/a/key")),
        ('{ env = "STORE_KEY" }', KeyPlace("env", "STORE_KEY")),
        ('{ passphrase = { env = "STORE_KEY" } }', KeyPlace("passphrase_env", "STORE_KEY")),
        ('{ passphrase = { file = "/a/phrase" } }', KeyPlace("passphrase_file", "/a/phrase")),
        ('{ keyring = "my-daemon" }', KeyPlace("keyring", "my-daemon")),
    ],
)
def test_the_master_key_has_a_place(file: Callable[[str], Path], given: str, place: KeyPlace) -> None:
    table = tomllib.loads(f"key = {given}")["key"]
    in_environment = table if isinstance(table, str) else json.dumps(table)
    environ = {"STORE_KEY": CANARY}

    assert load(file(f"[local]\nkey = {given}\n"), environ).settings.local.key == place
    assert load(None, environ | {"SECRETS_ACTOR_LOCAL__KEY": in_environment}).settings.local.key == place
    made = load(Settings(local=LocalSettings(key=table)), environ).settings
    assert made.local.key == place
    assert load(made, environ).settings == made


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            f'"{CANARY}"',
            "local.key: a key itself does not belong into a configuration, which is copied, shown and logged",
        ),
        (f'{{ passphrase = "{CANARY}" }}', "local.key.passphrase: a passphrase itself does not belong into"),
        ('""', "local.key: a key itself"),
        ("5", "local.key: allowed: "),
        ("[]", "local.key: allowed: "),
        ("{}", "local.key: allowed: "),
        ('{ env = "" }', "local.key: allowed: "),
        ("{ env = 5 }", "local.key: allowed: "),
        ('{ file = "a\\u0000b" }', "local.key: allowed: "),
        ('{ env = "A", file = "/b" }', "local.key: allowed: "),
        ("{ make = true }", "local.key: allowed: "),
        ('{ env = "A", make = true }', "local.key: allowed: "),
        ('{ file = "/a", make = "yes" }', "local.key: allowed: "),
        ('{ file = "", make = true }', "local.key: allowed: "),
        ('{ file = "key", make = true }', "local.key.file: an absolute path"),
        ("{ passphrase = {} }", "local.key.passphrase: allowed: "),
        ('{ passphrase = { env = "A", file = "/b" } }', "local.key.passphrase: allowed: "),
        ('{ passphrase = { keyring = "a" } }', "local.key.passphrase.keyring: unknown key; allowed: "),
        ('{ passphrase = { env = "A" }, env = "B" }', "local.key: allowed: "),
        ('{ colour = "red", env = "A" }', "local.key.colour: unknown key; allowed: "),
        (f'{{ "{CANARY * 3}" = "env" }}', "local.key.****: unknown key; allowed: "),
        ('{ env = "NOT_SET" }', "local.key: the environment variable NOT_SET is not set"),
        ('{ passphrase = { env = "NOT_SET" } }', "local.key.passphrase: the environment variable NOT_SET is not set"),
        (f'{{ env = "{CANARY}" }}', "local.key: the environment variable **** is not set"),
    ],
)
def test_a_master_key_without_a_place_is_a_mistake(file: Callable[[str], Path], given: str, told: str) -> None:
    table = tomllib.loads(f"key = {given}")["key"]
    in_environment = table if isinstance(table, str) else json.dumps(table)
    of_file = mistakes(file(f"[local]\nkey = {given}\nrecovery_window = 0\n"))

    assert of_file[0].startswith(told)
    assert [line.partition(":")[0] for line in of_file[1:]] == ["local.recovery_window"], "all at once"
    assert mistakes(Settings(local=LocalSettings(key=table))) == of_file[:1]
    assert mistakes(None, {"SECRETS_ACTOR_LOCAL__KEY": in_environment})[0].startswith(
        told if given[0] in '"{' else "local.key: a key itself"
    )
    assert CANARY not in f"{of_file} {LocalSettings(key=table)!r}"


def test_a_path_may_be_given_in_code_and_nonsense_in_the_environment() -> None:
    assert load(Settings(local=LocalSettings(key={"file": Path("/a/key")})), {}).settings.local.key == KeyPlace(
        "file", "/a/key"
    )
    for text in (f"{{{CANARY}", "{" * 100_000):
        (told,) = mistakes(None, {"SECRETS_ACTOR_LOCAL__KEY": text})
        assert told.startswith("local.key: allowed: ")


@pytest.mark.parametrize("kind", get_args(KeyPlaceKind))
def test_a_place_is_shown_if_it_looks_like_one(kind: KeyPlaceKind) -> None:
    shown = {"env": "STORE_KEY", "passphrase_env": "STORE_KEY", "keyring": "my-daemon"}.get(kind, "/tmp/key")

    assert repr(KeyPlace(kind, shown)) == f"<KeyPlace {kind}{'' if kind == 'made' else f' {shown}'}>"
    assert CANARY not in repr(KeyPlace(kind, f"{CANARY}/{CANARY}"))
