"""`secrets-actor store`: the commands on a whole store."""

from __future__ import annotations

import click

from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.store.commands import backup, export, import_, init, restore, sweep, verify
from secrets_actor.cli.store.migrate_command import migrate
from secrets_actor.cli.store.rekey_command import rekey


@click.group(epilog=EPILOG)
def store() -> None:
    """Look after a whole store.

    'migrate' is for any two stores, 'sweep' for OpenBao and Vault, and all others for the local store. Programs may go
    on using it meanwhile: no write is lost, and none is seen in part. The --help of each command says what it means for
    them.
    """


for command in (init, verify, rekey, backup, restore, export, import_, migrate, sweep):
    store.add_command(command)
