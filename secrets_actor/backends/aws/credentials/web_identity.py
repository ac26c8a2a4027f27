"""Keys of a role for a web identity: a token that somebody else keeps writing into a file, as EKS does.

The token goes to STS in an unsigned call; the file is read at each fetch. Names: botocore's
`AssumeRoleWithWebIdentityProvider`.
"""

from typing import Final

from secrets_actor.backends.aws.credentials.assume_role import Role, checked_role
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.small_files import Problem, read_text

# Bytes. STS takes tokens of 20,000 characters.
_MAX_TOKEN: Final = 65_536


class WebIdentityCredentials:
    """The keys of *role* for the token in *token_file*. For errors: *place* is where these are configured, *setting*
    what names the file."""

    def __init__(
        self, token_file: str, role: Role, sts: Sts, place: str = "web identity", setting: str = "token file"
    ) -> None:
        self._token_file, self._role, self._sts = token_file, role, sts
        self._place, self._setting = place, setting

    def fetch(self, deadline: float) -> Credentials:
        """The role's keys, by *deadline* (clock seconds). Raises `SecretsError`s: its own, STS's."""
        parameters = checked_role(self._role, self._place).parameters()
        return self._sts.assume_role_with_web_identity([*parameters, ("WebIdentityToken", self._token())], deadline)

    def _token(self) -> str:
        found = read_text(self._token_file, _MAX_TOKEN)
        if isinstance(found, Problem):
            problem = str(found)
        elif found is None:
            problem = "is not there"
        else:
            problem, found = "is empty", found.strip()
            if found:
                return found
        file = f"web identity token file ({self._setting})"
        raise CredentialsError(f"{self._place}: no token in the {file}, which {problem}; see who writes it")

    def __repr__(self) -> str:
        return f"<WebIdentityCredentials [{self._place}]>"
