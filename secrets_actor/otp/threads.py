"""Starting threads, where there may be none to be had."""

from __future__ import annotations

import sys
import threading


def begin(thread: threading.Thread) -> bool:
    """Start *thread*. False if there is none to be had: the machine, the user or the container is at its limit, or
    Python is shutting down (where 3.11 would wait forever for it to begin)."""
    if sys.is_finalizing():
        return False
    try:
        thread.start()
    except (RuntimeError, MemoryError):
        return False
    return True
