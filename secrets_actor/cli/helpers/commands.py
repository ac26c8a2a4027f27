"""`secrets-actor helper`: the table of the helpers."""

from __future__ import annotations

import click

from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.helpers.docker import docker
from secrets_actor.cli.helpers.git import git


@click.group(epilog=EPILOG)
def helper() -> None:
    """Give secrets to git, Docker and others, each in its own protocol."""


for command in (git, docker):
    helper.add_command(command)
