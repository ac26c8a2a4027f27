"""`secrets-actor`: the commands of the program.

Most commands start the tree, send it one or two requests through the client, and stop it. `store` is in cli/store.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from msgspec import Struct

from secrets_actor.cli import output, value_io
from secrets_actor.cli.caller import caller
from secrets_actor.cli.exit_codes import EPILOG, FAILED, PROGRAM, USAGE, run, written
from secrets_actor.cli.store import store
from secrets_actor.cli.store.options import made_stores_shown, passphrase_option, settings_with_typed_key
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.names import SecretId
from secrets_actor.domain.ports import BackendFactory
from secrets_actor.otp import Observer
from secrets_actor.runtime.local_factory import local_factory_for
from secrets_actor.runtime.settings import Settings
from secrets_actor.runtime.system import System


class Options(Struct, frozen=True):
    """The options that stand before the command, which all commands share."""

    config: Path | None
    as_json: bool
    ask_passphrase: bool = False

    @contextmanager
    def secrets(self) -> Iterator[Secrets]:
        """Start a system, and give its client, with the user of the command line as caller."""
        with self.system() as system:
            yield system.secrets.for_caller(caller())

    @contextmanager
    def system(self) -> Iterator[System]:
        """Start a system, and stop it at the end.

        After a Ctrl-C it is stopped at once, without waiting for operations under way: a user who interrupts does not
        want to wait. If a store was made on the way, the user is told.
        """
        with made_stores_shown(self) as note:
            settings, factory = self.store(note)
            with System(settings, observer=note, backend=factory) as system:
                try:
                    yield system
                except KeyboardInterrupt:
                    system.stop(0)
                    raise

    def store(self, observe: Observer | None = None) -> tuple[Path | Settings | None, BackendFactory | None]:
        """Return the settings, or the file of them, and a backend factory, or None for the one that they configure.

        There is a factory only for a local store whose passphrase is typed.
        """
        if not self.ask_passphrase:
            return self.config, None
        settings, key = settings_with_typed_key(self.config)
        return settings, local_factory_for(settings.local, observe, key)

    def show(self, facts: dict[str, Any]) -> None:
        """Print *facts*, as JSON or as lines."""
        click.echo(output.as_json(facts) if self.as_json else output.as_lines(facts))


def _show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    import secrets_actor

    click.echo(f"{PROGRAM} {secrets_actor.__version__}")
    context.exit()


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file of the configuration; without it, the file in SECRETS_ACTOR_CONFIG, or the defaults.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts; errors too.")
@click.option("--verbose", is_flag=True, help="Show the audit and life-cycle records on standard error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def cli(context: click.Context, config: Path | None, as_json: bool, verbose: bool) -> None:
    """Keep secrets, through a supervised secrets actor.

    Without a configuration, they are kept in an encrypted store on this machine.
    """
    ours = logging.getLogger("secrets_actor")
    shown = logging.StreamHandler() if verbose else logging.NullHandler()
    shown.setFormatter(output.LogLines(as_json))
    ours.addHandler(shown)
    if verbose:
        ours.setLevel(logging.DEBUG)
    context.obj = Options(config, as_json)


@cli.command("set", epilog=EPILOG, context_settings={"allow_extra_args": True})
@click.argument("name")
@click.option(
    "--value-file",
    type=value_io.PlacePath(exists=True, dir_okay=False),
    help="Take the value from this file, byte for byte.",
)
@click.option("--binary", is_flag=True, help="Keep the value as bytes even if it is text.")
@click.option("--description", help="What the secret is for; AWS keeps it unencrypted.")
@passphrase_option
@click.pass_context
def set_(context: click.Context, name: str, value_file: Path | None, binary: bool, description: str | None) -> None:
    """Store a value as the current version of NAME.

    The value comes from a prompt, from --value-file, or from standard input (one newline at its end is left
    out). It is never an argument: arguments show in the process list and in the shell's history. A value that is not
    UTF-8 is kept as bytes.
    """
    if context.args:  # not quoted: it is a value, most likely
        raise click.UsageError(
            "A value is never an argument; type it, or give standard input or --value-file.", context
        )
    options: Options = context.obj
    with options.secrets() as secrets:
        secret_id = SecretId(name)  # a bad name is refused before anybody types a value
        receipt = secrets.set(secret_id, value_io.read(value_file, binary), description=description)
    options.show({"name": receipt.name, "version_id": receipt.version_id, "created": receipt.created})


@cli.command(epilog=EPILOG)
@click.argument("name")
@click.option("--reveal", is_flag=True, help="Print the value, too, on one line; --raw prints it as it is.")
@click.option("--raw", is_flag=True, help="Print only the value: its bytes, without a newline.")
@click.option("--version-id", help="Get this version instead of the current one.")
@click.option("--stage", help="Get the version with this stage, such as AWSPREVIOUS.")
@passphrase_option
@click.pass_obj
def get(options: Options, name: str, reveal: bool, raw: bool, version_id: str | None, stage: str | None) -> None:
    """Show the facts of NAME; its value only with --reveal or --raw."""
    with options.secrets() as secrets:
        secret = secrets.get(name, version_id=version_id, stage=stage)
    if raw:
        value_io.write(secret.value)
        return
    facts = output.secret_facts(secret)
    options.show({**facts, **output.value_of(secret)} if reveal else facts)


@cli.command("list", epilog=EPILOG)
@click.option("--include-deleted", is_flag=True, help="List also the secrets that are scheduled for deletion.")
@passphrase_option
@click.pass_obj
def list_(options: Options, include_deleted: bool) -> None:
    """List all secrets, without values."""
    with options.secrets() as secrets:
        infos = secrets.list(include_deleted=include_deleted)
        deleted = 0 if infos or include_deleted or options.as_json else len(secrets.list(include_deleted=True))
    if options.as_json:
        click.echo(output.as_json([output.info_facts(info) for info in infos]))
    elif infos:
        click.echo(output.info_table(infos))
    elif deleted:
        click.echo(f"no live secrets, and {deleted} scheduled for deletion: see '{PROGRAM} list --include-deleted'")
    else:
        click.echo(f"no secrets yet: make one with '{PROGRAM} set NAME'")


@cli.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--recovery-window",
    type=int,
    metavar="DAYS",
    help="How long it can be restored: 7 to 30 days; 30 if not configured.",
)
@click.option("--force", is_flag=True, help="Delete at once and for good.")
@passphrase_option
@click.pass_obj
def delete(options: Options, name: str, recovery_window: int | None, force: bool) -> None:
    """Delete NAME; 'restore' brings it back while its recovery window lasts."""
    with options.secrets() as secrets:
        receipt = secrets.delete(name, recovery_window=recovery_window, force=force)
    options.show({"name": receipt.name, "gone_on": output.moment(receipt.deletion_date)})


@cli.command(epilog=EPILOG)
@click.argument("name")
@passphrase_option
@click.pass_obj
def restore(options: Options, name: str) -> None:
    """Call off the deletion of NAME."""
    with options.secrets() as secrets:
        receipt = secrets.restore(name)
    options.show({"name": receipt.name, "restored": True})


@cli.command(epilog=EPILOG)
@click.option("--watch", "watching", is_flag=True, help="Draw the tree again and again, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch draws.",
)
@passphrase_option
@click.pass_obj
def tree(options: Options, watching: bool, every: float) -> None:
    """Draw the supervision tree of a system that is started for it.

    The tree of a program that runs is drawn by that program: print(system.tree()).
    """
    from secrets_actor.cli.demo import settled
    from secrets_actor.cli.watch_tree import watch

    with options.system() as system:
        if watching:
            watch(system, every, options.as_json)
            return
        picture = settled(system)
    click.echo(output.as_json(output.tree_facts(picture)) if options.as_json else output.drawing(picture))


@cli.command(epilog=EPILOG)
@click.option(
    "--seconds",
    type=click.FloatRange(1, 600),
    default=60.0,
    show_default=True,
    help="How long all the checks may take.",
)
@click.option(
    "--prefix",
    help="Try the permissions on a name that begins with this, and that no secret has. Without it: the prefix of the "
    "names in the configured prefetch, or app/.",
)
@passphrase_option
@click.pass_context
def doctor(context: click.Context, seconds: float, prefix: str | None) -> None:
    """Check everything that the configured store needs, and say what to mend.

    Changes nothing. Ends with 1 if there is a fault. With --json, prints one object a line.
    """
    from secrets_actor.cli.doctor import report

    options: Options = context.obj
    if not report(options.config, prefix, seconds, options.as_json, options.ask_passphrase):
        context.exit(FAILED)


@cli.command(epilog=EPILOG)
@click.pass_obj
def demo(options: Options) -> None:
    """Show the whole system at work, on an encrypted store in a temporary folder.

    With --json, prints one object a line.
    """
    from secrets_actor.cli.demo import JsonTeller, TextTeller, perform

    perform(JsonTeller() if options.as_json else TextTeller())


cli.add_command(store)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program with *arguments* (None: those of the process), and end the process with the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    output.ready_streams()
    status = run(lambda: _carry_out(given or ["--help"]), json="--json" in given)
    sys.exit(written(status if given else status or USAGE))


def _carry_out(arguments: list[str]) -> None:
    # Not `cli.main()`: how that ends after a broken pipe differs from one version of click to the next.
    with cli.make_context(PROGRAM, list(arguments)) as context:  # a copy: click removes what it has parsed
        cli.invoke(context)
