"""`secrets-actor store`: what is done to a whole store, and to all that is in it."""

from __future__ import annotations

import click

from secrets_actor.cli.failures import EPILOG
from secrets_actor.cli.store.copying import backup, restore
from secrets_actor.cli.store.exporting import export, import_
from secrets_actor.cli.store.making import init, verify
from secrets_actor.cli.store.migrating import migrate
from secrets_actor.cli.store.rekeying import rekey


@click.group(epilog=EPILOG)
def store() -> None:
    """Look after a whole store.

    All but 'migrate' are for the local store. Programs may go on using it meanwhile: no write is lost, and none is seen
    in part; what each of these commands means for them, its --help says.
    """


for command in (init, verify, rekey, backup, restore, export, import_, migrate):
    store.add_command(command)
