"""`secrets-actor`: the commands. Each starts the tree, asks it one thing through the client, and stops it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from secrets_actor.cli import output
from secrets_actor.cli.failures import EXIT_CODES, reported
from secrets_actor.domain.errors import InvalidSecretValue
from secrets_actor.domain.secret import SecretValue
from secrets_actor.runtime.system import System

EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code}  {meaning}" for code, meaning in EXIT_CODES.items())


@dataclass(frozen=True, slots=True)
class Options:
    """What stands before the command."""

    config: Path | None
    as_json: bool

    @contextmanager
    def system(self) -> Iterator[System]:
        """A running system; errors leave as one line and an exit code."""
        with reported(self.as_json), System(self.config) as system:
            yield system

    def show(self, facts: dict[str, Any]) -> None:
        """Print facts."""
        click.echo(output.as_json(facts) if self.as_json else output.as_lines(facts))


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", type=click.Path(path_type=Path), help="TOML file; without it SECRETS_ACTOR_CONFIG or defaults."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts; errors too.")
@click.option("--verbose", is_flag=True, help="Show the audit and life-cycle records on standard error.")
@click.version_option(package_name="secrets-actor")
@click.pass_context
def cli(context: click.Context, config: Path | None, as_json: bool, verbose: bool) -> None:
    """Keep secrets, through a supervised secrets actor.

    Without a configuration they are kept in an encrypted store on this machine.
    """
    ours = logging.getLogger("secrets_actor")
    ours.addHandler(logging.StreamHandler() if verbose else logging.NullHandler())
    if verbose:
        ours.setLevel(logging.DEBUG)
    context.obj = Options(config, as_json)


@cli.command("set", epilog=EPILOG)
@click.argument("name")
@click.option(
    "--value-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take the value from this file, byte for byte.",
)
@click.option("--binary", is_flag=True, help="Keep the value as bytes even if it is text.")
@click.option("--description", help="What the secret is for; not encrypted.")
@click.pass_obj
def set_(options: Options, name: str, value_file: Path | None, binary: bool, description: str | None) -> None:
    """Store a value as the current version of NAME.

    The value comes from a prompt, from --value-file, or from standard input (without one newline at its end). It is
    never an argument: those show in the process list and the shell's history. What is not UTF-8 is kept as bytes.
    """
    with options.system() as system:
        receipt = system.secrets.set(name, _value(value_file, binary), description=description)
    options.show({"name": receipt.name, "version_id": receipt.version_id, "created": receipt.created})


def _value(value_file: Path | None, binary: bool) -> SecretValue:
    if value_file is not None:
        return _as_value(_read(value_file), binary)
    stdin = sys.stdin.buffer
    if stdin.isatty():
        typed: str = click.prompt("Value", hide_input=True, confirmation_prompt=True, err=True)
        return _as_value(typed.encode(), binary)
    return _as_value(stdin.read().removesuffix(b"\n").removesuffix(b"\r"), binary)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        problem = error.strerror
    raise InvalidSecretValue(f"the value file {path} cannot be read: {problem}")


def _as_value(value: bytes, binary: bool) -> SecretValue:
    try:
        return SecretValue(value if binary else value.decode())
    except UnicodeDecodeError:
        pass
    return SecretValue(value)


@cli.command(epilog=EPILOG)
@click.argument("name")
@click.option("--reveal", is_flag=True, help="Print the value, too.")
@click.option("--raw", is_flag=True, help="Print only the value: its bytes, without a newline.")
@click.option("--version-id", help="This version instead of the current one.")
@click.option("--stage", help="The version with this stage, such as AWSPREVIOUS.")
@click.pass_obj
def get(options: Options, name: str, reveal: bool, raw: bool, version_id: str | None, stage: str | None) -> None:
    """Show what is known of NAME; its value only with --reveal or --raw."""
    with options.system() as system:
        secret = system.secrets.get(name, version_id=version_id, stage=stage)
    if raw:
        value = secret.reveal()
        stdout = sys.stdout.buffer
        stdout.write(value.encode() if isinstance(value, str) else value)
        stdout.flush()
        return
    facts = output.secret_facts(secret)
    options.show({**facts, **output.value_of(secret)} if reveal else facts)


@cli.command("list", epilog=EPILOG)
@click.option("--include-deleted", is_flag=True, help="Also those that are scheduled for deletion.")
@click.pass_obj
def list_(options: Options, include_deleted: bool) -> None:
    """List all secrets, without values."""
    with options.system() as system:
        infos = system.secrets.list(include_deleted=include_deleted)
    if options.as_json:
        click.echo(output.as_json([output.info_facts(info) for info in infos]))
    else:
        click.echo(output.info_table(infos) if infos else "no secrets yet: make one with 'secrets-actor set NAME'")


@cli.command(epilog=EPILOG)
@click.argument("name")
@click.option("--recovery-window", type=int, metavar="DAYS", help="Restorable for 7 to 30 days; 30 if not configured.")
@click.option("--force", is_flag=True, help="At once and for good.")
@click.pass_obj
def delete(options: Options, name: str, recovery_window: int | None, force: bool) -> None:
    """Delete NAME; 'restore' brings it back while its recovery window lasts."""
    with options.system() as system:
        receipt = system.secrets.delete(name, recovery_window=recovery_window, force=force)
    options.show({"name": receipt.name, "gone_on": output.moment(receipt.deletion_date)})


@cli.command(epilog=EPILOG)
@click.argument("name")
@click.pass_obj
def restore(options: Options, name: str) -> None:
    """Call off the deletion of NAME."""
    with options.system() as system:
        receipt = system.secrets.restore(name)
    options.show({"name": receipt.name, "restored": True})


@cli.command(epilog=EPILOG)
@click.pass_obj
def tree(options: Options) -> None:
    """Start the configured system and draw its supervision tree."""
    with options.system() as system:
        picture = system.tree()
    click.echo(output.as_json(output.tree_facts(picture)) if options.as_json else str(picture))


@cli.command(epilog=EPILOG)
@click.pass_obj
def demo(options: Options) -> None:
    """Show the whole thing at work, on an encrypted store in a temporary folder."""
    from secrets_actor.cli.demo import run

    with reported(options.as_json):
        run(click.echo)


def main() -> None:
    """The program's entry point."""
    cli(prog_name="secrets-actor")
