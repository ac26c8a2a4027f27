"""Keys in the configuration, and keys put in the wrong place of it: told by their place, and never repeated."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from secrets_actor import (
    AwsSettings,
    ConfigurationError,
    CredentialsError,
    LocalSettings,
    SecretsError,
    Settings,
    VaultSettings,
    start,
)
from tests.canaries.canary_forms import plain_canary
from tests.canaries.canary_search import Hunt
from tests.canaries.planted_canaries import Values, plant_keys, some_keys
from tests.canaries.test_stores import aws
from tests.cli.program import Program
from tests.servers.behaviours import Answer, aws_error
from tests.servers.faulty import FaultyServer

# Looks as a secret key of AWS does: forty characters of base64.
KEY: Final = plain_canary(31) + "/+aB" + plain_canary()[6:11]
AWS: Final = 'backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\naccess_key = "AKIAIOSFODNN7EXAMPLE"\n'
BAD_FILES: Final = {
    "no TOML": f"{AWS}secret_key = {KEY}",
    "no end of a text": f'{AWS}secret_key = "{KEY}',
    "a key twice": f'{AWS}secret_key = "{KEY}"\nsecret_key = "{KEY}"',
    "no Unicode": f'{AWS}secret_key = "{KEY}\udcff"',
    "for a variable's name": f'{AWS}secret_key = {{ env = "{KEY}" }}',
    "for a table's key": f'{AWS}secret_key = {{ "{KEY}" = "env" }}',
    "in too large a table": f'{AWS}secret_key = {{ env = "PATH", value = "{KEY}" }}',
    "in a list": f'{AWS}secret_key = ["{KEY}"]',
    "for an unknown setting": f'{AWS}"{KEY}" = true',
    "under an unknown setting": f'{AWS}secretkey = "{KEY}"',
    "for a section": f'{AWS}["{KEY}"]\na = 1',
    "under a section that is none": f'aws = "{KEY}"',
    "for a region": f'backend = "aws_secrets_manager"\n[aws]\nregion = "{KEY}"',
    "in a URL": f'{AWS}endpoint_url = "https://user:{KEY}@example.org"',
    "for a URL": f'{AWS}endpoint_url = "{KEY}"',
    "for a number": f'{AWS}timeout = "{KEY}"',
    "for a whole number": f'{AWS}recovery_window = "{KEY}"',
    "for a choice": f'{AWS}auth_method = "{KEY}"',
    "for a backend": f'backend = "{KEY}"',
    "for a path": f'[local]\npath = ["{KEY}"]',
    "for a master key": f'[local]\nkey = "{KEY}"',
    "for a master key's variable": f'[local]\nkey = {{ env = "{KEY}" }}',
    "for a master key's table": f'[local]\nkey = {{ "{KEY}" = "env" }}',
    "beside a master key": f'[local]\nkey = {{ env = "PATH", value = "{KEY}" }}',
    "for a passphrase": f'[local]\nkey = {{ passphrase = "{KEY}" }}',
    "for a passphrase's table": f'[local]\nkey = {{ passphrase = {{ "{KEY}" = "env" }} }}',
    "for a key file to be made": f'[local]\nkey = {{ file = "{KEY}", make = true }}',
}
# Variables of Vault's own tools, each with what it must not have.
BAD_VAULT_VARIABLES: Final = ("ADDR", "AGENT_ADDR", "PROXY_ADDR", "CLIENT_TIMEOUT", "SKIP_VERIFY", "CLIENT_KEY_BYTES")
BAD_VARIABLES: Final = {
    "SECRETS_ACTOR_TTL_SECONDS": KEY,
    "SECRETS_ACTOR_AWS__TIMEOUT": KEY,
    "SECRETS_ACTOR_AWS": KEY,
    "SECRETS_ACTOR_SECRET_KEY": KEY,
    "SECRETS_ACTOR_AWS__SECRET_KEY__TEXT": KEY,
    "SECRETS_ACTOR_LOG__FORMAT": KEY,
    "SECRETS_ACTOR_LOCAL__KEY": KEY,
}
BAD_SETTINGS: Final[dict[str, Callable[[], Any]]] = {
    "a key for a number": lambda: Settings(ttl_seconds=KEY),  # type: ignore[arg-type]
    "a key for a section": lambda: Settings(aws=KEY),  # type: ignore[arg-type]
    "a key for a region": lambda: Settings(backend="aws_secrets_manager", aws=AwsSettings(region=KEY)),
    "a token for an address": lambda: Settings(backend="vault", vault=VaultSettings(addresses=(KEY,))),
    "a token for a mount": lambda: Settings(vault=VaultSettings(mount=f"../{KEY}")),
    "a token of another type": lambda: Settings(vault=VaultSettings(token=[KEY])),  # type: ignore[arg-type]
    "a token with another login": lambda: Settings(vault=VaultSettings(auth_method="jwt", token=KEY)),  # type: ignore[arg-type]
    "a master key": lambda: Settings(local=LocalSettings(key=KEY)),
    "a master key in a list": lambda: Settings(local=LocalSettings(key=[KEY])),  # type: ignore[arg-type]
    "a key of another type": lambda: Settings(aws=AwsSettings(region="us-east-1", secret_key=[KEY])),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("where", BAD_FILES)
def test_a_key_in_the_wrong_place_of_a_file_is_not_repeated(hunt: Hunt, tmp_path: Path, where: str) -> None:
    hunt.plant("key", KEY)
    path = tmp_path / "config.toml"
    path.write_bytes(BAD_FILES[where].encode(errors="surrogateescape"))

    hunt.failure(where, ConfigurationError, lambda: start(path))

    hunt.nothing_was_found(error=5, traceback=1, frames=2)


@pytest.mark.parametrize("name", BAD_VARIABLES)
def test_a_key_in_the_wrong_variable_is_not_repeated(hunt: Hunt, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hunt.plant("key", KEY)
    monkeypatch.setenv(name, BAD_VARIABLES[name])

    hunt.failure(name, ConfigurationError, start)

    hunt.nothing_was_found(error=5, traceback=1, frames=2)


@pytest.mark.parametrize("word", BAD_VAULT_VARIABLES)
def test_a_key_in_the_wrong_variable_of_vault_is_not_repeated(
    hunt: Hunt, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    hunt.plant("key", KEY)
    monkeypatch.setenv("SECRETS_ACTOR_BACKEND", "vault")
    monkeypatch.setenv(f"VAULT_{word}", KEY)

    hunt.failure(word, ConfigurationError, start)

    hunt.nothing_was_found(error=5, traceback=1, frames=2)


@pytest.mark.parametrize("where", BAD_SETTINGS)
def test_a_key_in_the_wrong_place_of_the_settings_is_not_repeated(hunt: Hunt, where: str) -> None:
    hunt.plant("key", KEY)

    # A frame of ours may show the settings themselves: these are the caller's, and of the wrong type.
    hunt.failure(where, ConfigurationError, lambda: start(BAD_SETTINGS[where]()), locals_too=False)

    hunt.nothing_was_found(error=5)


@pytest.mark.parametrize("place", ["file", "env"])
def test_a_key_for_the_place_of_a_key_is_not_repeated_when_it_is_missed(
    hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    hunt.plant("key", KEY)
    path = tmp_path / "config.toml"
    path.write_text(f'{AWS}secret_key = {{ {place} = "{KEY}" }}')
    monkeypatch.setenv(KEY, "something")

    with start(path) as system:
        monkeypatch.delenv(KEY)
        hunt.text("settings", place, repr(system.settings))
        hunt.failure("get", CredentialsError, lambda: system.secrets.get("canaries/one"))
        hunt.objects(place, system)

    hunt.nothing_was_found(error=5, object=50)


def test_good_keys_do_not_show_in_settings_and_parts(
    hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = some_keys()
    plant_keys(hunt, keys)
    (tmp_path / "token").write_text(keys.session_token or "")
    monkeypatch.setenv("MY_SECRET_KEY", keys.secret_key)
    with FaultyServer(aws_error("ThrottlingException")) as server:
        for text in (f'"{keys.secret_key}"', '{ env = "MY_SECRET_KEY" }'):
            path = tmp_path / "config.toml"
            path.write_text(
                f'backend = "aws_secrets_manager"\n[aws]\nregion = "us-east-1"\nendpoint_url = "{server.url}"\n'
                f'access_key = "{keys.access_key_id}"\nsecret_key = {text}\n'
                f"session_token = {{ file = {json.dumps(str(tmp_path / 'token'))} }}\n"
            )
            with start(path) as system:
                hunt.failure("get", SecretsError, lambda: system.secrets.get("canaries/one", timeout=0.3))
                hunt.text("settings", "file", f"{system.settings!r} {system.settings}")
                hunt.objects("file", system)

    hunt.nothing_was_found(object=100)


@pytest.mark.parametrize("place", ["text", "env", "file"])
def test_a_token_of_vault_does_not_show_in_settings_and_parts(
    hunt: Hunt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    hunt.plant("key", KEY)
    (tmp_path / "token").write_text(KEY)
    monkeypatch.setenv("MY_TOKEN", KEY)
    text = {
        "text": json.dumps(KEY),
        "env": '{ env = "MY_TOKEN" }',
        "file": f"{{ file = {json.dumps(str(tmp_path / 'token'))} }}",
    }[place]
    with FaultyServer(Answer(b'{"errors":["1 error occurred:\\n\\t* permission denied\\n\\n"]}', 403)) as server:
        path = tmp_path / "config.toml"
        path.write_text(f'backend = "vault"\n[vault]\naddresses = ["{server.url}"]\ntoken = {text}\n')
        with start(path) as system:
            hunt.failure("get", SecretsError, lambda: system.secrets.get("canaries/one", timeout=0.5))
            hunt.text("settings", "file", f"{system.settings!r} {system.settings}")
            hunt.objects("file", system)

    hunt.nothing_was_found(object=100)


@pytest.mark.slow
def test_the_command_line_lets_nothing_out(hunt: Hunt, tmp_path: Path) -> None:
    values, keys = Values.planted(hunt), some_keys()
    plant_keys(hunt, keys)
    hunt.plant("key", KEY)
    program = Program(tmp_path / "home")
    (tmp_path / "bad.toml").write_text(BAD_FILES["for a variable's name"])
    (tmp_path / "value").write_bytes(values.binary)

    def run(*arguments: str, on: Program = program, stdin: str = "") -> None:
        done = on("--verbose", *arguments, stdin=stdin.encode())
        hunt.text("command line", " ".join(arguments), done.stdout + done.stderr.encode())
        hunt.counts[f"ended with {done.status}"] += 1

    run("set", "canaries/one", stdin=values.text)
    run("set", "canaries/two", "--value-file", str(tmp_path / "value"))
    run("--json", "get", "canaries/one")
    run("list", "--include-deleted")
    run("set", "canaries/one", values.other)
    run("set", values.text, stdin=values.other)
    run("set", "canaries/one", stdin=values.long)
    run("--config", str(tmp_path / "bad.toml"), "list")
    with FaultyServer(aws_error("AccessDeniedException", text=values.text)) as server:
        on_aws = program.on_aws(server.url, keys).with_settings(AWS_ENDPOINT_URL_STS=server.url)
        run("set", "canaries/one", on=on_aws, stdin=values.other)
        run("doctor", on=on_aws)
    run("doctor")
    store = program.home / ".local" / "share" / "secrets-actor"
    hunt.files(program.home, store / "key")

    assert hunt.counts["ended with 0"] == 5
    assert hunt.counts["ended with 2"] == 3
    hunt.nothing_was_found(texts=10, file=1, **{"ended with 1": 1, "ended with 4": 1, "ended with 6": 1})


def test_keys_in_settings_made_in_code_do_not_show(hunt: Hunt) -> None:
    keys = some_keys()
    plant_keys(hunt, keys)

    settings = Settings(backend="aws_secrets_manager", aws=aws("http://127.0.0.1:1", keys))

    hunt.text("settings", "code", f"{settings!r} {settings} {settings.aws.secret_key!r} {settings.aws.secret_key}")
    hunt.nothing_was_found(settings=1)
