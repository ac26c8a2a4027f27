"""`secrets-actor compose`: a provider of Docker Compose, which gives secrets to services as environment variables.

Rule 1: Compose reads one JSON object a line from standard output, and takes any other line, and any type that it does
        not know, for the end of the whole command. So nothing else is printed there, and errors are objects, too.
Rule 2: `up` sends the same variables each time. Nothing is kept here: `down` and `stop` have nothing to do.
Rule 3: nothing is sent until all values are there: a service must not start with half of them.

Source: docker/compose, `docs/extension.md` and `pkg/compose/plugins.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from secrets_actor.actor.prefetch_plan import Search
from secrets_actor.cli import output
from secrets_actor.cli.exit_codes import EPILOG, complaint_about
from secrets_actor.client.secrets import Secrets
from secrets_actor.delivery.env_files import NAME, without_double
from secrets_actor.domain.errors import InvalidParameter, InvalidSecretValue, SecretNotFound, SecretsError
from secrets_actor.domain.references import Reference, member_of, parse_reference

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

# What Compose shows to its users and checks: it passes on only the options that stand here.
_OPTIONS: Final = {
    "env": "NAME=SECRET, NAME=SECRET#MEMBER or NAME=SECRET@STAGE: the variable NAME. A list gives several.",
    "env-from": "PREFIX/: a variable for each secret whose name begins so, called as the rest, in capitals.",
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
@click.option("--env-from", "prefixes", multiple=True, metavar="PREFIX/", help="A variable for each secret below.")
@click.option("--prefixed", type=bool, default=False, help="Let Compose put SERVICE_ before the names.")
@click.pass_obj
def up(options: Options, service: str, env: tuple[str, ...], prefixes: tuple[str, ...], prefixed: bool) -> None:
    """Tell Compose the variables."""
    try:
        asked = [_variable(text) for text in env]
        with options.secrets() as secrets:
            found = [*_named(secrets, asked), *_below(secrets, prefixes)]
        lines = [f"{name}={value}" for name, value in _without_double(found).items()]
    except SecretsError as error:
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


def _variable(text: str) -> tuple[str, Reference]:
    name, _, reference = text.partition("=")
    if NAME.fullmatch(name) is None:
        del text, reference  # which may be a value in the wrong place
        raise InvalidParameter("env", "NAME=SECRET, with a name of letters, digits and _")
    return name, parse_reference(reference)


def _named(secrets: Secrets, asked: Iterable[tuple[str, Reference]]) -> Iterable[tuple[str, str]]:
    for name, wanted in asked:
        value = secrets.get(wanted.name, stage=wanted.stage).reveal()
        yield name, member_of(value, wanted.member) if wanted.member else _text(value, wanted.name)


def _below(secrets: Secrets, prefixes: Iterable[str]) -> Iterable[tuple[str, str]]:
    for prefix in prefixes:
        search = Search.of_prefix(prefix)
        names = [info.name for info in secrets.iterate(search.page().filters) if search.fits(info.name, info.tags)]
        if not names:
            raise SecretNotFound(f"there is no secret below {prefix}")
        for name, variable in without_double(one.removeprefix(prefix) for one in sorted(names)).items():
            yield variable, _text(secrets.get(f"{prefix}{name}").reveal(), f"{prefix}{name}")


def _text(value: Any, name: str) -> str:
    if isinstance(value, str) and "\0" not in value:
        return value
    del value
    raise InvalidSecretValue(f"{name} is binary, and no variable can hold it: see 'get --raw'")


def _without_double(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for name, value in found:
        if name in variables:
            del found, value
            raise InvalidParameter("env", f"each variable once; {name} comes twice")
        variables[name] = value
    return variables
