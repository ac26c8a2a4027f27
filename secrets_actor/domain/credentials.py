"""Keys for a backend that wants them. Masked like values."""

from datetime import datetime

from secrets_actor.domain.secret import SecretValue
from secrets_actor.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key pair, with a session token and an end (UTC) when it is temporary. Its repr shows none of them."""

    access_key_id: str = field(repr=False)
    secret_key: SecretValue
    session_token: SecretValue | None = None
    expires_at: datetime | None = None
