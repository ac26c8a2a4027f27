"""When to act on changes: not at once, not all together, and not too often. PURE.

Rule 1: a rotation often changes several secrets within seconds, and each would restart a program. So there is a wait
        until nothing has changed for *debounce* seconds; but no longer than LONGEST times that, however often something
        changes.
Rule 2: all machines hear of a rotation at about the same time. So each waits a random share of *splay* seconds, too.
Rule 3: between two acts are at least *floor* seconds: what changes in between is acted on once, at the end of them.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from secrets_actor.domain.errors import InvalidParameter

# How many times *debounce* an act is put off at most by changes that go on.
LONGEST: Final = 10.0
_MOST: Final = 86_400.0


class Pace(Struct, frozen=True):
    """Three lengths of time in seconds, each 0 to 86,400: see the rules. Raises `InvalidParameter`."""

    debounce: float = 2.0
    splay: float = 0.0
    floor: float = 10.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _MOST:
                raise InvalidParameter(name, "seconds, 0 to 86,400")


class Pending(Struct, frozen=True):
    """What is to be acted on. *first* and *last* are when the first and the last change was seen that is not acted on
    yet (None: there is none); *share*, 0 to 1, is the random share of the splay; *acted* is when it was last acted."""

    first: float | None = None
    last: float = -math.inf
    share: float = 0.0
    acted: float = -math.inf

    def changed(self, now: float, chance: float) -> Pending:
        """Return the state after a change at *now*. *chance* is a random number, 0 to 1."""
        if self.first is None:
            return Pending(now, now, chance, self.acted)
        return replace(self, last=now)

    def done(self, now: float) -> Pending:
        """Return the state after an act at *now*."""
        return Pending(acted=now)

    def dropped(self) -> Pending:
        """Return the state without what was pending: it turned out that nothing is to be done."""
        return Pending(acted=self.acted)

    def due(self, pace: Pace) -> float | None:
        """Return when to act; None if there is nothing to act on."""
        if self.first is None:
            return None
        quiet = min(self.last + pace.debounce, self.first + LONGEST * pace.debounce)
        return max(quiet + pace.splay * self.share, self.acted + pace.floor)
