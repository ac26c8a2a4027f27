"""`secrets-actor credentials`: the `credential_process` of AWS's SDKs, which asks a running daemon.

Rule: the answer on standard output is the SDK's, whole, or nothing. What went wrong is on standard error: SDKs show it.
"""

from __future__ import annotations

import click

from secrets_actor.cli import output
from secrets_actor.cli.exit_codes import EPILOG, PROGRAM
from secrets_actor.cli.options import Options
from secrets_actor.domain.errors import ServerDown
from secrets_actor.runtime.settings_loader import load


@click.command("credentials", epilog=EPILOG)
@click.pass_obj
def credentials(options: Options) -> None:
    """Print AWS credentials for the daemon that runs here.

    Programs that use an AWS SDK get them by a profile in ~/.aws/config, and sign with them. So the daemon knows the
    user and the systemd unit of each, and its policy and its audit log go by them:

    \b
      [profile here]
      credential_process = secrets-actor credentials
      services = here
      [services here]
      secrets_manager =
        endpoint_url = http://localhost:2773

    They are good for an hour; SDKs ask for new ones by themselves.
    """
    from secrets_actor.cli.daemon_client import DaemonClient, find_socket

    if options.past_daemon:
        raise click.UsageError("These credentials are a daemon's: leave out --no-daemon.")
    path = options.socket or find_socket(load(options.config).settings)
    if path is None:
        raise ServerDown(f"no daemon runs here: start one ({PROGRAM} run), or name its socket with --socket")
    with DaemonClient(path) as client:
        found = client.ask("/control/credentials")
    click.echo(output.as_json(found))
