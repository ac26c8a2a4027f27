"""`store init` and `store verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from secrets_actor.cli import output
from secrets_actor.cli.failures import EPILOG, FAILED
from secrets_actor.cli.store.attention import attended
from secrets_actor.cli.store.given import facts_without_none, json_option, local_store, passphrase_option

if TYPE_CHECKING:
    from secrets_actor.cli.main import Options

# Of what a file that somebody else wrote has for a version's id, no more than this is shown.
_SHOWN: Final = 200


@click.command(epilog=EPILOG)
@passphrase_option
@json_option
@click.pass_obj
def init(options: Options, ask_passphrase: bool) -> None:
    """Make an empty local store, and its key if that is ours to make; tell where they are.

    Whoever uses a store first makes it, too: this is for who wants to see it, to copy the key, or to make it under a
    passphrase that is typed.
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
    remedy = None if found.clean else "bring it back from a backup: secrets-actor store restore FILE --replace"
    if options.as_json:
        damage = [{"secret": one.secret, "row": one.row, "what": _one_line(one.what)} for one in found.damage]
        click.echo(output.as_json({**counts, "unfinished": found.unfinished, "damage": damage}))
    else:
        for one in found.damage:
            click.echo(_one_line(str(one)))
        told = {**counts, "damaged": len(found.damage), "unfinished": found.unfinished, "next": remedy}
        click.echo(output.as_lines(facts_without_none(told)))
    if not found.clean:
        context.exit(FAILED)


def _one_line(text: str) -> str:
    """*text* as one line that does nothing to a terminal: a part of it may come from a file that was tampered with."""
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: _SHOWN + 1])
    return shown if len(text) <= _SHOWN else shown[:_SHOWN] + "..."
