"""Credentials as somebody else's backend has them: a token, with public names only. All tests of the actor use them, so
that the actor cannot come to know those of AWS."""

from datetime import datetime

from secrets_actor import Credentials, SecretValue
from secrets_actor.actor.credential_state import DatedCredentials


class Token(Credentials):
    """One secret *text*, good until *end*. It is to be renewed at *renewal*."""

    def __init__(self, text: str, end: datetime | None = None, renewal: datetime | None = None) -> None:
        self.text, self.end, self.renewal = SecretValue(text), end, renewal

    @property
    def expires_at(self) -> datetime | None:
        """The end."""
        return self.end

    @property
    def renew_at(self) -> datetime | None:
        """The date of the renewal."""
        return self.renewal

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Token) and (self.text, self.end) == (other.text, other.end)

    __hash__ = None  # type: ignore[assignment]  # as of a SecretValue


def dated(token: Token) -> DatedCredentials:
    """*token* as a worker hands it to the actor."""
    return DatedCredentials(token, token.end, token.renewal)
