"""Follows the pages of a list, and notices a list without an end. PURE."""

from typing import Final

from msgspec import Struct, field

from secrets_actor.domain.errors import InvalidAnswer

_CIRCLE: Final = "the store's list goes round in circles: list again"


class SeenTokens(Struct):
    """The page tokens of one list so far. A store that gives the same token twice would be asked for ever."""

    _seen: set[str] = field(default_factory=set)

    def first_seen(self, token: str) -> str:
        """Return *token*, for the request of the next page. Raises `InvalidAnswer` if the list has given it before."""
        if token in self._seen:
            raise InvalidAnswer(_CIRCLE, status=200)
        self._seen.add(token)
        return token
