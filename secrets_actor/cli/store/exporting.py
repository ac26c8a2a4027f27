"""`store export` and `store import`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.cli.failures import EPILOG
from secrets_actor.cli.store.attention import attended
from secrets_actor.cli.store.given import PATH, json_option, local_store, passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options


def _opens(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say with what an export is sealed and opened."""
    for name, told in (
        ("--key-file", "The key of the export, 32 bytes: as they are, hex or base64."),
        ("--passphrase-file", "The passphrase of the export."),
    ):
        command = click.option(name, type=PATH, help=f"{told} The file must be open to you alone.")(command)
    return command


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@_opens
@passphrase_option
@json_option
@click.pass_obj
def export(
    options: Options, file: Path, passphrase_file: Path | None, key_file: Path | None, ask_passphrase: bool
) -> None:
    """Write all secrets of the local store to FILE, sealed.

    All their versions and values are in it, as they are at one moment, and what is scheduled for deletion. It is sealed
    with a passphrase, which is asked for, or with a key, and opens without the store's. FILE must not be there yet.
    """
    from secrets_actor.backends.local.new_file import check_is_new
    from secrets_actor.cli import sealing

    local = local_store(options, ask_passphrase)
    check_is_new(file)  # before anybody is asked for a passphrase
    local.check_is_there()
    with attended(f"interrupted; {file} is there whole, or not at all"):
        count = local.export_to(file, sealing.lock(passphrase_file, key_file, new=True))
    options.show({"file": str(file), "secrets": count})


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

    local = local_store(options, ask_passphrase)
    with attended("interrupted; all of it was imported, or nothing"):
        done = local.import_from(file, sealing.lock(passphrase_file, key_file, new=False), overwrite=overwrite)
    options.show({"file": str(file), "secrets": done.secrets, "replaced": done.replaced, "expired": done.expired})
