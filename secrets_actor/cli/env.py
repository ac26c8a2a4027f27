"""`secrets-actor env`: secrets out to a `.env` file, and in from one.

A target that ends with a slash stands for the secrets whose names begin so, one for each variable. Any other target is
one secret whose value is a JSON object, with a field for each variable.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.actor.prefetch_plan import Search
from secrets_actor.cli import output, value_io
from secrets_actor.cli.completion import secret_names
from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.client.secrets import Secrets
from secrets_actor.delivery.env_files import read_env, without_double, write_env
from secrets_actor.domain.errors import InvalidSecretValue, SecretNotFound
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.secret import SecretValue

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options


@click.group(epilog=EPILOG)
def env() -> None:
    """Bring secrets into .env files, and out of them.

    'env export app/' prints a line for each secret whose name begins with app/, and 'env import FILE app/' makes a
    secret of each line. Without the slash, 'app' is one secret, whose value is a JSON object with a field for each
    line.
    """


@env.command("export", epilog=EPILOG)
@click.argument("target", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def export(options: Options, target: str) -> None:
    """Print the secrets below TARGET/, or the fields of the secret TARGET, as lines NAME='value'.

    Read them with a shell (set -a; . ./FILE) or a dotenv library. db-password becomes DB_PASSWORD. With --json, prints
    an object.
    """
    with options.secrets() as secrets:
        texts = _below(secrets, target) if _is_many(target) else _fields(secrets, target)
    names = without_double(texts)
    variables = {names[name]: text for name, text in texts.items()}
    click.echo(output.as_json(variables) if options.as_json else write_env(variables), nl=options.as_json)


def _below(secrets: Secrets, prefix: str) -> dict[str, str]:
    """Return the texts of the secrets whose names begin with *prefix*, by the rest of their names."""
    search = Search.of_prefix(prefix)
    names = sorted(info.name for info in secrets.iterate(search.page().filters) if search.fits(info.name, info.tags))
    if not names:
        raise SecretNotFound(f"there is no secret below {prefix}")
    found = secrets.get_many(names)
    for error in found.errors.values():
        raise error
    for name in names:
        _check_is_variable(found.found[name].value, name)
    return {name.removeprefix(prefix): found.found[name].text() for name in names}


def _fields(secrets: Secrets, name: str) -> dict[str, str]:
    """Return the fields of the JSON object that is the value of the secret *name*, as texts."""
    found = secrets.get(name).json()
    if not isinstance(found, dict):
        del found  # a traceback may show the variables of this frame
        raise InvalidSecretValue(f"the value of {name} is no JSON object; for all secrets below it, say {name}/")
    return {key: value if isinstance(value, str) else output.as_json(value) for key, value in found.items()}


def _check_is_variable(value: SecretValue, name: str) -> None:
    if not value.is_text or "\0" in value.text():
        raise InvalidSecretValue(f"{name} is binary, and no variable can hold it: see 'get --raw'")


@env.command("import", epilog=EPILOG)
@click.argument("file", type=value_io.PlacePath(exists=True, dir_okay=False, allow_dash=True))
@click.argument("target", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def import_(options: Options, file: Path, target: str) -> None:
    """Store each line NAME=value of FILE (- is standard input) as the secret TARGET/NAME, or as a field of TARGET.

    What has the same value already is left as it is. Nothing is deleted. FILE holds the values in clear: delete it.
    """
    variables = read_env(value_io.read_file(file))
    # All names and values are looked at before the first is written.
    single = {SecretId(f"{target}{name}"): SecretValue(text) for name, text in variables.items() if _is_many(target)}
    with options.secrets() as secrets:
        if _is_many(target):
            changed = [str(name) for name, value in single.items() if _set(secrets, name, value)]
        else:
            changed = _set_fields(secrets, target, variables)
    options.show({"target": target, "variables": len(variables), "changed": changed})


def _is_many(target: str) -> bool:
    return target.endswith("/")


def _set(secrets: Secrets, name: str, value: SecretValue) -> bool:
    """Store *value* as that of *name*, unless it is already. Returns whether it was stored."""
    try:
        if secrets.get(name, refresh=True).value == value:
            return False
    except SecretNotFound:
        pass
    secrets.set(name, value)
    return True


def _set_fields(secrets: Secrets, name: str, variables: dict[str, str]) -> list[str]:
    """Set fields of the JSON object that is the value of *name*, and keep its others. Returns those that changed."""
    SecretId(name)
    try:
        kept = secrets.get(name, refresh=True).json()
    except SecretNotFound:
        kept = {}
    if not isinstance(kept, dict):
        del kept, variables
        raise InvalidSecretValue(f"the value of {name} is no JSON object; for a secret each line, say {name}/")
    changed = [field for field, text in variables.items() if kept.get(field) != text]
    if changed:
        secrets.set(name, output.as_json(kept | variables))
    return changed
