"""`secrets-actor compose`: a provider of Docker Compose, which gives secrets to services as environment variables.

Rule 1: Compose reads one JSON object a line from standard output, and takes any other line, and any type that it does
        not know, for the end of the whole command. So nothing else is printed there, and errors are objects, too.
Rule 2: `up` sends the same variables each time. Nothing is kept here: `down` and `stop` have nothing to do.
Rule 3: nothing is sent until all values are there: a service must not start with half of them.

Source: docker/compose, `docs/extension.md` and `pkg/compose/plugins.go`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from secrets_actor.cli import output
from secrets_actor.cli.exit_codes import EPILOG, complaint_about
from secrets_actor.domain.errors import SecretsError

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

# What Compose shows to its users and checks: it passes on only the options that stand here.
_OPTIONS: Final = {
    "env": "NAME=SECRET, NAME=SECRET#MEMBER or NAME=SECRET@STAGE: the variable NAME. A list gives several.",
    "env-from": "PREFIX/ or SECRET#: a variable for each secret below, or for each member of the JSON object.",
    "prefixed": "true: Compose puts SERVICE_ before each name. Compose before 5.2 can only do that.",
}


@click.group(epilog=EPILOG)
@click.option("--project-name", help="Compose's project: it makes no difference here.")
def compose(project_name: str | None) -> None:
    """Be a provider of Docker Compose. Services that depend on this one get the variables:

    \b
      services:
        secrets:
          provider:
            type: secrets-actor
            options:
              env: ["DB_PASSWORD=db/password", "DB_USER=db/login#user"]
        app:
          image: app
          depends_on: [secrets]
    """


@compose.command(epilog=EPILOG)
@click.argument("service")
@click.option("--env", "env", multiple=True, metavar="NAME=SECRET", help="A variable; may be given again.")
@click.option(
    "--env-from", "sources", multiple=True, metavar="PREFIX/|SECRET#", help="A variable for each secret, or member."
)
@click.option("--prefixed", type=bool, default=False, help="Let Compose put SERVICE_ before the names.")
@click.pass_obj
def up(options: Options, service: str, env: tuple[str, ...], sources: tuple[str, ...], prefixed: bool) -> None:
    """Tell Compose the variables."""
    from secrets_actor.delivery.environment import Mapped, contents_of
    from secrets_actor.delivery.fetching import fetch
    from secrets_actor.delivery.references import parse_source, parse_variable

    try:
        mapped = Mapped(tuple(map(parse_variable, env)), tuple(map(parse_source, sources)))
        with options.secrets() as secrets:
            contents = contents_of(mapped, {}, fetch(secrets, mapped.wanted({})))
        lines = [f"{name}={contents.text(name)}" for name in contents.names]
    except (SecretsError, click.UsageError) as error:
        _say("error", complaint_about(error).message)
        raise  # and so to standard error and the exit code
    for line in lines:
        _say("setenv" if prefixed else "rawsetenv", line)
    _say("info", f"{len(lines)} variables for what depends on {service}")


@compose.command(epilog=EPILOG)
@click.argument("service")
def down(service: str) -> None:
    """Do nothing: there is nothing to give back."""


@compose.command(epilog=EPILOG)
def metadata() -> None:
    """Print the options, for Compose."""
    parameters = [
        {"name": name, "description": text, "required": False, "type": "boolean" if name == "prefixed" else "string"}
        for name, text in _OPTIONS.items()
    ]
    facts = {"description": "secrets as environment variables", "up": {"parameters": parameters}}
    click.echo(output.as_json({**facts, "down": {"parameters": []}}))


def _say(kind: str, message: str) -> None:
    click.echo(output.as_json({"type": kind, "message": message}))
