"""A machine at its limit of threads: for as long as it lasts, none can be started in this program."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Final

# Bytes: a stack that no machine has the room for.
TOO_LARGE: Final = 1 << 46


@contextlib.contextmanager
def no_threads() -> Iterator[None]:
    """No thread can be started until the end."""
    before = threading.stack_size(TOO_LARGE)
    try:
        yield
    finally:
        threading.stack_size(before)
