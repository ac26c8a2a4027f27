"""The wall clock of a backend's signatures, those for its store and those for STS: a clock that is given, and what AWS
has told about it. A thin shell."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from secrets_actor.backends.aws.clock_skew import TOLERATED, set_back
from secrets_actor.clock import utc_now


class CorrectedClock:
    """Set right when AWS says that it is wrong. For any thread.

    *on_skew* is told the seconds by which AWS's clock is ahead of this machine's, each time the correction changes; it
    is called outside the lock by the worker that found out.
    """

    def __init__(
        self, wall_clock: Callable[[], datetime] = utc_now, on_skew: Callable[[float], None] | None = None
    ) -> None:
        self._wall_clock, self._on_skew = wall_clock, on_skew
        self._lock = threading.Lock()
        self._offset = timedelta()

    def now(self) -> datetime:
        """The time to sign with."""
        return self._wall_clock() + self._offset

    def here(self) -> datetime:
        """This machine's time, as it is."""
        return self._wall_clock()

    def as_here(self, theirs: datetime, server: datetime) -> datetime:
        """When it will be *theirs* on the server's clock, by this machine's; *server* is the server's time now."""
        return set_back(theirs, self.skew(server))

    def skew(self, server: datetime) -> timedelta:
        """By how much *server*, the server's time now, is ahead of this machine's clock."""
        return server - self._wall_clock()

    def learn(self, server: datetime) -> None:
        """The server's time is *server* now: corrects the clock if it is too far off."""
        with self._lock:
            skew = self.skew(server)
            if abs(skew - self._offset) < TOLERATED:  # another worker may have corrected it meanwhile
                return
            self._offset = skew if abs(skew) >= TOLERATED else timedelta()
        if self._on_skew is not None:
            self._on_skew(self._offset.total_seconds())

    def __repr__(self) -> str:
        return f"<CorrectedClock [{self._offset.total_seconds():+.0f} s]>"
