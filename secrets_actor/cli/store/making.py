"""`store init` and `store verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from secrets_actor.cli import output
from secrets_actor.cli.failures import EPILOG, FAILED
from secrets_actor.cli.store.attention import attended
from secrets_actor.cli.store.damage import told
from secrets_actor.cli.store.given import facts_without_none, json_option, local_store, passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options

_REMEDY = (
    "bring it back from a backup: secrets-actor store restore FILE --replace; or take along what is whole: "
    "secrets-actor store export FILE --salvage"
)


@click.command(epilog=EPILOG)
@passphrase_option
@json_option
@click.pass_obj
def init(options: Options, ask_passphrase: bool) -> None:
    """Make an empty local store, and its key if that is ours to make; tell where they are.

    The first 'set' makes one, too: this is for who wants to see it, to copy the key, or to make it under a passphrase
    that is typed.
    """
    local = local_store(options, ask_passphrase, new=True)
    with attended("interrupted; run it again"):
        local.init()
    options.show(
        {
            "folder": str(local.folder),
            "key": str(local.source),
            "next": "keep a copy of the key in another place: without it nobody can read the store or a backup of it",
        }
    )


@click.command(epilog=EPILOG)
@passphrase_option
@json_option
@click.pass_context
def verify(context: click.Context, ask_passphrase: bool) -> None:
    """Open every key, secret and value of the local store, and tell what is damaged, by name.

    Reads one moment of the store and changes nothing. Ends with 1 if anything is damaged. What is whole can
    still be read and set.
    """
    options: Options = context.obj
    local = local_store(options, ask_passphrase)
    with attended("interrupted; nothing was changed"):
        found = local.verify()
    counts = {"secrets": found.secrets, "versions": found.versions}
    remedy = None if found.clean else _REMEDY
    damage = told(found.damage, as_json=options.as_json)
    if options.as_json:
        click.echo(output.as_json({**counts, "unfinished": found.unfinished, **damage}))
    else:
        facts = {**counts, "damaged": len(found.damage), "unfinished": found.unfinished, "next": remedy}
        click.echo(output.as_lines(facts_without_none(facts)))
    if not found.clean:
        context.exit(FAILED)
