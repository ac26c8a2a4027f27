"""Keys for a backend that wants them. Masked like values. PURE."""

from datetime import datetime

from secrets_actor.domain.masked import MaskedText
from secrets_actor.domain.secret import SecretValue
from secrets_actor.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key pair, with a session token and an end (UTC) when it is temporary. Its repr shows none of them."""

    access_key_id: MaskedText | str = field(repr=False)
    secret_key: SecretValue
    session_token: SecretValue | None = None
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        """Masked at once: no secret to AWS, but whoever has it knows whose the others are."""
        object.__setattr__(self, "access_key_id", MaskedText(self.access_key_id))

    def reveal_id(self) -> str:
        """The access key id, in clear."""
        return MaskedText(self.access_key_id).reveal()
