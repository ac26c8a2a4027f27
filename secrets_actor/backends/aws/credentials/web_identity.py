"""Keys of a role for a web identity: a token that somebody else keeps writing into a file, as EKS does.

The token goes to STS in an unsigned call; the file is read at each fetch. Names: botocore's
`AssumeRoleWithWebIdentityProvider`.
"""

from pathlib import Path
from typing import Final

from secrets_actor.backends.aws.credentials.assume_role import Role, checked_role
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError

# Bytes. STS takes tokens of 20,000 characters.
_MAX_TOKEN: Final = 65_536


class WebIdentityCredentials:
    """The keys of *role* for the token in *token_file*. *place* is where these are configured, for errors."""

    def __init__(self, token_file: str, role: Role, sts: Sts, place: str = "web identity") -> None:
        self._token_file, self._role, self._sts, self._place = token_file, role, sts, place

    def fetch(self, deadline: float) -> Credentials:
        """The role's keys, by *deadline* (`time.monotonic()` seconds). Raises `SecretsError`s: its own, STS's."""
        parameters = checked_role(self._role, self._place).parameters()
        return self._sts.assume_role_with_web_identity([*parameters, ("WebIdentityToken", self._token())], deadline)

    def _token(self) -> str:
        try:
            with Path(self._token_file).open(encoding="utf-8") as file:
                token = file.read(_MAX_TOKEN).strip()
        except (OSError, ValueError):
            token = ""
        if not token:
            raise CredentialsError(f"{self._place}: no token in the web identity token file; see who writes it")
        return token

    def __repr__(self) -> str:
        return f"<WebIdentityCredentials [{self._place}]>"
