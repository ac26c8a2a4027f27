"""Login with a JSON Web Token of an identity provider, such as a CI system or SPIFFE."""

from typing import Final

from secrets_actor.backends.key_source import KeySource
from secrets_actor.backends.vault.auth.login import LoginClient, body_of, login_path, read_part
from secrets_actor.backends.vault.auth.token_life import Granted
from secrets_actor.domain.secret import SecretValue

_REFUSED: Final = (
    "the server refuses the token in vault.jwt for this role: it has ended, is for another audience, has other claims "
    "than the role asks for, or there is no such role (vault.role)"
)


class JwtLogin:
    """As *role* (None: the mount's default role) with the token in *jwt*, which is read at each login: whoever writes
    it replaces it before it ends."""

    makes_tokens = True
    locks_out = False

    def __init__(self, role: str | None, jwt: KeySource | None, *, mount: str = "jwt") -> None:
        self._role, self._jwt, self._path = role, jwt, login_path(mount)

    def material(self, deadline: float) -> SecretValue:  # noqa: ARG002  nothing here waits
        """Return role and token. Raises `LoginIncomplete`."""
        token = {"jwt": read_part("vault.jwt", self._jwt)}
        return body_of(token if self._role is None else {"role": self._role, **token})

    def log_in(self, material: SecretValue, client: LoginClient) -> Granted:
        """Log in."""
        return client.log_in(self._path, material, _REFUSED)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._path}>"
