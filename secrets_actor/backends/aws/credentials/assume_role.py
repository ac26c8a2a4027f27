"""Credentials of a role, which STS gives in exchange for the credentials of another source.

The other source may itself be a role: so roles are chained.

Source: AWS STS API reference, AssumeRole: limits of the parameters, and one hour at most for a role assumed by a role.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from msgspec import field

from secrets_actor.backends.aws.credentials.sts import Sts
from secrets_actor.backends.aws_credentials import AwsCredentials, AwsCredentialSource
from secrets_actor.clock import wall_time
from secrets_actor.domain.errors import CredentialsError
from secrets_actor.structs import SelectiveStruct

# Seconds that a session may last.
SHORTEST: Final = 900
LONGEST: Final = 43_200
MAX_TAGS: Final = 50
_ARN: Final = re.compile(r"arn:[\w-]+:iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID: Final = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


class Role(SelectiveStruct, frozen=True):
    """The role *arn*, and how to assume it.

    *duration* is in seconds; None means AWS's default, an hour. A *session_name* of None means one made of the time.
    *tags* are tags of the session. The repr hides the external id, which some treat as a secret.
    """

    HIDDEN: ClassVar = frozenset({"external_id"})

    arn: str
    session_name: str | None = None
    external_id: str | None = None
    duration: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def mistakes(self) -> tuple[str, ...]:
        """Return what is wrong: a line for each field, with what is allowed. The lines quote no value."""
        found = []
        if _ARN.fullmatch(self.arn) is None:
            found.append("role_arn: such as arn:aws:iam::123456789012:role/name")
        if self.session_name is not None and _SESSION_NAME.fullmatch(self.session_name) is None:
            found.append("role_session_name: 2 to 64 letters, digits and _+=,.@-")
        if self.external_id is not None and _EXTERNAL_ID.fullmatch(self.external_id) is None:
            found.append("external_id: 2 to 1224 letters, digits and _+=,.@:/-")
        if self.duration is not None and not SHORTEST <= self.duration <= LONGEST:
            found.append(f"duration: {SHORTEST} to {LONGEST} seconds")
        if len(self.tags) > MAX_TAGS or not all(0 < len(k) <= 128 and len(v) <= 256 for k, v in self.tags.items()):
            found.append(f"role_tags: {MAX_TAGS} at most, keys of 1 to 128 characters, values of 256 at most")
        return tuple(found)

    def parameters(self) -> list[tuple[str, str]]:
        """Return the parameters of AssumeRole: (name, value) pairs in STS's form."""
        name = self.session_name or f"secrets-actor-{int(wall_time())}"
        found = [("RoleArn", self.arn), ("RoleSessionName", name)]
        if self.external_id is not None:
            found.append(("ExternalId", self.external_id))
        if self.duration is not None:
            found.append(("DurationSeconds", str(self.duration)))
        for number, (key, value) in enumerate(self.tags.items(), 1):
            found += [(f"Tags.member.{number}.Key", key), (f"Tags.member.{number}.Value", value)]
        return found


def checked_role(role: Role, place: str) -> Role:
    """Return *role* if STS would accept it. Raises `CredentialsError`, which names *place* and what is wrong."""
    mistakes = role.mistakes()
    if mistakes:
        raise CredentialsError(f"{place}: {'; '.join(mistakes)}")
    return role


class AssumeRoleCredentials:
    """Fetches the credentials of *role*, with those of *source*, which is asked at each fetch."""

    def __init__(self, source: AwsCredentialSource, role: Role, sts: Sts, place: str = "assume role") -> None:
        self._source, self._role, self._sts, self._place = source, role, sts, place

    def fetch(self, deadline: float) -> AwsCredentials:
        """Fetch the role's credentials, by *deadline* (clock seconds).

        Raises `CredentialsError` for a malformed role, and the `SecretsError`s of the source and of STS.
        """
        role = checked_role(self._role, self._place)
        return self._sts.assume_role(role.parameters(), self._source.fetch(deadline), deadline)

    def __repr__(self) -> str:
        return f"<AssumeRoleCredentials over {self._source!r}>"
