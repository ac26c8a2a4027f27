"""Keys for a backend that wants them. Masked like values. PURE."""

from datetime import datetime
from typing import ClassVar

from msgspec.structs import force_setattr

from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.secret import SecretValue
from secrets_actor.structs import SelectiveStruct


class Credentials(SelectiveStruct, frozen=True):
    """An access key pair, with a session token and an end (UTC) when it is temporary. Its repr shows none of them."""

    HIDDEN: ClassVar = frozenset({"access_key_id"})

    access_key_id: MaskedText | str
    secret_key: SecretValue
    session_token: SecretValue | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        """Masked at once: no secret to AWS, but whoever has it knows whose the others are."""
        force_setattr(self, "access_key_id", MaskedText(self.access_key_id))

    def reveal_id(self) -> str:
        """The access key id, in clear."""
        return MaskedText(self.access_key_id).reveal()
