"""Login with a user's name and password: at the server itself (`userpass`), or by way of a directory (`ldap`).

The server locks a user out after a few wrong passwords, and then answers 403 to the right one, too.
"""

from typing import Final

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, body_of, login_path, read_part
from secrets_actor.backends.vault.auth.token_life import Granted
from secrets_actor.domain.secret import SecretValue

_REFUSED: Final = "the server refuses vault.username with vault.password: set the right ones"


class PasswordLogin:
    """As *username* with *password* at *mount*: `userpass`, `ldap`, or where these are mounted."""

    makes_tokens = True
    locks_out = True

    def __init__(self, username: str, password: KeySource | None, *, mount: str = "userpass") -> None:
        self._password, self._path = password, login_path(mount, username)

    def material(self, deadline: float) -> SecretValue:  # noqa: ARG002  nothing here waits
        """Return the password. Raises `LoginIncomplete`."""
        return body_of({"password": read_part("vault.password", self._password)})

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Log in."""
        return client.log_in(self._path, material, _REFUSED)

    def __repr__(self) -> str:
        return f"<PasswordLogin {self._path}>"
