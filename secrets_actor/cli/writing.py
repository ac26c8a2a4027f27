"""The commands that change secrets: values, facts, stages, tags, rotation, deletion; and `generate`.

Rule: a value is never an argument (see value_io.py). Commands that are given one allow extra arguments, so that a value
that was put there all the same is refused without being quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from secrets_actor.cli import output, value_io
from secrets_actor.cli.completion import secret_names
from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.store.options import facts_without_none, json_option, passphrase_option
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.operations import Generated, RandomPassword
from secrets_actor.domain.results import RotationRules

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

_WITH_VALUE: dict[str, Any] = {"allow_extra_args": True}
_DESCRIPTION = click.option("--description", help="What the secret is for; AWS keeps it unencrypted.")
_TAGS = click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be given again.")
_KMS_KEY = click.option(
    "--kms-key", "kms_key_id", metavar="KEY", help="AWS only: the KMS key that encrypts the values."
)


def _tags_of(given: tuple[str, ...]) -> dict[str, str]:
    """Return tags that were given as KEY=VALUE. A key without a value has an empty one. Raises `UsageError`."""
    found: dict[str, str] = {}
    for one in given:
        key, _, value = one.partition("=")
        if key in found:
            raise click.UsageError(f"The tag {key} is given twice.")
        found[key] = value
    return found


@click.command("set", epilog=EPILOG, context_settings=_WITH_VALUE)
@click.argument("name", shell_complete=secret_names)
@value_io.value_options
@_DESCRIPTION
@_TAGS
@click.option("--restore", is_flag=True, help="If NAME is scheduled for deletion, restore it first.")
@passphrase_option
@json_option
@click.pass_context
def set_(
    context: click.Context,
    name: str,
    value_file: Path | None,
    binary: bool,
    description: str | None,
    tags: tuple[str, ...],
    restore: bool,
) -> None:
    """Store a value as the current version of NAME, which is created if there is none. Tags are for a new one only.

    The value comes from a prompt, from --value-file, or from standard input (one newline at its end is left
    out). It is never an argument: arguments show in the process list and in the shell's history. A value that is not
    UTF-8 is kept as bytes.
    """
    value_io.no_value_as_argument(context)
    options: Options = context.obj
    tagged = _tags_of(tags)
    with options.secrets() as secrets:
        secret_id = SecretId(name)  # a bad name is refused before anybody types a value
        value = value_io.read(value_file, binary, name)
        receipt = secrets.set(secret_id, value, description=description, tags=tagged or None, restore_on_set=restore)
    options.show({"name": receipt.name, "version_id": receipt.version_id, "created": receipt.created})


@click.command(epilog=EPILOG, context_settings=_WITH_VALUE)
@click.argument("name")
@value_io.value_options
@_DESCRIPTION
@_TAGS
@_KMS_KEY
@passphrase_option
@json_option
@click.pass_context
def create(
    context: click.Context,
    name: str,
    value_file: Path | None,
    binary: bool,
    description: str | None,
    tags: tuple[str, ...],
    kms_key_id: str | None,
) -> None:
    """Create NAME with a first value; refuse if there is such a secret. 'set' says where the value comes from."""
    value_io.no_value_as_argument(context)
    options: Options = context.obj
    tagged = _tags_of(tags)
    with options.secrets() as secrets:
        secret_id = SecretId(name)
        value = value_io.read(value_file, binary, name)
        receipt = secrets.create(secret_id, value, description=description, tags=tagged or None, kms_key_id=kms_key_id)
    options.show({"name": receipt.name, "version_id": receipt.version_id, "created": receipt.created})


@click.command(epilog=EPILOG, context_settings=_WITH_VALUE)
@click.argument("name", shell_complete=secret_names)
@value_io.value_options
@click.option(
    "--stage", "stages", multiple=True, help="A stage of the new version, in place of AWSCURRENT; may be given again."
)
@passphrase_option
@json_option
@click.pass_context
def put(context: click.Context, name: str, value_file: Path | None, binary: bool, stages: tuple[str, ...]) -> None:
    """Add a version to NAME, which must exist. 'set' says where the value comes from."""
    value_io.no_value_as_argument(context)
    options: Options = context.obj
    with options.secrets() as secrets:
        secret_id = SecretId(name)
        receipt = secrets.put(secret_id, value_io.read(value_file, binary, name), stages=stages or None)
    options.show({"name": receipt.name, "version_id": receipt.version_id, "stages": list(receipt.stages)})


@click.command(epilog=EPILOG, context_settings=_WITH_VALUE)
@click.argument("name", shell_complete=secret_names)
@value_io.value_options
@_DESCRIPTION
@_KMS_KEY
@passphrase_option
@json_option
@click.pass_context
def update(
    context: click.Context,
    name: str,
    value_file: Path | None,
    binary: bool,
    description: str | None,
    kms_key_id: str | None,
) -> None:
    """Change the description or the KMS key of NAME; its value, too, with --value-file."""
    value_io.no_value_as_argument(context)
    options: Options = context.obj
    with options.secrets() as secrets:
        secret_id = SecretId(name)
        value = None if value_file is None else value_io.read(value_file, binary, name)
        receipt = secrets.update(secret_id, value, description=description, kms_key_id=kms_key_id)
    options.show(facts_without_none({"name": receipt.name, "version_id": receipt.version_id, "updated": True}))


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@click.option(
    "--recovery-window",
    type=int,
    metavar="DAYS",
    help="How long it can be restored: 7 to 30 days; 30 if not configured.",
)
@click.option("--force", is_flag=True, help="Delete at once and for good.")
@passphrase_option
@json_option
@click.pass_obj
def delete(options: Options, name: str, recovery_window: int | None, force: bool) -> None:
    """Delete NAME; 'restore' brings it back while its recovery window lasts."""
    with options.secrets() as secrets:
        receipt = secrets.delete(name, recovery_window=recovery_window, force=force)
    options.show({"name": receipt.name, "gone_on": output.moment(receipt.deletion_date)})


@click.command(epilog=EPILOG)
@click.argument("name")
@passphrase_option
@json_option
@click.pass_obj
def restore(options: Options, name: str) -> None:
    """Call off the deletion of NAME."""
    with options.secrets() as secrets:
        receipt = secrets.restore(name)
    options.show({"name": receipt.name, "restored": True})


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@click.argument("tags", nargs=-1, required=True, metavar="KEY=VALUE...")
@passphrase_option
@json_option
@click.pass_obj
def tag(options: Options, name: str, tags: tuple[str, ...]) -> None:
    """Add tags to NAME, or change their values."""
    _show_tags(options, name, _tags_of(tags), ())


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@passphrase_option
@json_option
@click.pass_obj
def untag(options: Options, name: str, keys: tuple[str, ...]) -> None:
    """Remove tags from NAME."""
    _show_tags(options, name, {}, keys)


def _show_tags(options: Options, name: str, tags: Mapping[str, str], keys: tuple[str, ...]) -> None:
    with options.secrets() as secrets:
        if tags:
            secrets.tag(name, tags)
        else:
            secrets.untag(name, keys)
    options.show({"name": name, "tagged": sorted(tags)} if tags else {"name": name, "untagged": sorted(keys)})


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=secret_names)
@click.option(
    "--generate",
    type=click.Choice([one.value for one in Generated]),
    help="Make the new value here: it needs no function.",
)
@click.option("--length", type=int, help="Characters of a generated password; 32 if not given.")
@click.option("--function", "lambda_arn", metavar="ARN", help="AWS only: the rotation function from now on.")
@click.option("--every", "days", type=int, metavar="DAYS", help="AWS only: rotate so often from now on.")
@click.option("--schedule", metavar="RATE", help="AWS only: rotate by this rate(...) or cron(...) from now on.")
@click.option("--window", metavar="HOURS", help="AWS only: how long a rotation of the schedule may take, such as 3h.")
@click.option("--later", is_flag=True, help="AWS only: not now, but when the schedule says.")
@click.option("--cancel", is_flag=True, help="AWS only: turn automatic rotation off.")
@passphrase_option
@json_option
@click.pass_obj
def rotate(
    options: Options,
    name: str,
    generate: str | None,
    length: int | None,
    lambda_arn: str | None,
    days: int | None,
    schedule: str | None,
    window: str | None,
    later: bool,
    cancel: bool,
) -> None:
    """Give NAME a new value: by its rotation function in AWS, or by --generate."""
    scheduled = (lambda_arn, days, schedule, window)
    if cancel and (generate or later or length is not None or any(scheduled)):
        raise click.UsageError("--cancel goes with no other option.")
    if length is not None and generate != Generated.PASSWORD:
        raise click.UsageError("--length is for --generate password.")
    rules = RotationRules(days, schedule, window) if days or schedule or window else None
    password = None if length is None else RandomPassword(length=length)
    with options.secrets() as secrets:
        if cancel:
            version_id = secrets.cancel_rotation(name).version_id
        elif generate is None:
            receipt = secrets.rotate(name, lambda_arn=lambda_arn, rules=rules, immediately=not later)
            version_id = receipt.version_id
        elif later or any(scheduled):
            raise click.UsageError("--generate goes with no option of AWS's rotation.")
        else:
            version_id = secrets.rotate(name, generate=Generated.of(generate).value, password=password).version_id
    options.show(facts_without_none({"name": name, "version_id": version_id, "rotation": not cancel}))


@click.command(epilog=EPILOG)
@click.option(
    "--set", "name", shell_complete=secret_names, metavar="NAME", help="Store it as the value of NAME, and print none."
)
@click.option("--length", type=int, default=32, show_default=True, help="How many characters: 1 to 4096.")
@click.option("--exclude", default="", metavar="CHARACTERS", help="Characters that it must not have.")
@click.option("--no-lowercase", is_flag=True, help="Without a to z.")
@click.option("--no-uppercase", is_flag=True, help="Without A to Z.")
@click.option("--no-numbers", is_flag=True, help="Without 0 to 9.")
@click.option("--no-punctuation", is_flag=True, help="Without punctuation.")
@click.option("--space", is_flag=True, help="Also with the space.")
@passphrase_option
@json_option
@click.pass_obj
def generate(
    options: Options,
    name: str | None,
    length: int,
    exclude: str,
    no_lowercase: bool,
    no_uppercase: bool,
    no_numbers: bool,
    no_punctuation: bool,
    space: bool,
) -> None:
    """Print a random password from the store's generator, with each kind of characters in it; or --set it."""
    wanted = RandomPassword(
        length=length,
        exclude=exclude,
        lowercase=not no_lowercase,
        uppercase=not no_uppercase,
        numbers=not no_numbers,
        punctuation=not no_punctuation,
        space=space,
    )
    with options.secrets() as secrets:
        secret_id = None if name is None else SecretId(name)
        password = secrets.random_password(wanted)
        receipt = None if secret_id is None else secrets.set(secret_id, password)
    if receipt is not None:
        options.show({"name": receipt.name, "version_id": receipt.version_id, "created": receipt.created})
    elif options.as_json:
        click.echo(output.as_json({"password": password.text()}))
    else:
        click.echo(password.text())
