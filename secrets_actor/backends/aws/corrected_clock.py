"""The wall clock that a backend signs by, for its store and for STS: this machine's clock, corrected by AWS's. A thin
shell."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from secrets_actor.backends.aws.clock_skew import TOLERATED, set_back
from secrets_actor.clock import utc_now


class CorrectedClock:
    """A wall clock that is corrected when AWS says that it is wrong. For any thread.

    *on_skew* is called with the seconds by which AWS's clock is ahead of this machine's, each time the correction
    changes. The worker that found the skew calls it, outside the lock, so that it may read this clock.
    """

    def __init__(
        self, wall_clock: Callable[[], datetime] = utc_now, on_skew: Callable[[float], None] | None = None
    ) -> None:
        self._wall_clock, self._on_skew = wall_clock, on_skew
        self._lock = threading.Lock()
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the time to sign with."""
        # Without the lock: one reference is read, and an old one is corrected by the next refusal.
        return self._wall_clock() + self._offset

    def here(self) -> datetime:
        """Return this machine's time, uncorrected."""
        return self._wall_clock()

    def as_here(self, theirs: datetime, server: datetime) -> datetime:
        """Convert the moment *theirs* from the server's clock to this machine's. *server* is the server's time now."""
        return set_back(theirs, self.skew(server))

    def skew(self, server: datetime) -> timedelta:
        """Return by how much *server*, the server's time now, is ahead of this machine's clock."""
        return server - self._wall_clock()

    def learn(self, server: datetime) -> None:
        """Correct the clock if it is too far from *server*, the server's time now."""
        with self._lock:
            skew = self.skew(server)
            if abs(skew - self._offset) < TOLERATED:  # another worker may have corrected it meanwhile
                return
            # Back to no correction once somebody has set this machine's clock right.
            self._offset = skew if abs(skew) >= TOLERATED else timedelta()
        if self._on_skew is not None:
            self._on_skew(self._offset.total_seconds())

    def __repr__(self) -> str:
        return f"<CorrectedClock [{self._offset.total_seconds():+.0f} s]>"
