"""Accounts that other programs keep here: the user name and the password for one server, in one secret.

Rule 1: the value is a JSON object with the members `username` and `password`, and any others, which stay. A value that
        is none is a password alone, such as a token that was stored by hand.
Rule 2: git stores an account again after each use of it. What is there already is not written: a reader needs no right
        to write, and no versions pile up.
Rule 3: an account may be written by hand. A number is then a text of digits; a member that is neither is refused by its
        name, and never given in the spelling of Python.
Rule 4: a secret that is scheduled for deletion is like one that is not there, until somebody stores the account again.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from secrets_actor.cli import output
from secrets_actor.client.secrets import Secrets
from secrets_actor.domain.errors import InvalidSecretValue, SecretDeleted, SecretNotFound
from secrets_actor.domain.secret import Secret

Account = dict[str, Any]


def account_of(secret: Secret) -> Account:
    """Return the account in *secret*. Raises `InvalidSecretValue` for a binary value."""
    if not secret.value.is_text:
        raise InvalidSecretValue(f"{secret.name} is binary; an account is a JSON object, or a password as text")
    text = secret.text()
    with suppress(InvalidSecretValue):
        found = secret.json()
        if isinstance(found, dict):
            return found
    return {"password": text}


def member_of(account: Account, member: str, name: str) -> str | None:
    """Return the *member* of the *account* in the secret *name*; None if it has none. Raises `InvalidSecretValue`
    (rule 3)."""
    found = _as_text(account.get(member))
    if found is None and account.get(member) is not None:
        del account  # a traceback may show this frame
        raise InvalidSecretValue(f"the {member} in {name} is neither a text nor a whole number")
    return found


def _as_text(found: Any) -> str | None:
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else None


def find(secrets: Secrets, name: str) -> Account | None:
    """Return the account in the secret *name*; None if there is no such secret (rule 4)."""
    try:
        return account_of(secrets.get(name))
    except (SecretNotFound, SecretDeleted):
        return None


def differs(known: Account, members: Mapping[str, str]) -> bool:
    """Whether any of *members* is not that of the account *known*. A number is compared by its digits (rule 3)."""
    return any(_as_text(known.get(member)) != value for member, value in members.items())


def store(secrets: Secrets, name: str, known: Account | None, members: Mapping[str, str]) -> None:
    """Set *members* of the account *known*, which is that of the secret *name*, if they differ (rule 2)."""
    if known is None or differs(known, members):
        secrets.set(name, output.as_json({**(known or {}), **members}), restore_on_set=True)


def erase(secrets: Secrets, name: str, password: str | None = None) -> None:
    """Schedule the secret *name* for deletion, so that it can be restored; with a *password*, only if it is that of the
    current version. A secret that is not there is no error."""
    with suppress(SecretNotFound, SecretDeleted):
        if password is not None:
            secret = secrets.get(name)
            # A daemon answers a get from its cache. Another machine may have stored a good password meanwhile, which
            # must not go because an old one was rejected; a description comes from the store.
            newest = secrets.describe(name).versions.get(secret.version_id, ())
            if differs(account_of(secret), {"password": password}) or "AWSCURRENT" not in newest:
                return
        secrets.delete(name)
