"""`docker-credential-secrets-actor`, or `secrets-actor helper docker`: the accounts at registries, for Docker, podman,
buildah, skopeo and helm.

Rule: what went wrong is on standard output, where these programs look for it, and the exit code is 1. Three texts they
know; for the first, they go on without an account.

Source: docker/docker-credential-helpers, `credentials.go` and `error.go`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import click

from secrets_actor.actor.prefetch_plan import Search
from secrets_actor.cli import output, value_io
from secrets_actor.cli.exit_codes import EPILOG, FAILED, NotDone, complaint_about
from secrets_actor.cli.helpers import accounts
from secrets_actor.cli.helpers.address_names import decoded, encoded
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import AccessDenied, InvalidSecretValue, SecretDeleted, SecretNotFound, SecretsError
from secrets_actor.json_text import read_json
from secrets_actor.telemetry.redaction import printable

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

PROGRAM: Final = "docker-credential-secrets-actor"
_UNKNOWN: Final = "credentials not found in native keychain"
_NO_SERVER: Final = "no credentials server URL"
_NO_USER: Final = "no credentials username"


@click.command(epilog=EPILOG)
@click.argument("operation", metavar="get|store|erase|list|version")
@click.option("--prefix", default="docker/", show_default=True, help="How the names of the secrets begin.")
@click.pass_context
def docker(context: click.Context, operation: str, prefix: str) -> None:
    """Be the credential helper of Docker and its kin.

    Say {"credsStore": "secrets-actor"} in ~/.docker/config.json. The account at a registry is the secret
    docker/REGISTRY, a JSON object with username and password.
    """
    options: Options = context.obj
    try:
        _carry_out(options, operation, prefix)
    except (NotDone, SecretsError, click.UsageError) as error:
        click.echo(printable(complaint_about(error).message))
        context.exit(FAILED)


def _carry_out(options: Options, operation: str, prefix: str) -> None:
    if operation == "version":
        import secrets_actor

        click.echo(f"{PROGRAM} {secrets_actor.__version__}")
        return
    if operation not in ("get", "store", "erase", "list"):
        raise NotDone(f"unknown operation; there are get, store, erase, list and version: {PROGRAM} get")
    given = "" if operation == "list" else value_io.read_file(value_io.DASH).strip()
    wanted = _account(given) if operation == "store" else {"ServerURL": given}
    server = wanted["ServerURL"]
    if not server and operation != "list":
        raise NotDone(_NO_SERVER)
    name = prefix + encoded(server)
    with options.secrets() as secrets:
        match operation:
            case "get":
                click.echo(_answer(accounts.find(secrets, name), name, server))
            case "store":
                members = {"username": wanted["Username"], "password": wanted["Secret"]}
                accounts.store(secrets, name, accounts.find(secrets, name), members)
            case "erase":
                accounts.erase(secrets, name)
            case _:
                click.echo(output.as_json(_users(secrets, prefix)))


def _account(given: str) -> dict[str, str]:
    """Return what is to be stored. Raises `NotDone`."""
    try:
        found = read_json(given)
        wanted: dict[str, str] = {member: found[member] for member in ("ServerURL", "Username", "Secret")}
        for text in wanted.values():
            text.encode()  # JSON may have half of a surrogate pair, which is no text
    except (ValueError, TypeError, LookupError, AttributeError):
        pass  # not the context of our own error: it has all that was read
    else:
        if wanted["ServerURL"] and not wanted["Username"]:
            raise NotDone(_NO_USER)
        return wanted
    raise NotDone("a JSON object with ServerURL, Username and Secret is wanted on standard input")


def _answer(known: accounts.Account | None, name: str, server: str) -> str:
    if known is None:
        raise NotDone(_UNKNOWN)
    user, password = (accounts.member_of(known, member, name) for member in ("username", "password"))
    if password is None:
        raise NotDone(f"{name} has no password: it is to be a JSON object with username and password")
    return output.as_json({"ServerURL": server, "Username": user or "", "Secret": password})


def _users(secrets: Secrets, prefix: str) -> dict[str, str]:
    """Return the user name of each account, by server. What this user may not read, and what is no account, is left
    out; any other error is one of the whole list, which would look complete."""
    search = Search.of_prefix(prefix)
    names = [info.name for info in secrets.iterate(search.page().filters) if search.fits(info.name, info.tags)]
    if not names:
        return {}
    batch = secrets.get_many(names)
    for error in batch.errors.values():
        if not isinstance(error, AccessDenied | SecretNotFound | SecretDeleted):
            raise error
    users = {}
    for name, secret in batch.found.items():
        server = decoded(name.removeprefix(prefix))
        if server is not None:
            with suppress(InvalidSecretValue):
                users[server] = accounts.member_of(accounts.account_of(secret), "username", name) or ""
    return users
