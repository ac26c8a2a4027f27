"""Login with the client certificate of the TLS connection.

A renewal needs the certificate, too: it has to come over a connection with the same one. All connections of this
backend have it.
"""

from typing import Final

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, body_of, login_path, part_of, read_part
from secrets_actor.backends.vault.auth.token_life import Granted
from secrets_actor.domain.secret import SecretValue

_REFUSED: Final = (
    "the server refuses our certificate: it trusts another CA, the certificate has ended or its names are not those of "
    "the role (vault.role), or the connection has none (vault.client_cert, vault.client_key)"
)


class CertLogin:
    """As the role *name* (None: the one that the certificate fits). *certificate* is its file: a login that was refused
    is tried again at once when there is another one."""

    makes_tokens = True
    locks_out = False

    def __init__(self, name: str | None = None, certificate: KeySource | None = None, *, mount: str = "cert") -> None:
        self._name, self._certificate, self._path = name, certificate, login_path(mount)

    def material(self, deadline: float) -> SecretValue:  # noqa: ARG002  nothing here waits
        """Return the name of the role, and the certificate, which is no secret. Raises `LoginIncomplete`."""
        shown: str | SecretValue = (
            "" if self._certificate is None else read_part("vault.client_cert", self._certificate)
        )
        return body_of({"name": self._name or "", "certificate": shown})

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Log in."""
        name = part_of(material, "name")
        return client.log_in(self._path, body_of({} if name is None else {"name": name}), _REFUSED)

    def __repr__(self) -> str:
        return f"<CertLogin {self._path}>"
