"""`git-credential-secrets-actor`, or `secrets-actor helper git`: git's accounts, which git asks for and stores itself.

Rule 1: an account that is not known is no error: nothing is printed, and git asks the next helper, or its user. So does
        it after an error, whose one line on standard error says what to do.
Rule 2: an account is that of one protocol. What was stored for https is never given to a server that is asked by http,
        where everybody on the way could read it.
Rule 3: an account of one user is neither given to another user nor replaced by that of another.
Rule 4: an account that names no user, such as a token alone, is not written because git knows one now: git stores what
        it has just been given, with the user of its own settings, and other programs may want the token as it is.
Rule 5: git rejects also a password that its user has mistyped. So an account is erased only if it has that password.

Source: gitcredentials(7) and git-credential(1).
"""

from __future__ import annotations

import sys
from itertools import takewhile
from typing import TYPE_CHECKING, Final

import click

from secrets_actor.cli import value_io
from secrets_actor.cli.exit_codes import EPILOG, NotDone
from secrets_actor.cli.helpers import accounts
from secrets_actor.cli.helpers.address_names import encoded
from secrets_actor.domain.errors import InvalidParameter, InvalidSecretValue

if TYPE_CHECKING:
    from secrets_actor.cli.options import Options

# What git takes of an account, and gives: the last two come with OAuth tokens.
_MEMBERS: Final = ("username", "password", "password_expiry_utc", "oauth_refresh_token")


@click.command(epilog=EPILOG)
@click.argument("operation", metavar="get|store|erase")
@click.option("--prefix", default="git/", show_default=True, help="How the names of the secrets begin.")
@click.option("--read-only", is_flag=True, help="Never store or erase an account.")
@click.pass_obj
def git(options: Options, operation: str, prefix: str, read_only: bool) -> None:
    """Be git's credential helper.

    \b
      git config --global credential.helper secrets-actor

    The account for https://HOST is the secret git/HOST, a JSON object with username and password, or the password
    alone. With credential.useHttpPath, it is git/HOST/PATH.
    """
    if operation not in ("get", "store", "erase") or (read_only and operation != "get"):
        return  # as git wants it of a helper that cannot do something
    asked = _attributes()
    url = "{}://{}".format(asked.get("protocol", ""), asked.get("host", "").lower())
    if "path" in asked:
        url += f"/{asked['path']}"
    name = prefix + encoded(url.removeprefix("https://"))
    with options.secrets() as secrets:
        known = accounts.find(secrets, name)
        user = None if known is None else accounts.member_of(known, "username", name)
        fits = known is not None and (user is None or asked.get("username") in (None, user))  # rule 3
        if operation == "get" and known is not None and fits:
            value_io.write(_answer(known, name))
        elif operation == "store" and "username" in asked and "password" in asked:
            if known is not None and not fits:
                del asked, known
                raise NotDone(f"{name} is the account of another user, and stays; git can keep one for each --prefix")
            accounts.store(secrets, name, known, _to_store(asked, known))
        elif operation == "erase" and known is not None and fits:
            accounts.erase(secrets, name, asked.get("password"))  # rule 5


def _attributes() -> dict[str, str]:
    """Return what git has written to standard input, up to a blank line. Raises `InvalidParameter`.

    Of an attribute that may be there more than once, the last is returned: none of those is looked at.
    """
    lines = [] if sys.stdin is None else takewhile(bytes.strip, sys.stdin.buffer)
    try:
        pairs = [line.rstrip(b"\n").decode().partition("=") for line in lines]
    except UnicodeDecodeError:
        pass  # not the context of our own error: it has the line, which may be the password
    else:
        return {key: value for key, _, value in pairs}
    raise InvalidParameter("standard input", "git's attributes are wanted, in UTF-8")


def _to_store(asked: dict[str, str], known: accounts.Account | None) -> dict[str, str]:
    """Return the members to store of what is *asked*; none of them, if nothing but the user is new (rule 4)."""
    found: dict[str, str] = {member: asked[member] for member in _MEMBERS if member in asked}
    others = {member: value for member, value in found.items() if member != "username"}
    if known is None or known.get("username") is not None or accounts.differs(known, others):
        return found
    return {}


def _answer(known: accounts.Account, name: str) -> str:
    """Return the lines that git reads. Raises `InvalidSecretValue` for a member that is not one line of text."""
    found = {member: accounts.member_of(known, member, name) for member in _MEMBERS}
    lines = {member: value for member, value in found.items() if value is not None}
    for member, value in lines.items():
        if {"\n", "\0"} & set(value):
            del known, found, lines, value
            raise InvalidSecretValue(f"the {member} in {name} has a line break or a NUL, which git cannot take")
    return "".join([f"{member}={value}\n" for member, value in lines.items()])
