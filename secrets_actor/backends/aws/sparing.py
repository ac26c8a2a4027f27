"""Loading a library without a part that nobody here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def leaving_out(part: str) -> Iterator[None]:
    """Around an import: the module *part* of the library is not to be had, which it must be prepared for. Nothing, if
    it is loaded already."""
    absent = part not in sys.modules
    if absent:
        sys.modules[part] = None  # type: ignore[assignment]  # the import system's own word for it
    try:
        yield
    finally:
        if absent:
            del sys.modules[part]
