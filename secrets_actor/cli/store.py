"""`secrets-actor store`: what is done to a whole store, and to all that is in it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.cli import output
from secrets_actor.cli.failures import EPILOG, FAILED, exit_code

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options

TOML = click.Path(path_type=Path)


@click.group(epilog=EPILOG)
def store() -> None:
    """Look after a whole store: take its secrets elsewhere, and bring them back."""


@store.command(epilog=EPILOG)
@click.option("--to", "target", type=TOML, required=True, help="TOML file of the store that the secrets are copied to.")
@click.option("--from", "source", type=TOML, help="TOML file of the store they are in; without it as --config says.")
@click.option("--prefix", "prefixes", multiple=True, help="Only names that begin so; may be given several times.")
@click.option("--dry-run", is_flag=True, help="Read both stores and tell what would be done; write nothing.")
@click.option("--overwrite", is_flag=True, help="Put the source's values in the place of others at the target.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as with --json before the command.")
@click.pass_context
def migrate(
    context: click.Context,
    target: Path,
    source: Path | None,
    prefixes: tuple[str, ...],
    dry_run: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Copy all live secrets to another store, and compare.

    Current and previous versions, descriptions and tags go; keys, rotation rules, policies and copies in other regions
    do not. What is there already and equal is left alone, so after an interruption run it again. What is there with
    another value is a conflict: told by name, and never overwritten unless you say so.
    """
    from secrets_actor.cli.migration import run, stores

    options: Options = context.obj
    here, there = stores.settings_for(source or options.config, target)
    with stores.running(here) as old, stores.running(there) as new:
        names = run.names_of(old.secrets, prefixes)
        with _bar(len(names)) as advance:
            report = run.migrate(
                old.secrets,
                None if dry_run and not stores.is_there(there) else new.secrets,
                names,
                workers=there.max_workers,
                overwrite=overwrite,
                dry_run=dry_run,
                seen=lambda _result: advance(),
            )
    click.echo(output.as_json(report.facts()) if as_json or options.as_json else "\n".join(report.lines()))
    if not report.is_good:
        context.exit(FAILED if report.stopped_by is None else exit_code(report.stopped_by))


def _opens(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say with what an export is sealed and opened."""
    for name, told in (
        ("--key-file", "A key of 32 bytes: as they are, hex or base64."),
        ("--passphrase-file", "The passphrase."),
    ):
        command = click.option(name, type=TOML, help=f"{told} The file must be open to you alone.")(command)
    return command


@store.command(epilog=EPILOG)
@click.argument("file", type=TOML)
@_opens
@click.pass_obj
def export(options: Options, file: Path, passphrase_file: Path | None, key_file: Path | None) -> None:
    """Write all secrets of the local store to FILE, sealed.

    All their versions and values are in it, and what is scheduled for deletion. It is sealed with a passphrase, which
    is asked for, or with a key. FILE must not be there yet.
    """
    from secrets_actor.cli import sealing
    from secrets_actor.runtime.local_store import local_store
    from secrets_actor.runtime.settings_source import load

    with local_store(load(options.config)) as local:
        count = local.export_to(file, sealing.lock(passphrase_file, key_file, new=True))
    options.show({"file": str(file), "secrets": count})


@store.command("import", epilog=EPILOG)
@click.argument("file", type=TOML)
@_opens
@click.option("--overwrite", is_flag=True, help="Replace secrets of the same names.")
@click.pass_obj
def import_(options: Options, file: Path, passphrase_file: Path | None, key_file: Path | None, overwrite: bool) -> None:
    """Put all secrets of FILE, which 'store export' wrote, into the local store: all of them, or none.

    The whole file is verified first. Secrets that are there already are in the way, unless they are to be replaced.
    """
    from secrets_actor.cli import sealing
    from secrets_actor.runtime.local_store import local_store
    from secrets_actor.runtime.settings_source import load

    with local_store(load(options.config)) as local:
        done = local.import_from(file, sealing.lock(passphrase_file, key_file, new=False), overwrite=overwrite)
    options.show({"file": str(file), "secrets": done.secrets, "replaced": done.replaced, "expired": done.expired})


@contextmanager
def _bar(length: int) -> Iterator[Callable[[], object]]:
    """A progress bar on a terminal, and none elsewhere: what to call for each step."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with click.progressbar(length=length, label="secrets", file=sys.stderr, show_pos=True) as bar:
        yield lambda: bar.update(1)
