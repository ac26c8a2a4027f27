"""Starting a thread where the machine may refuse one, and knowing when Python shuts down and no thread is left."""

from __future__ import annotations

import sys
import threading
from typing import Final

# Whether Python is shutting down and only this thread still runs. It would wait for any other thread in vain.
alone: Final = sys.is_finalizing


class _Python:
    ends = False


def begin(thread: threading.Thread) -> bool:
    """Start *thread*. Return False if it cannot be started: the machine, the user or the container is at its limit of
    threads, or Python is shutting down (where Python 3.11 would wait forever for the thread to begin)."""
    if alone():
        return False
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        # From 3.12 on, Python refuses threads as soon as the main thread ends, earlier than `is_finalizing`. Only the
        # text of the error ("can't create new thread at interpreter shutdown") tells that from a limit of the machine.
        _Python.ends = _Python.ends or "shutdown" in str(error)
        return False
    return True


def no_more() -> bool:
    """Whether no thread can be started any more, because Python is shutting down."""
    return _Python.ends or alone()
