"""`store export` and `store import`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.cli.failures import EPILOG, FAILED
from secrets_actor.cli.store.attention import attended
from secrets_actor.cli.store.damage import told
from secrets_actor.cli.store.given import PATH, json_option, local_store, made_told, passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options


def _opens(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say with what an export is sealed and opened."""
    for name, what in (
        ("--key-file", "The key of the export, 32 bytes: as they are, hex or base64."),
        ("--passphrase-file", "The passphrase of the export."),
    ):
        command = click.option(name, type=PATH, help=f"{what} The file must be open to you alone.")(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@_opens
@click.option("--salvage", is_flag=True, help="Of a damaged store, leave out what does not open, and tell it.")
@passphrase_option
@json_option
@click.pass_context
def export(
    context: click.Context,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    salvage: bool,
    ask_passphrase: bool,
) -> None:
    """Write all secrets of the local store to FILE, sealed.

    All their versions and values are in it, as they are at one moment, and what is scheduled for deletion. It is sealed
    with a passphrase, which is asked for, or with a key, and opens without the store's. FILE must not be there yet.

    With --salvage it ends with 1 if anything was left out. Import FILE into a new store then.
    """
    from secrets_actor.backends.local.new_file import check_is_new
    from secrets_actor.cli import sealing

    options: Options = context.obj
    local = local_store(options, ask_passphrase)
    check_is_new(file)  # before anybody is asked for a passphrase
    local.check_is_there()
    with attended(f"interrupted; {file} is there whole, or not at all"):
        lock = sealing.lock(passphrase_file, key_file, new=True)
        if not salvage:
            options.show({"file": str(file), "secrets": local.export_to(file, lock)})
            return
        done = local.salvage_to(file, lock)
    damage = told(done.left, as_json=options.as_json)
    options.show({"file": str(file), "secrets": done.secrets, "left": len(done.left), **damage})
    if done.left:
        context.exit(FAILED)


@click.command("import", epilog=EPILOG)
@click.argument("file", type=PATH)
@_opens
@click.option("--overwrite", is_flag=True, help="Replace secrets of the same names.")
@passphrase_option
@json_option
@click.pass_obj
def import_(
    options: Options,
    file: Path,
    passphrase_file: Path | None,
    key_file: Path | None,
    overwrite: bool,
    ask_passphrase: bool,
) -> None:
    """Put all secrets of FILE, which 'store export' wrote, into the local store: all of them, or none.

    The whole file is verified first. Secrets that are there already are in the way, unless they are to be replaced.
    """
    from secrets_actor.cli import sealing

    with made_told(options) as note, attended("interrupted; all of it was imported, or nothing"):
        local = local_store(options, ask_passphrase, observe=note)
        done = local.import_from(file, sealing.lock(passphrase_file, key_file, new=False), overwrite=overwrite)
    options.show({"file": str(file), "secrets": done.secrets, "replaced": done.replaced, "expired": done.expired})
