"""The gate of the fake store: operations stop at it until it is released."""

from __future__ import annotations

import threading
from typing import Final, Literal

# When a switch works: before an operation takes effect, or after that, when only its answer is missing.
When = Literal["before", "after"]
# Seconds that a test waits at most for something that should take milliseconds. So much, because a machine may be busy.
PATIENCE: Final = 10.0


class Gate:
    """A gate that holds operations. `FakeStore.hold` makes it, and releases it at the end of its `with` block."""

    def __init__(self, changed: threading.Condition, *, times: int | None) -> None:
        self._changed, self._left = changed, times
        self._held: dict[object, threading.Thread] = {}
        self._open = False

    def wait_until_held(self, n: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until *n* operations are held at the same time. Raises `TimeoutError` after *timeout* seconds."""
        with self._changed:
            if self._changed.wait_for(lambda: len(self._held) >= n, timeout):
                return
            held = len(self._held)
        raise TimeoutError(f"{held} of {n} operations are held after {timeout:g} seconds; look whether they were sent")

    def release(self) -> None:
        """Let the held operations go on, and hold no more."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    @property
    def holders(self) -> tuple[threading.Thread, ...]:
        """The threads of the workers that are held, in the order of their arrival: for `find` and `kill`."""
        with self._changed:
            return tuple(self._held.values())

    # --- for the store, which holds the lock ----------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the gate has been released."""
        return self._open

    def admit(self, connection: object) -> bool:
        """Take note that *connection* is held in this thread, and return True; return False when this gate holds no
        more operations."""
        if self._open or self._left == 0:
            return False
        if self._left is not None:
            self._left -= 1
        self._held[connection] = threading.current_thread()
        self._changed.notify_all()
        return True

    def forget(self, connection: object) -> None:
        """Take note that *connection* is no longer held."""
        self._held.pop(connection, None)
