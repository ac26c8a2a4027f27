"""Lists that come in pages. PURE."""

from typing import Final

from msgspec import Struct, field

from secrets_actor.domain.errors import InvalidAnswer

_CIRCLE: Final = "the store's list goes round in circles: list again"


class Trail(Struct):
    """The tokens of one list, from page to page: a store that gives one twice would be asked for ever."""

    _seen: set[str] = field(default_factory=set)

    def on_to(self, token: str) -> str:
        """*token*, with which to ask for the next page. Raises `InvalidAnswer` when the list goes round in circles."""
        if token in self._seen:
            raise InvalidAnswer(_CIRCLE, status=200)
        self._seen.add(token)
        return token
