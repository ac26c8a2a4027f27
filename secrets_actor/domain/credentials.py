"""What a backend needs to be let in by its store: secret material with an end. PURE."""

from datetime import datetime


class Credentials:
    """The base class of a backend's credentials, such as a token or a pair of keys.

    The actor has them fetched, hands them to the backend, and fetches others in time. For that their `expires_at` and
    `renew_at` are read once, when they come, and the actor compares two of them with `==`: credentials that the store
    has refused are not tried again if a fetch brings them once more. If `==` raises, they count as different. It looks
    at nothing else.
    What they hold is the business of their source and their backend.

    A subclass holds its material in `SecretValue`s, so that no repr shows it. It has an `expires_at` of its own if its
    material ends, a `renew_at` if it has to be renewed, and an `__eq__` that tells old material from new. Objects of it
    never change.
    """

    __slots__ = ()

    @property
    def expires_at(self) -> datetime | None:
        """When they end, with a time zone; None if they have no end."""
        return None

    @property
    def renew_at(self) -> datetime | None:
        """When they have to be fetched anew, with a time zone, even if no call needs them then; None: when a call comes
        shortly before their end. A token that only lives on if it is renewed has such a date."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(expires_at={self.expires_at!r})"
