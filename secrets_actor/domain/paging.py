"""Lists that come in pages. PURE."""

from typing import Final

from secrets_actor.domain.errors import InvalidAnswer
from secrets_actor.records import dataclass

_CIRCLE: Final = "the store's list goes round in circles: list again"


@dataclass(slots=True)
class Trail:
    """The way through one list, from page to page. It remembers one token, however long the list is.

    Brent's way to find a circle (An Improved Monte Carlo Factorization Algorithm, 1980): the token kept is changed for
    the newest after 1, 2, 4, ... pages, so that at last one of the circle is kept for longer than it takes to go round.
    """

    _kept: str | None = None
    _pages: int = 0
    _keep_for: int = 1

    def on_to(self, token: str) -> str:
        """*token*, with which to ask for the next page. Raises `InvalidAnswer` when the list goes round in circles."""
        if token == self._kept:
            raise InvalidAnswer(_CIRCLE, status=200)
        self._pages += 1
        if self._pages == self._keep_for:
            self._kept, self._pages, self._keep_for = token, 0, 2 * self._keep_for
        return token
