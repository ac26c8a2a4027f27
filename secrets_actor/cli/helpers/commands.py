"""`secrets-actor helper`: the table of the helpers."""

from __future__ import annotations

from pathlib import Path

import click

from secrets_actor.cli.exit_codes import EPILOG
from secrets_actor.cli.helpers.docker import docker
from secrets_actor.cli.helpers.git import git
from secrets_actor.cli.helpers.podman import podman


@click.group(epilog=EPILOG)
def helper() -> None:
    """Give secrets to git, Docker and others, each in its own protocol."""


@helper.command(epilog=EPILOG)
def ansible_path() -> None:
    """Print the folder with Ansible's lookup plugin `secrets_actor`.

    \b
      export ANSIBLE_LOOKUP_PLUGINS=$(secrets-actor helper ansible-path)
      ansible-doc -t lookup secrets_actor

    Ansible must run in the Python in which this program is installed, too.
    """
    click.echo(Path(__file__).with_name("ansible_lookup"))


for command in (git, docker, podman):
    helper.add_command(command)
