"""The credentials of AWS, masked like secret values. PURE.

They are no part of the backend of AWS: a login at Vault may be signed with them, too.
"""

from datetime import datetime
from typing import ClassVar, TypeAlias

from msgspec.structs import force_setattr

from secrets_actor.domain.credentials import Credentials
from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.ports import CredentialSource
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import SelectiveStruct


class AwsCredentials(SelectiveStruct, Credentials, frozen=True):
    """An access key pair. A temporary pair has a session token and an end (UTC), too. The repr masks all of it."""

    HIDDEN: ClassVar = frozenset({"access_key_id"})

    access_key_id: MaskedText | str
    secret_key: SecretValue
    session_token: SecretValue | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        """Mask the access key id at once: AWS does not treat it as a secret, but it tells whose the other two are."""
        force_setattr(self, "access_key_id", MaskedText(self.access_key_id))

    def reveal_id(self) -> str:
        """Return the access key id in clear."""
        return MaskedText(self.access_key_id).reveal()


AwsCredentialSource: TypeAlias = CredentialSource[AwsCredentials]
