"""The commands that read secrets: `get`, `list`, `describe`, `versions` and `history`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.actor.prefetch_plan import Search
from secrets_actor.cli import output, value_io
from secrets_actor.cli.completion import secret_names
from secrets_actor.cli.exit_codes import EPILOG, PROGRAM
from secrets_actor.cli.store.options import json_option, passphrase_option
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import InvalidSecretValue, SecretNotFound, SecretsError
from secrets_actor.domain.results import SecretDescription, VersionInfo
from secrets_actor.domain.secret import Secret
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

_EVER: Final = datetime.min.replace(tzinfo=UTC)


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@click.option("--reveal", is_flag=True, help="Print the value, too, on one line; --raw prints it as it is.")
@click.option("--raw", is_flag=True, help="Print only the value: its bytes, without a newline.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="FIELD",
    help="Print only this field of a value that is a JSON object: a text as it is, without a newline; anything else as "
    "JSON. With --json, always as JSON. Given again, it is a field of that field.",
)
@click.option("--version-id", help="Get this version instead of the current one.")
@click.option("--stage", help="Get the version with this stage, such as AWSPREVIOUS.")
@passphrase_option
@json_option
@click.pass_obj
def get(
    options: Options,
    name: str,
    reveal: bool,
    raw: bool,
    keys: tuple[str, ...],
    version_id: str | None,
    stage: str | None,
) -> None:
    """Show the facts of NAME; its value only with --reveal, --raw or --key."""
    with options.secrets() as secrets:
        secret = secrets.get(name, version_id=version_id, stage=stage)
    if raw or keys:
        found = _field(secret, keys) if keys else secret.reveal()
        if keys and options.as_json:
            click.echo(output.as_json(found))
        else:
            value_io.write(found if isinstance(found, (str, bytes)) else output.as_json(found))
        return
    facts = output.secret_facts(secret)
    options.show({**facts, **output.value_of(secret)} if reveal else facts)


def _field(secret: Secret, keys: tuple[str, ...]) -> Any:
    """Return the field of the secret's JSON object to which *keys* lead.

    Raises `InvalidSecretValue` if there is no JSON object, and `SecretNotFound` if it has no such field.
    """
    found = secret.json()
    for key in keys:
        error: SecretsError | None = None
        if not isinstance(found, dict):
            error = InvalidSecretValue(f"what should have the field {key} is no JSON object: see the value with --raw")
        elif key not in found:
            error = SecretNotFound(f"the value of this secret has no field {key}; see the value with --raw")
        if error is not None:
            del found  # a traceback may show the variables of this frame
            raise error
        found = found[key]
    return found


@click.command("list", epilog=EPILOG)
@click.option("--prefix", default="", help="Only secrets whose names begin with this.")
@click.option(
    "--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="Only secrets with this tag; given again, with all."
)
@click.option("--include-deleted", is_flag=True, help="List also the secrets that are scheduled for deletion.")
@passphrase_option
@json_option
@click.pass_obj
def list_(options: Options, prefix: str, tags: tuple[str, ...], include_deleted: bool) -> None:
    """List the secrets, without values."""
    searches = [Search.of_prefix(prefix)] if prefix else []
    searches += map(Search.of_tag, tags)
    with options.secrets() as secrets:
        infos = list(_found(secrets, searches, include_deleted))
        hidden = not (infos or searches or include_deleted or options.as_json)
        deleted = len(secrets.list(include_deleted=True)) if hidden else 0
    if options.as_json:
        click.echo(output.as_json([output.info_facts(info) for info in infos]))
    elif infos:
        click.echo(output.info_table(infos))
    elif searches:
        click.echo(f"no secrets with {printable(' and '.join(map(str, searches)))}")
    elif deleted:
        click.echo(f"no live secrets, and {deleted} scheduled for deletion: see '{PROGRAM} list --include-deleted'")
    else:
        click.echo(f"no secrets yet: make one with '{PROGRAM} set NAME'")


def _found(secrets: Secrets, searches: list[Search], include_deleted: bool) -> Iterator[SecretDescription]:
    """Yield the secrets that all *searches* find, by name where there is a search."""
    if not searches:
        yield from secrets.list(include_deleted=include_deleted)
        return
    filters = [one for search in searches for one in search.page().filters]
    # Filters compare beginnings, and know no pair of key and value: each search looks again at what they let through.
    fitting = (
        info
        for info in secrets.iterate(filters, include_deleted=include_deleted)
        if all(search.fits(info.name, info.tags) for search in searches)
    )
    yield from sorted(fitting, key=lambda info: info.name)


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def describe(options: Options, name: str) -> None:
    """Show all that is known of NAME but its values: tags, versions, rotation, replicas, dates."""
    with options.secrets() as secrets:
        info = secrets.describe(name)
    facts = output.description_facts(info)
    options.show(facts if options.as_json else output.in_lines(facts))


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def versions(options: Options, name: str) -> None:
    """List the versions of NAME that have a stage, the newest first."""
    _show_versions(options, name, include_deprecated=False)


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@passphrase_option
@json_option
@click.pass_obj
def history(options: Options, name: str) -> None:
    """List all versions of NAME that the store still has, the newest first.

    A version without a stage can still be got by its --version-id, until the store drops it.
    """
    _show_versions(options, name, include_deprecated=True)


def _show_versions(options: Options, name: str, *, include_deprecated: bool) -> None:
    with options.secrets() as secrets:
        found = secrets.versions(name, include_deprecated=include_deprecated)
    newest_first = sorted(found, key=_age, reverse=True)
    if options.as_json:
        click.echo(output.as_json([output.version_facts(one) for one in newest_first]))
    else:
        click.echo(output.version_table(newest_first))


def _age(version: VersionInfo) -> tuple[datetime, bool]:
    """Return what versions are sorted by. Of two that are equally old, the current one is the newer."""
    return version.created_at or _EVER, "AWSCURRENT" in version.stages
