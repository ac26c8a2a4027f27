"""`store backup` and `store restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from secrets_actor.cli.failures import EPILOG
from secrets_actor.cli.store.attention import attended
from secrets_actor.cli.store.given import PATH, facts_without_none, json_option, local_store, passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@json_option
@click.pass_obj
def backup(options: Options, file: Path) -> None:
    """Copy the local store to the new file FILE, as it is at one moment, whoever writes meanwhile.

    The copy is sealed as the store is, and needs no key to be made. The key is not in it: keep a copy of that
    elsewhere. For a file that opens with a key or passphrase of its own, see 'export'.
    """
    local = local_store(options, ask_passphrase=False)
    with attended(f"interrupted; {file} is there whole, or not at all"):
        size = local.backup(file)
    options.show({"file": str(file), "bytes": size, "key": f"not in it: {local.source}"})


@click.command(epilog=EPILOG)
@click.argument("file", type=PATH)
@click.option("--replace", is_flag=True, help="What is in the store now may go.")
@passphrase_option
@json_option
@click.pass_obj
def restore(options: Options, file: Path, replace: bool, ask_passphrase: bool) -> None:
    """Make the local store what it was when FILE, which 'store backup' wrote, was copied.

    The key that FILE was sealed under must be where local.key says. The whole copy is verified first, and comes in at
    once or not at all; programs that use the store see it when their cache asks again. A store that
    has secrets, or is damaged, is only replaced with --replace; a damaged file is put aside, and you are told where.
    """
    local = local_store(options, ask_passphrase)
    with attended("interrupted; the store is as it was, or as the copy is, and nothing in between"):
        done = local.restore(file, replace=replace)
    facts = {
        "folder": str(local.folder),
        "secrets": done.verification.secrets,
        "versions": done.verification.versions,
        "unfinished": done.verification.unfinished,
        "put_aside": None if done.aside is None else str(done.aside),
    }
    options.show(facts if options.as_json else facts_without_none(facts))
