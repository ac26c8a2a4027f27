"""Credentials of a role for a web identity: a token in a file that another program, such as EKS, keeps renewing.

One file for each place that credentials come from. The token goes to STS in an unsigned call. Its file is read at each
fetch. Source of the names: botocore's `AssumeRoleWithWebIdentityProvider`.
"""

from typing import Final

from secrets_actor.backends.aws.credentials.assume_role import Role, checked_role
from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws_credentials import AwsCredentials
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.small_files import Problem, read_text

# Bytes. STS takes tokens of 20,000 characters.
_MAX_TOKEN: Final = 65_536


class WebIdentityCredentials:
    """Fetches the credentials of *role* for the token in *token_file*.

    Errors name *place*, where the role is configured, and *setting*, which names the file.
    """

    def __init__(
        self, token_file: str, role: Role, sts: Sts, place: str = "web identity", setting: str = "token file"
    ) -> None:
        self._token_file, self._role, self._sts = token_file, role, sts
        self._place, self._setting = place, setting

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fetch the role's credentials, by *deadline* (clock seconds).

        Raises `CredentialsError` for a malformed role or an unusable token file, and the `SecretsError`s of STS.
        """
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
        raise CredentialsError(f"{self._place}: no token in the {file}, which {problem}; see what writes it")

    def __repr__(self) -> str:
        return f"<WebIdentityCredentials [{self._place}]>"
