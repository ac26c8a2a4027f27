"""Starting threads, where there may be none to be had; and whether there is anybody left to wait for."""

from __future__ import annotations

import sys
import threading
from typing import Final

# Whether this is the last thread that runs, as Python is taking itself down: it waits for any other one in vain.
alone: Final = sys.is_finalizing


class _Python:
    ends = False


def begin(thread: threading.Thread) -> bool:
    """Start *thread*. False if there is none to be had: the machine, the user or the container is at its limit, or
    Python is shutting down (where 3.11 would wait forever for it to begin)."""
    if alone():
        return False
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        _Python.ends = _Python.ends or "shutdown" in str(error)  # Python 3.12 says so as soon as the main thread ends
        return False
    return True


def no_more() -> bool:
    """Whether no thread can be started from now on, for Python is shutting down."""
    return _Python.ends or alone()
